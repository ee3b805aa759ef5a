//! Which namespaces a container gets, which it joins, and the id maps of a user namespace.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespace, LinuxNamespaceType, Spec};
use wharf_sys::process::{self, CloneFlags, Forked};

use crate::error::{Context, Error, Result};

/// The namespaces of a specification.
#[derive(Debug, Default)]
pub(crate) struct Namespaces {
    /// To be made new.
    pub(crate) new: CloneFlags,
    /// To be joined: kind and open namespace file, in the order of joining.
    pub(crate) join: Vec<(CloneFlags, OwnedFd)>,
}

/// The clone flag of a namespace kind.
pub(crate) fn flag(kind: LinuxNamespaceType) -> CloneFlags {
    match kind {
        LinuxNamespaceType::Mount => CloneFlags::NEWNS,
        LinuxNamespaceType::Cgroup => CloneFlags::NEWCGROUP,
        LinuxNamespaceType::Uts => CloneFlags::NEWUTS,
        LinuxNamespaceType::Ipc => CloneFlags::NEWIPC,
        LinuxNamespaceType::User => CloneFlags::NEWUSER,
        LinuxNamespaceType::Pid => CloneFlags::NEWPID,
        LinuxNamespaceType::Network => CloneFlags::NEWNET,
        LinuxNamespaceType::Time => CloneFlags::NEWTIME,
    }
}

impl Namespaces {
    /// Collects the namespaces and opens those that are joined by path.
    pub(crate) fn open(list: &[LinuxNamespace]) -> Result<Self> {
        let mut result = Self::default();
        let mut seen = CloneFlags::empty();
        for namespace in list {
            let flag = flag(namespace.typ());
            if seen.contains(flag) {
                return Err(Error::config(format!("malformed spec file: duplicated ns {:?}", namespace)));
            }
            seen |= flag;
            match namespace.path().as_deref().filter(|path| !path.as_os_str().is_empty()) {
                None => result.new |= flag,
                Some(path) => {
                    let file = File::open(path).setup(|| format!("open namespace {}", path.display()))?;
                    result.join.push((flag, file.into()));
                }
            }
        }
        Ok(result)
    }

    /// Whether the namespace of that kind is joined.
    pub(crate) fn joins(&self, kind: CloneFlags) -> bool {
        self.join.iter().any(|(flag, _)| *flag == kind)
    }

    /// Whether the container has a namespace of that kind of its own or of another container.
    pub(crate) fn has(&self, kind: CloneFlags) -> bool {
        self.new.contains(kind) || self.joins(kind)
    }

    /// The joined namespace of that kind.
    pub(crate) fn joined(&self, kind: CloneFlags) -> Option<&OwnedFd> {
        self.join.iter().find(|(flag, _)| *flag == kind).map(|(_, fd)| fd)
    }

    /// Joins every namespace but those of `except`. A user namespace is joined when what comes before it no longer works
    /// without, and what failed for lack of its privileges is tried again.
    pub(crate) fn join_all(&self, except: CloneFlags) -> Result<()> {
        let mut left: Vec<_> = self.join.iter().filter(|(flag, _)| !except.contains(*flag)).collect();
        left.sort_by_key(|(flag, _)| *flag == CloneFlags::NEWUSER);
        let mut denied = Vec::new();
        for (flag, fd) in left {
            match process::setns(fd.as_fd(), *flag) {
                Err(wharf_sys::Errno::PERM)
                    if self.joins(CloneFlags::NEWUSER) && *flag != CloneFlags::NEWUSER =>
                {
                    denied.push((flag, fd));
                }
                result => result.init(|| format!("join namespace {:#x}", flag.0))?,
            }
        }
        for (flag, fd) in denied {
            process::setns(fd.as_fd(), *flag).init(|| format!("join namespace {:#x}", flag.0))?;
        }
        Ok(())
    }
}

/// Clones with `clone` so that the child is in the PID namespace `pid_ns`; the caller's later children are not.
pub(crate) fn clone_in(
    pid_ns: Option<&OwnedFd>,
    clone: impl FnOnce() -> Result<(Forked, bool)>,
) -> Result<(Forked, bool)> {
    let Some(target) = pid_ns else { return clone() };
    let own = File::open("/proc/self/ns/pid").setup(|| "open own pid namespace".into())?;
    process::setns(target.as_fd(), CloneFlags::NEWPID).setup(|| "join pid namespace".into())?;
    let result = clone();
    if matches!(result, Ok((Forked::Child, _))) {
        return result;
    }
    process::setns(own.as_fd(), CloneFlags::NEWPID).setup(|| "return to own pid namespace".into())?;
    result
}

/// Writes the id maps of the user namespace of process `pid`.
pub(crate) fn write_id_maps(pid: i32, uids: &[LinuxIdMapping], gids: &[LinuxIdMapping]) -> Result<()> {
    // An unprivileged user may map groups only after giving up setgroups(2).
    if !rustix::process::geteuid().is_root() {
        std::fs::write(format!("/proc/{pid}/setgroups"), "deny").setup(|| "write setgroups".into())?;
    }
    for (file, maps) in [("gid_map", gids), ("uid_map", uids)] {
        std::fs::write(format!("/proc/{pid}/{file}"), format_maps(maps)).setup(|| format!("write {file}"))?;
    }
    Ok(())
}

fn format_maps(maps: &[LinuxIdMapping]) -> String {
    maps.iter().map(|map| format!("{} {} {}\n", map.container_id(), map.host_id(), map.size())).collect()
}

/// The namespace list of a specification.
pub(crate) fn listed(spec: &Spec) -> &[LinuxNamespace] {
    let linux = spec.linux().as_ref();
    linux.and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use oci_spec::runtime::LinuxIdMappingBuilder;

    use super::*;

    #[test]
    fn maps_are_inside_outside_length() {
        let map =
            LinuxIdMappingBuilder::default().container_id(0u32).host_id(100_000u32).size(65536u32).build();
        assert_eq!(format_maps(&[map.unwrap()]), "0 100000 65536\n");
    }

    #[test]
    fn duplicates_are_refused() {
        let list: Vec<LinuxNamespace> = serde_json::from_str(r#"[{"type":"pid"},{"type":"pid"}]"#).unwrap();
        assert!(Namespaces::open(&list).is_err());
    }
}
