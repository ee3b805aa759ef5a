//! Making a process in the right namespaces.

use std::os::fd::{AsFd, BorrowedFd};

use wharf_sys::Errno;
use wharf_sys::process::{self, CloneFlags, Forked};

use crate::error::{Context, Error, Result};
use crate::namespaces::{Namespaces, with_children_in};

/// Clones the container's first process. Returns whether it was born in the v2 control group `cgroup`.
///
/// New namespaces come with the clone but for the cgroup and time ones, which the process makes when it is where it has to be.
pub(crate) fn first_process(
    namespaces: &Namespaces,
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<(Forked, bool)> {
    let new_user = namespaces.new.contains(CloneFlags::NEWUSER);
    if namespaces.joins(CloneFlags::NEWUSER) || new_user && !namespaces.join.is_empty() {
        return Err(Error::config(
            "joining a user namespace, or joining others from a new one, is not supported",
        ));
    }
    let flags = namespaces.new.without(CloneFlags::NEWCGROUP | CloneFlags::NEWTIME);
    with_children_in(namespaces.joined(CloneFlags::NEWPID), || clone_into(flags, cgroup))
}

/// Clones, into the v2 control group where the kernel can.
pub(crate) fn clone_into(flags: CloneFlags, cgroup: Option<BorrowedFd<'_>>) -> Result<(Forked, bool)> {
    if cgroup.is_some() {
        match process::clone3(flags, cgroup.as_ref().map(AsFd::as_fd)) {
            // Linux before 5.7, or a group that takes no processes: the process moves by itself.
            Err(Errno::INVAL | Errno::TOOBIG | Errno::BUSY | Errno::OPNOTSUPP) => {}
            result => return result.map(|forked| (forked, true)).setup(|| "clone3".into()),
        }
    }
    process::clone3(flags, None).map(|forked| (forked, cgroup.is_none())).setup(|| "clone3".into())
}
