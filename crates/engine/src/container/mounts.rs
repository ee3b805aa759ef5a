//! Which bind mounts, volumes and tmpfs mounts a container has: parsing and checking of what the client asked for.

use std::path::Path;

use wharf_api::container::{Config, HostConfig, Mount, MountPoint};
use wharf_oci::path::clean;

use crate::{Error, Result};

/// A mount as asked for, before volumes are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WantedMount {
    /// `bind`, `volume` or `tmpfs`.
    pub(crate) kind: String,
    /// Host path, volume name, or empty for an anonymous volume.
    pub(crate) source: String,
    /// Absolute path in the container.
    pub(crate) destination: String,
    /// Mode words as given with `-v`.
    pub(crate) mode: String,
    /// Whether it can be written.
    pub(crate) rw: bool,
    /// Propagation of a bind mount.
    pub(crate) propagation: String,
    /// A missing source is created as a folder (`-v` does, `--mount` does not).
    pub(crate) create_source: bool,
    /// The image's content is not copied into a new volume.
    pub(crate) no_copy: bool,
    /// Folder inside the volume.
    pub(crate) subpath: String,
}

/// Collects the mounts of `-v`, `--mount` and the image's volumes, one per destination. `inherited` are those of other
/// containers, which take the place of the image's volumes.
///
/// # Errors
/// A specification that Docker refuses, in its words.
pub(crate) fn wanted_mounts(
    config: &Config,
    host: &HostConfig,
    inherited: &[MountPoint],
) -> Result<Vec<WantedMount>> {
    let mut wanted: Vec<WantedMount> = Vec::new();
    for bind in host.binds.iter().flatten() {
        let mount = parse_bind(bind)?;
        if wanted.iter().any(|other| other.destination == mount.destination) {
            return Err(Error::invalid(format!("Duplicate mount point: {}", mount.destination)));
        }
        wanted.push(mount);
    }
    for mount in host.mounts.iter() {
        let mount = from_mount(mount)?;
        if wanted.iter().any(|other| other.destination == mount.destination) {
            return Err(Error::invalid(format!("Duplicate mount point: {}", mount.destination)));
        }
        wanted.push(mount);
    }
    for (destination, _) in host.tmpfs.iter() {
        if !destination.starts_with('/') {
            return Err(Error::invalid(format!(
                "invalid mount path: '{destination}' mount path must be absolute"
            )));
        }
        if wanted.iter().any(|other| other.destination == clean(destination)) {
            return Err(Error::invalid(format!("Duplicate mount point: {destination}")));
        }
    }
    for (destination, _) in config.volumes.iter().flatten() {
        let destination = clean(destination);
        let taken = host.tmpfs.iter().any(|(path, _)| clean(path) == destination)
            || inherited.iter().any(|point| point.destination == destination);
        if !taken && !wanted.iter().any(|other| other.destination == destination) {
            wanted.push(volume("", &destination));
        }
    }
    Ok(wanted)
}

fn volume(name: &str, destination: &str) -> WantedMount {
    WantedMount {
        kind: "volume".to_owned(),
        source: name.to_owned(),
        destination: destination.to_owned(),
        mode: String::new(),
        rw: true,
        propagation: String::new(),
        create_source: false,
        no_copy: false,
        subpath: String::new(),
    }
}

/// Parses one `--volumes-from` value, `CONTAINER[:MODE]`; returns the container and whether its mounts can be written.
pub(crate) fn parse_volumes_from(text: &str) -> Result<(&str, bool)> {
    let (container, mode) = text.split_once(':').unwrap_or((text, "rw"));
    if container.is_empty() {
        return Err(Error::invalid(format!("invalid volumes-from specification: '{text}'")));
    }
    // Neither propagation nor copying can be chosen here.
    let words: Vec<&str> = mode.split(',').collect();
    let access = words.iter().filter(|word| matches!(**word, "ro" | "rw")).count();
    if access > 1 || !words.iter().all(|word| matches!(*word, "ro" | "rw" | "z" | "Z")) {
        return Err(Error::invalid(format!("invalid mode: {mode}")));
    }
    Ok((container, !words.contains(&"ro")))
}

