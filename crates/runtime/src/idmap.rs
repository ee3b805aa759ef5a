//! Mounts whose ids are shifted: `idmap` and `ridmap` entries.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::{LinuxIdMapping, Mount};
use wharf_sys::mount::{ATTR_IDMAP, MountAttr, mount_setattr};
use wharf_sys::process::{CloneFlags, Forked};
use wharf_sys::{Errno, process};

use crate::error::{Context, Error, Result};
use crate::namespaces;

/// Gives the detached tree the id mappings of the mount entry.
pub(crate) fn apply(tree: BorrowedFd<'_>, mount: &Mount, recursive: bool) -> Result<()> {
    let (Some(uids), Some(gids)) = (mount.uid_mappings(), mount.gid_mappings()) else {
        return Err(Error::Config("mount option \"idmap\" needs uidMappings and gidMappings".into()));
    };
    let namespace = user_namespace(uids, gids)?;
    let attr = MountAttr { set: ATTR_IDMAP, ..MountAttr::default() };
    mount_setattr(tree, c"", recursive, attr, Some(namespace.as_fd()))
        .init(|| format!("set up id-mapped mount on {}", mount.destination().display()))
}

/// A user namespace with the given mappings. A short-lived process makes it and waits until it is held open.
fn user_namespace(uids: &[LinuxIdMapping], gids: &[LinuxIdMapping]) -> Result<OwnedFd> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).init(|| "pipe".into())?;
    match process::clone3(CloneFlags::NEWUSER, None).init(|| "clone".into())? {
        Forked::Child => {
            drop(write);
            // Ends when the parent closes its end.
            let _ = rustix::io::read(&read, &mut [0u8; 1]);
            process::exit(0)
        }
        Forked::Parent { pid, pidfd } => {
            let namespace = namespaces::write_id_maps(pid, uids, gids).and_then(|()| {
                std::fs::File::open(format!("/proc/{pid}/ns/user")).init(|| "open user namespace".into())
            });
            drop(write);
            let _ = rustix::process::waitid(
                rustix::process::WaitId::PidFd(pidfd.as_fd()),
                rustix::process::WaitIdOptions::EXITED,
            )
            .map_err(|errno| debug_assert_eq!(errno, Errno::CHILD));
            Ok(namespace?.into())
        }
    }
}
