//! Which capabilities a container gets.

use std::collections::HashSet;

use wharf_api::{StrSlice, container::HostConfig};
use wharf_oci::runtime::{Capability, LinuxCapabilities, LinuxCapabilitiesBuilder};

use crate::{Error, Result};

/// What every container has unless told otherwise.
const DEFAULT: [Capability; 14] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fsetid,
    Capability::Fowner,
    Capability::Mknod,
    Capability::NetRaw,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::SysChroot,
    Capability::Kill,
    Capability::AuditWrite,
];

/// Every capability of capabilities(7).
const ALL: [Capability; 41] = [
    Capability::AuditControl,
    Capability::AuditRead,
    Capability::AuditWrite,
    Capability::BlockSuspend,
    Capability::Bpf,
    Capability::CheckpointRestore,
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::Kill,
    Capability::Lease,
    Capability::LinuxImmutable,
    Capability::MacAdmin,
    Capability::MacOverride,
    Capability::Mknod,
    Capability::NetAdmin,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetRaw,
    Capability::Perfmon,
    Capability::Setgid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysChroot,
    Capability::SysModule,
    Capability::SysNice,
    Capability::SysPacct,
    Capability::SysPtrace,
    Capability::SysRawio,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Syslog,
    Capability::WakeAlarm,
];

/// The sets for a process of user `uid`. Only root gets them effective; others keep them in the bounding set.
pub(crate) fn capabilities(host: &HostConfig, uid: u32) -> LinuxCapabilities {
    let bounding = wanted(host);
    let effective = if uid == 0 { bounding.clone() } else { HashSet::new() };
    let mut sets = LinuxCapabilitiesBuilder::default()
        .bounding(bounding)
        .effective(effective.clone())
        .permitted(effective)
        .build()
        .unwrap_or_default();
    sets.set_inheritable(None).set_ambient(None);
    sets
}

/// The bounding set that the host configuration asks for; its names were validated at create.
pub(crate) fn wanted(host: &HostConfig) -> HashSet<Capability> {
    if host.privileged {
        return ALL.into();
    }
    let add = parse_all(host.cap_add.as_ref());
    let drop = parse_all(host.cap_drop.as_ref());
    let mut set: HashSet<_> = if add.contains(&None) {
        ALL.into()
    } else if drop.contains(&None) {
        HashSet::new()
    } else {
        DEFAULT.into()
    };
    for capability in drop.into_iter().flatten() {
        set.remove(&capability);
    }
    set.extend(add.into_iter().flatten());
    set
}

/// Known names of a list; `None` stands for `ALL`.
fn parse_all(names: Option<&StrSlice>) -> Vec<Option<Capability>> {
    names.into_iter().flat_map(|names| names.iter()).filter_map(|name| parse(name).ok()).collect()
}

/// Parses a name with or without `CAP_`, in any case; `None` is `ALL`.
fn parse(name: &str) -> Result<Option<Capability>, String> {
    let upper = name.to_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if bare == "ALL" {
        return Ok(None);
    }
    ALL.into_iter().find(|capability| capability.to_string() == bare).map(Some).ok_or(format!("CAP_{bare}"))
}

/// Checks the names of `--cap-add` and `--cap-drop`.
///
/// # Errors
/// The first unknown name, in Docker's words.
pub(crate) fn validate_capabilities(host: &HostConfig) -> Result<()> {
    for (field, names) in [("CapAdd", &host.cap_add), ("CapDrop", &host.cap_drop)] {
        for name in names.iter().flat_map(|names| names.iter()) {
            parse(name).map_err(|unknown| {
                Error::invalid(format!("invalid {field}: unknown capability: \"{unknown}\""))
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn host(add: &[&str], drop: &[&str]) -> HostConfig {
        let list = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect::<StrSlice>());
        HostConfig { cap_add: list(add), cap_drop: list(drop), ..HostConfig::default() }
    }

    #[test]
    fn lists_combine_as_docker_combines_them() {
        assert_eq!(wanted(&host(&[], &[])), DEFAULT.into());
        assert_eq!(wanted(&host(&["net_raw"], &["all"])), [Capability::NetRaw].into());
        assert_eq!(wanted(&host(&["ALL"], &["CAP_SYS_ADMIN"])).len(), ALL.len() - 1);
        assert!(wanted(&host(&["CAP_NET_ADMIN"], &[])).contains(&Capability::NetAdmin));
    }

    #[test]
    fn only_root_gets_effective_capabilities() {
        let sets = capabilities(&host(&[], &[]), 1000);
        assert_eq!(sets.bounding().as_ref().unwrap().len(), 14);
        assert!(sets.effective().as_ref().unwrap().is_empty());
    }

    #[test]
    fn unknown_names_are_refused() {
        let error = validate_capabilities(&host(&["nope"], &[])).unwrap_err();
        assert_eq!(error.to_string(), "invalid CapAdd: unknown capability: \"CAP_NOPE\"");
    }
}