/// Parses one `-v` value: `/host:/inside[:modes]`, `name:/inside[:modes]` or `/inside`.
pub(crate) fn parse_bind(text: &str) -> Result<WantedMount> {
    let invalid = |words: &str| Error::system(format!("invalid volume specification: '{text}'{words}"));
    let parts: Vec<_> = text.split(':').collect();
    let (source, destination, mode) = match parts[..] {
        [destination] => ("", destination, ""),
        [source, destination] => (source, destination, ""),
        [source, destination, mode] => (source, destination, mode),
        _ => return Err(invalid("")),
    };
    if parts.iter().take(2).any(|part| part.is_empty()) {
        return Err(invalid(""));
    }
    let bind = source.starts_with('/');
    let kind = if bind { "bind" } else { "volume" };
    if !destination.starts_with('/') {
        return Err(invalid(&format!(
            ": invalid mount config for type \"{kind}\": invalid mount path: '{destination}' mount path must be absolute"
        )));
    }
    let mut mount = volume(source, &clean(destination));
    if bind {
        mount.source = clean(source);
    }
    if mount.destination == "/" {
        return Err(invalid(&format!(
            ": invalid mount config for type \"{kind}\": invalid specification: destination can't be '/'"
        )));
    }
    mount.kind = kind.to_owned();
    mount.create_source = bind;
    mode.clone_into(&mut mount.mode);
    apply_modes(&mut mount, mode, bind)?;
    if !bind && !source.is_empty() {
        crate::volume::validate_name(source)?;
    }
    Ok(mount)
}

/// Applies the comma-separated mode words of `-v`.
fn apply_modes(mount: &mut WantedMount, mode: &str, bind: bool) -> Result<()> {
    let invalid = || Error::system(format!("invalid mode: {mode}"));
    let (mut access, mut label, mut propagation) = (0, 0, 0);
    for word in mode.split(',').filter(|_| !mode.is_empty()) {
        match word {
            "ro" | "rw" => {
                access += 1;
                mount.rw = word == "rw";
            }
            // SELinux labels: accepted as everywhere, without effect on hosts that do not label.
            "z" | "Z" => label += 1,
            "nocopy" if !bind => mount.no_copy = true,
            "shared" | "slave" | "private" | "rshared" | "rslave" | "rprivate" if bind => {
                propagation += 1;
                word.clone_into(&mut mount.propagation);
            }
            "consistent" | "cached" | "delegated" => {}
            _ => return Err(invalid()),
        }
    }
    if access > 1 || label > 1 || propagation > 1 { Err(invalid()) } else { Ok(()) }
}

/// Checks one `--mount` document.
fn from_mount(mount: &Mount) -> Result<WantedMount> {
    let typ = mount.kind.as_str();
    let invalid = |words: String| Error::invalid(format!("invalid mount config for type {typ:?}: {words}"));
    if mount.target.is_empty() {
        return Err(invalid("field Target must not be empty".into()));
    }
    if !mount.target.starts_with('/') {
        return Err(invalid(format!("invalid mount path: '{}' mount path must be absolute", mount.target)));
    }
    let mut wanted = volume(&mount.source, &clean(&mount.target));
    if wanted.destination == "/" {
        return Err(invalid("invalid specification: destination can't be '/'".into()));
    }
    typ.clone_into(&mut wanted.kind);
    wanted.rw = !mount.read_only;
    match typ {
        "bind" => {
            if mount.source.is_empty() {
                return Err(invalid("field Source must not be empty".into()));
            }
            if !mount.source.starts_with('/') {
                return Err(invalid(format!(
                    "invalid mount path: '{}' mount path must be absolute",
                    mount.source
                )));
            }
            let options = mount.bind_options.clone().unwrap_or_default();
            wanted.source = clean(&mount.source);
            wanted.create_source = options.create_mountpoint;
            wanted.propagation = options.propagation;
            if !wanted.create_source && !Path::new(&wanted.source).exists() {
                return Err(invalid(format!("bind source path does not exist: {}", wanted.source)));
            }
        }
        "volume" => {
            let options = mount.volume_options.clone().unwrap_or_default();
            // compat: the reference labels these for sharing by default.
            "z".clone_into(&mut wanted.mode);
            wanted.no_copy = options.no_copy;
            wanted.subpath = options.subpath;
            if !mount.source.is_empty() {
                crate::volume::validate_name(&mount.source)?;
            }
        }
        "tmpfs" => {
            if !mount.source.is_empty() {
                return Err(invalid("field Source must not be specified".into()));
            }
        }
        _ => return Err(invalid("mount type unknown".into())),
    }
    Ok(wanted)
}

