//! Capability sets of a process, as bit masks.

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities};
use wharf_sys::caps;

use crate::error::{Context, Result};

/// The kernel's names in the order of their numbers (linux/capability.h).
const ORDER: [Capability; 41] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::LinuxImmutable,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::SysModule,
    Capability::SysRawio,
    Capability::SysChroot,
    Capability::SysPtrace,
    Capability::SysPacct,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysNice,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Mknod,
    Capability::Lease,
    Capability::AuditWrite,
    Capability::AuditControl,
    Capability::Setfcap,
    Capability::MacOverride,
    Capability::MacAdmin,
    Capability::Syslog,
    Capability::WakeAlarm,
    Capability::BlockSuspend,
    Capability::AuditRead,
    Capability::Perfmon,
    Capability::Bpf,
    Capability::CheckpointRestore,
];

/// The mask of `CAP_SYS_ADMIN`.
pub(crate) const SYS_ADMIN: u64 = 1 << 21;

/// The names of the capabilities in a mask, in the kernel's order.
pub fn names(mask: u64) -> Vec<Capability> {
    let known = ORDER.iter().enumerate().filter(|(number, _)| mask & 1 << number != 0);
    known.map(|(_, name)| *name).collect()
}

/// The capabilities this process could give to a container: its bounding set.
pub fn available() -> Vec<Capability> {
    names(caps::bounding())
}

/// The five sets of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CapabilitySets {
    pub(crate) bounding: u64,
    pub(crate) effective: u64,
    pub(crate) permitted: u64,
    pub(crate) inheritable: u64,
    pub(crate) ambient: u64,
}

fn mask(list: Option<&Capabilities>) -> u64 {
    let number = |name: &Capability| ORDER.iter().position(|known| known == name).unwrap_or(63);
    list.into_iter().flatten().fold(0, |mask, name| mask | 1 << number(name))
}

impl CapabilitySets {
    /// The sets of a specification; no capabilities at all when it has none.
    pub(crate) fn of(spec: Option<&LinuxCapabilities>) -> Self {
        let Some(spec) = spec else { return Self::default() };
        Self {
            bounding: mask(spec.bounding().as_ref()),
            effective: mask(spec.effective().as_ref()),
            permitted: mask(spec.permitted().as_ref()),
            inheritable: mask(spec.inheritable().as_ref()),
            ambient: mask(spec.ambient().as_ref()),
        }
        .without_impossible_ambient()
    }

    /// The kernel refuses to make ambient what is not permitted and inheritable; the specifications of runc and crun ask
    /// for that all the same, and both leave it out.
    fn without_impossible_ambient(self) -> Self {
        Self { ambient: self.ambient & self.permitted & self.inheritable, ..self }
    }

    /// Only what is in `have`: nobody can give away what it does not hold, and engines ask for "all" without knowing.
    pub(crate) fn limited_to(self, have: u64) -> Self {
        Self {
            bounding: self.bounding & have,
            effective: self.effective & have,
            permitted: self.permitted & have,
            inheritable: self.inheritable & have,
            ambient: self.ambient & have,
        }
    }

    /// Removes everything else from the bounding set. Needs `CAP_SETPCAP`.
    pub(crate) fn drop_bounding(&self) -> Result<()> {
        for capability in (0..64).filter(|number| self.bounding & 1 << number == 0) {
            match caps::drop_bounding(capability) {
                Ok(()) => {}
                // Beyond the last capability of this kernel.
                Err(wharf_sys::Errno::INVAL) => break,
                Err(errno) => return Err(errno).init(|| "unable to drop bounding capabilities".into()),
            }
        }
        Ok(())
    }

    /// Sets the thread's own sets, with the capabilities of the mask `extra` added to what may be used.
    pub(crate) fn apply(&self, extra: u64) -> Result<()> {
        let sets = caps::Sets {
            effective: self.effective | extra,
            permitted: self.permitted | extra,
            inheritable: self.inheritable,
        };
        caps::set(sets).init(|| "unable to apply caps".into())
    }

    /// Sets the ambient set; to be called after [`CapabilitySets::apply`].
    pub(crate) fn apply_ambient(&self) -> Result<()> {
        caps::clear_ambient().init(|| "unable to clear ambient capabilities".into())?;
        for capability in (0..64).filter(|number| self.ambient & 1 << number != 0) {
            caps::raise_ambient(capability).init(|| "unable to set Ambient caps".into())?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn docker_default_mask() {
        let json = r#"{"bounding":["CAP_CHOWN","CAP_DAC_OVERRIDE","CAP_FSETID","CAP_FOWNER","CAP_MKNOD","CAP_NET_RAW",
            "CAP_SETGID","CAP_SETUID","CAP_SETFCAP","CAP_SETPCAP","CAP_NET_BIND_SERVICE","CAP_SYS_CHROOT","CAP_KILL",
            "CAP_AUDIT_WRITE"]}"#;
        let sets = CapabilitySets::of(Some(&serde_json::from_str(json).unwrap()));
        expect!["a80425fb"].assert_eq(&format!("{:x}", sets.bounding));
        assert_eq!(sets.ambient, 0);
        assert_eq!(mask(Some(&names(sets.bounding).into_iter().collect())), sets.bounding);
    }

    #[test]
    fn ambient_needs_to_be_inheritable() {
        let json = r#"{"permitted":["CAP_CHOWN","CAP_KILL"],"inheritable":["CAP_CHOWN"],"ambient":["CAP_CHOWN","CAP_KILL"]}"#;
        let sets = CapabilitySets::of(Some(&serde_json::from_str(json).unwrap()));
        assert_eq!(sets.ambient, 1);
    }

    #[test]
    fn what_is_not_held_is_dropped() {
        let all = CapabilitySets { bounding: !0, effective: !0, permitted: !0, inheritable: 0, ambient: 0 };
        let have = 0x1ff_feff_ffff;
        assert_eq!(all.limited_to(have).permitted, have);
        assert_eq!(names(have).len(), 40);
    }
}
