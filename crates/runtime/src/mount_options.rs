//! The option strings of a mount entry, sorted by what the kernel does with them.

use wharf_sys::mount as attr;

use crate::error::{Error, Result};

/// A mount entry's options. What is no known flag is data for the file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MountOptions {
    /// `bind` or `rbind`.
    pub(crate) bind: bool,
    /// `rbind`.
    pub(crate) recursive_bind: bool,
    /// Attributes of the one mount: bits to set and bits to clear.
    pub(crate) set: u64,
    pub(crate) clear: u64,
    /// Attributes of the whole tree (`rro` and the like).
    pub(crate) recursive_set: u64,
    pub(crate) recursive_clear: u64,
    /// Propagation changes in order: type and whether for the whole tree.
    pub(crate) propagation: Vec<(u64, bool)>,
    /// `idmap` or `ridmap`: ids are shifted by the mount's mappings.
    pub(crate) idmap: bool,
    /// `ridmap`.
    pub(crate) recursive_idmap: bool,
    /// `tmpcopyup`.
    pub(crate) copy_up: bool,
    /// Superblock flags such as `sync`, by the name `fsconfig` knows.
    pub(crate) super_flags: Vec<String>,
    /// File system options: key and value.
    pub(crate) data: Vec<(String, Option<String>)>,
}

/// Name, bits to set, bits to clear.
const ATTRIBUTES: &[(&str, u64, u64)] = &[
    ("ro", attr::ATTR_RDONLY, 0),
    ("rw", 0, attr::ATTR_RDONLY),
    ("nosuid", attr::ATTR_NOSUID, 0),
    ("suid", 0, attr::ATTR_NOSUID),
    ("nodev", attr::ATTR_NODEV, 0),
    ("dev", 0, attr::ATTR_NODEV),
    ("noexec", attr::ATTR_NOEXEC, 0),
    ("exec", 0, attr::ATTR_NOEXEC),
    ("nosymfollow", attr::ATTR_NOSYMFOLLOW, 0),
    ("symfollow", 0, attr::ATTR_NOSYMFOLLOW),
    ("nodiratime", attr::ATTR_NODIRATIME, 0),
    ("diratime", 0, attr::ATTR_NODIRATIME),
    // The three policies share a field, which has to be cleared before a value is set.
    ("relatime", attr::ATTR_RELATIME, attr::ATTR_ATIME_MASK),
    ("norelatime", attr::ATTR_STRICTATIME, attr::ATTR_ATIME_MASK),
    ("noatime", attr::ATTR_NOATIME, attr::ATTR_ATIME_MASK),
    ("atime", attr::ATTR_RELATIME, attr::ATTR_ATIME_MASK),
    ("strictatime", attr::ATTR_STRICTATIME, attr::ATTR_ATIME_MASK),
    ("nostrictatime", attr::ATTR_RELATIME, attr::ATTR_ATIME_MASK),
];

const PROPAGATIONS: &[(&str, u64)] = &[
    ("private", attr::PROPAGATION_PRIVATE),
    ("shared", attr::PROPAGATION_SHARED),
    ("slave", attr::PROPAGATION_SLAVE),
    ("unbindable", attr::PROPAGATION_UNBINDABLE),
];

/// Options every file system shares: kept by the superblock, not by the mount.
const SUPER_FLAGS: &[&str] =
    &["sync", "async", "dirsync", "lazytime", "nolazytime", "mand", "nomand", "silent", "loud", "iversion"];

/// The names of all options that are not left to the file system.
pub(crate) fn known() -> Vec<&'static str> {
    let mut names = vec!["bind", "rbind", "idmap", "ridmap", "defaults", "remount"];
    names.extend(ATTRIBUTES.iter().map(|(name, ..)| *name));
    names.extend([
        "private",
        "rprivate",
        "shared",
        "rshared",
        "slave",
        "rslave",
        "unbindable",
        "runbindable",
    ]);
    names.extend([
        "rro",
        "rrw",
        "rnosuid",
        "rsuid",
        "rnodev",
        "rdev",
        "rnoexec",
        "rexec",
        "rnosymfollow",
        "rsymfollow",
    ]);
    names.extend(SUPER_FLAGS);
    names.sort_unstable();
    names
}