impl WantedMount {
    /// The record of the mount; `name` and `source` are those of the volume, if it is one.
    pub(crate) fn point(&self, name: &str, source: &str) -> MountPoint {
        let volume = self.kind == "volume";
        MountPoint {
            kind: self.kind.clone(),
            name: name.to_owned(),
            source: source.to_owned(),
            destination: self.destination.clone(),
            driver: if volume { "local".to_owned() } else { String::new() },
            mode: if volume && self.mode.is_empty() && self.source.is_empty() {
                String::new()
            } else {
                self.mode.clone()
            },
            rw: self.rw,
            propagation: if self.kind == "bind" && self.propagation.is_empty() {
                "rprivate".to_owned()
            } else {
                self.propagation.clone()
            },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        parse_bind(text).unwrap_err().to_string()
    }

    #[test]
    fn parses_the_forms_of_v() {
        let mount = parse_bind("/a//b/:/x/../y:ro,rslave").unwrap();
        assert_eq!(
            (mount.kind.as_str(), mount.source.as_str(), mount.destination.as_str()),
            ("bind", "/a/b", "/y")
        );
        assert!(!mount.rw && mount.create_source);
        assert_eq!(mount.propagation, "rslave");
        let mount = parse_bind("data:/x:nocopy").unwrap();
        assert_eq!((mount.kind.as_str(), mount.source.as_str(), mount.no_copy), ("volume", "data", true));
        assert_eq!(parse_bind("/x").unwrap().source, "");
    }

    #[test]
    fn volumes_from() {
        assert_eq!(parse_volumes_from("c").unwrap(), ("c", true));
        assert_eq!(parse_volumes_from("c:ro,z").unwrap(), ("c", false));
        assert_eq!(parse_volumes_from("c:bad").unwrap_err().to_string(), "invalid mode: bad");
        assert_eq!(parse_volumes_from("c:rslave").unwrap_err().to_string(), "invalid mode: rslave");
        assert!(parse_volumes_from(":ro").is_err());
        let inherited = MountPoint { destination: "/data".to_owned(), ..MountPoint::default() };
        let volumes = [("/data/".to_owned(), wharf_api::Empty), ("/own".to_owned(), wharf_api::Empty)];
        let config = Config { volumes: Some(volumes.into_iter().collect()), ..Config::default() };
        let wanted = wanted_mounts(&config, &HostConfig::default(), &[inherited]).unwrap();
        assert_eq!(wanted.iter().map(|mount| mount.destination.as_str()).collect::<Vec<_>>(), ["/own"]);
    }

    #[test]
    fn refusals_have_dockers_words() {
        assert_eq!(
            refusal("/a:relative"),
            "invalid volume specification: '/a:relative': invalid mount config for type \"bind\": invalid mount path: 'relative' mount path must be absolute"
        );
        assert_eq!(refusal("vol:/x:badmode"), "invalid mode: badmode");
        assert_eq!(refusal("a:b:c:d"), "invalid volume specification: 'a:b:c:d'");
        assert_eq!(
            refusal("/:/"),
            "invalid volume specification: '/:/': invalid mount config for type \"bind\": invalid specification: destination can't be '/'"
        );
    }
}
