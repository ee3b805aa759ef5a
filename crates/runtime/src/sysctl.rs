//! Kernel parameters of a container's own namespaces.

use std::collections::BTreeMap;

use oci_spec::runtime::Spec;
use rustix::fs::{CWD, Mode, OFlags};
use wharf_sys::Errno;
use wharf_sys::process::CloneFlags;

use crate::error::{Error, Result, errno_text};
use crate::namespaces::Namespaces;

/// The IPC parameters that belong to an IPC namespace.
const IPC: &[&str] = &[
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// The specification's parameters in a fixed order.
pub(crate) fn listed(spec: &Spec) -> BTreeMap<&str, &str> {
    let map = spec.linux().as_ref().and_then(|linux| linux.sysctl().as_ref());
    map.into_iter().flatten().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

/// Refuses what would change the host.
pub(crate) fn check(spec: &Spec, namespaces: &Namespaces) -> Result<()> {
    for key in listed(spec).keys() {
        let name = key.replace('/', ".");
        if IPC.contains(&name.as_str()) || name.starts_with("fs.mqueue.") {
            if !namespaces.has(CloneFlags::NEWIPC) {
                return Err(Error::config(format!(
                    "sysctl {key:?} is not allowed in the hosts ipc namespace"
                )));
            }
        } else if name.starts_with("net.") {
            if !namespaces.has(CloneFlags::NEWNET) {
                return Err(Error::config(format!("sysctl {key:?} not allowed in host network namespace")));
            }
        } else if name == "kernel.domainname" || name == "kernel.hostname" {
            if !namespaces.has(CloneFlags::NEWUTS) {
                return Err(Error::config(format!(
                    "sysctl {key:?} is not allowed as it is not namespaced: host uts"
                )));
            }
            if name == "kernel.hostname" {
                return Err(Error::config(format!(
                    "sysctl {key:?} is not allowed as it conflicts with the OCI \"hostname\" field"
                )));
            }
        } else {
            return Err(Error::config(format!("sysctl {key:?} is not in a separate kernel namespace")));
        }
    }
    Ok(())
}

/// Writes the parameters through the host's `/proc`, which shows the caller's namespaces and no image can tamper with.
pub(crate) fn apply(spec: &Spec) -> Result<()> {
    for (key, value) in listed(spec) {
        // In the form with slashes a dot is part of a name (an interface, say).
        let path = if key.contains('/') { key.to_owned() } else { key.replace('.', "/") };
        write(&path, value).map_err(|errno| {
            Error::Init(format!(
                "open sysctl {key} file: unsafe procfs detected: openat2 fsmount:fscontext:proc/./sys/{path}: {}",
                errno_text(errno)
            ))
        })?;
    }
    Ok(())
}

fn write(path: &str, value: &str) -> Result<(), Errno> {
    if path.split('/').any(|part| part == ".." || part.is_empty()) {
        return Err(Errno::INVAL);
    }
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, format!("/proc/sys/{path}"), flags, Mode::empty())?;
    rustix::io::write(&file, value.as_bytes()).map(drop)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn outcome(key: &str, namespaces: &str) -> Result<()> {
        let spec = format!(
            r#"{{"ociVersion":"1.2.1","linux":{{"sysctl":{{"{key}":"1"}},"namespaces":[{namespaces}]}}}}"#
        );
        let spec: Spec = serde_json::from_str(&spec).unwrap();
        check(&spec, &Namespaces::open(crate::namespaces::listed(&spec)).unwrap())
    }

    #[test]
    fn only_namespaced_parameters() {
        outcome("net.ipv4.ip_forward", r#"{"type":"network"}"#).unwrap();
        assert_eq!(
            outcome("net.ipv4.ip_forward", "").unwrap_err().to_string(),
            "sysctl \"net.ipv4.ip_forward\" not allowed in host network namespace"
        );
        assert!(outcome("kernel.msgmax", "").is_err());
        outcome("kernel.msgmax", r#"{"type":"ipc"}"#).unwrap();
        assert!(outcome("vm.swappiness", r#"{"type":"ipc"}"#).is_err());
    }
}