impl MountOptions {
    /// Sorts the options; fails on combinations that mean nothing.
    pub(crate) fn parse<S: AsRef<str>>(options: &[S]) -> Result<Self> {
        let mut result = Self::default();
        for option in options {
            result.add(option.as_ref());
        }
        if result.copy_up {
            return Err(Error::config("mount option \"tmpcopyup\" is not supported"));
        }
        Ok(result)
    }

    fn add(&mut self, option: &str) {
        match option {
            "" | "defaults" | "remount" | "_netdev" | "auto" | "noauto" | "user" | "nouser" => {}
            "bind" => self.bind = true,
            "rbind" => (self.bind, self.recursive_bind) = (true, true),
            "idmap" => self.idmap = true,
            "ridmap" => (self.idmap, self.recursive_idmap) = (true, true),
            "tmpcopyup" => self.copy_up = true,
            _ if self.add_flag(option) => {}
            _ if SUPER_FLAGS.contains(&option) => self.super_flags.push(option.to_owned()),
            _ => self.data.push(match option.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (option.to_owned(), None),
            }),
        }
    }

    fn add_flag(&mut self, option: &str) -> bool {
        if let Some((_, set, clear)) = ATTRIBUTES.iter().find(|(name, ..)| *name == option) {
            self.set = self.set & !clear | set;
            self.clear = self.clear & !set | clear;
            return true;
        }
        if let Some((_, kind)) = PROPAGATIONS.iter().find(|(name, _)| *name == option) {
            self.propagation.push((*kind, false));
            return true;
        }
        let Some(inner) = option.strip_prefix('r') else { return false };
        if let Some((_, kind)) = PROPAGATIONS.iter().find(|(name, _)| *name == inner) {
            self.propagation.push((*kind, true));
            return true;
        }
        if let Some((_, set, clear)) = ATTRIBUTES.iter().find(|(name, ..)| *name == inner) {
            self.recursive_set = self.recursive_set & !clear | set;
            self.recursive_clear = self.recursive_clear & !set | clear;
            return true;
        }
        false
    }

    /// The mount is to be read-only.
    pub(crate) fn read_only(&self) -> bool {
        self.set & attr::ATTR_RDONLY != 0
    }

    /// The attributes for `fsmount`, which takes only bits to set.
    pub(crate) fn attributes(&self) -> u64 {
        self.set
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn parse(options: &str) -> MountOptions {
        MountOptions::parse(&options.split(',').collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn docker_defaults() {
        let dev = parse("nosuid,strictatime,mode=755,size=65536k");
        assert_eq!(dev.set, attr::ATTR_NOSUID | attr::ATTR_STRICTATIME);
        expect![[r#"[("mode", Some("755")), ("size", Some("65536k"))]"#]]
            .assert_eq(&format!("{:?}", dev.data));
        let pts = parse("nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5");
        expect![[r#"[("newinstance", None), ("ptmxmode", Some("0666")), ("mode", Some("0620")), ("gid", Some("5"))]"#]]
            .assert_eq(&format!("{:?}", pts.data));
    }

    #[test]
    fn binds_and_propagation() {
        let bind = parse("rbind,rprivate,ro");
        assert!(bind.bind && bind.recursive_bind && bind.read_only());
        assert_eq!(bind.propagation, [(attr::PROPAGATION_PRIVATE, true)]);
        assert!(bind.data.is_empty());
        let slave = parse("bind,slave");
        assert!(!slave.recursive_bind);
        assert_eq!(slave.propagation, [(attr::PROPAGATION_SLAVE, false)]);
    }

    #[test]
    fn the_last_option_wins() {
        assert!(!parse("ro,rw").read_only());
        assert!(parse("rw,ro").read_only());
        let times = parse("noatime,strictatime");
        assert_eq!(times.set & attr::ATTR_ATIME_MASK, attr::ATTR_STRICTATIME);
        assert_eq!(times.clear & attr::ATTR_ATIME_MASK, attr::ATTR_ATIME_MASK);
    }

    #[test]
    fn recursive_attributes() {
        let tree = parse("rbind,rro,rnosuid");
        assert_eq!(tree.recursive_set, attr::ATTR_RDONLY | attr::ATTR_NOSUID);
        assert_eq!(tree.set, 0);
    }
}
