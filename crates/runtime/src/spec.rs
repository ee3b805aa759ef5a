//! The specification of a bundle, and the one `spec` writes for a new bundle.

use std::path::Path;

use oci_spec::runtime::Spec;
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// Capabilities of the template: what a small service needs.
const CAPABILITIES: [&str; 3] = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

/// Reads `config.json` of a bundle; texts as runc's.
pub(crate) fn load(bundle: &Path) -> Result<Spec> {
    let path = bundle.join("config.json");
    let text = std::fs::read(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::Config(format!("JSON specification file {} not found", path.display()))
        }
        _ => Error::Config(format!("{}: {error}", path.display())),
    })?;
    let spec: Spec = serde_json::from_slice(&text).map_err(|error| Error::Config(error.to_string()))?;
    if !spec.version().starts_with("1.") {
        return Err(Error::Config(format!("unsupported spec version {:?}", spec.version())));
    }
    Ok(spec)
}

/// A complete specification that runs a shell in `rootfs`, as a starting point for editing; with `rootless` for an
/// unprivileged user.
pub fn default_spec(rootless: bool) -> Spec {
    let document = template(rootless);
    // Built from literals only, as tests show.
    serde_json::from_value(document).unwrap_or_else(|error| unreachable!("built-in specification: {error}"))
}

fn template(rootless: bool) -> Value {
    let mut spec = json!({
        "ociVersion": crate::OCI_VERSION,
        "process": {
            "terminal": true,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES},
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "wharf",
        "mounts": mounts(),
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
                {"type": "cgroup"},
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    });
    if rootless {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let linux = &mut spec["linux"];
        linux["uidMappings"] = json!([{"containerID": 0, "hostID": uid, "size": 1}]);
        linux["gidMappings"] = json!([{"containerID": 0, "hostID": gid, "size": 1}]);
        linux["resources"] = Value::Null;
        if let Some(namespaces) = linux["namespaces"].as_array_mut() {
            namespaces.push(json!({"type": "user"}));
        }
    }
    spec
}

fn mounts() -> Value {
    json!([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]},
    ])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_valid() {
        let spec = default_spec(false);
        assert_eq!(spec.linux().as_ref().unwrap().namespaces().as_ref().unwrap().len(), 6);
        assert!(default_spec(true).linux().as_ref().unwrap().uid_mappings().is_some());
    }

    #[test]
    fn docker_documents_are_understood() {
        let spec = r#"{"ociVersion":"1.2.1","process":{"user":{"uid":0,"gid":0,"additionalGids":[0]},"args":["sh"],
            "cwd":"/","oomScoreAdj":0},"root":{"path":"r"},"mounts":null,
            "linux":{"resources":{"memory":{"disableOOMKiller":false},"blockIO":{}},"cgroupsPath":"/docker/x"}}"#;
        let bundle = tempfile::tempdir().unwrap();
        std::fs::write(bundle.path().join("config.json"), spec).unwrap();
        assert!(load(bundle.path()).unwrap().process().is_some());
        assert!(load(Path::new("/nosuch")).unwrap_err().to_string().contains("not found"));
    }
}
