//! Making a container's first process in the right namespaces.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::process::{Pid, PidfdFlags};
use wharf_sys::Errno;
use wharf_sys::process::{self, CloneFlags, Forked};

use crate::channel::{Channel, Kind};
use crate::container::{kill_and_reap, wait};
use crate::error::{Context, Error, Result};
use crate::namespaces::{Namespaces, clone_in};

/// A process that was made, and what is already done for it.
pub(crate) struct Spawned {
    pub(crate) forked: Forked,
    /// It was born in the v2 control group.
    pub(crate) in_cgroup: bool,
    /// It is in the namespaces that were to be joined.
    pub(crate) joined: bool,
}

/// Clones the container's first process, into the v2 control group `cgroup` where possible.
///
/// New namespaces come with the clone but for the cgroup and time ones, which the process makes when it is where it has to be.
pub(crate) fn first_process(namespaces: &Namespaces, cgroup: Option<BorrowedFd<'_>>) -> Result<Spawned> {
    let flags = namespaces.new.without(CloneFlags::NEWCGROUP | CloneFlags::NEWTIME);
    let new_user = flags.contains(CloneFlags::NEWUSER);
    if namespaces.joins(CloneFlags::NEWUSER) || new_user && !namespaces.join.is_empty() {
        return through_helper(namespaces, flags, cgroup);
    }
    let (forked, in_cgroup) = clone_in(namespaces.joined(CloneFlags::NEWPID), || clone_into(flags, cgroup))?;
    Ok(Spawned { forked, in_cgroup, joined: false })
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

/// A new namespace belongs to the user namespace of its maker, and foreign ones can only be joined with rights over theirs:
/// so a helper joins first and clones then. The process is its sibling, that is our child.
fn through_helper(
    namespaces: &Namespaces,
    flags: CloneFlags,
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<Spawned> {
    let (channel, helper_channel) = Channel::pair()?;
    let (helper, in_cgroup) = clone_into(CloneFlags::empty(), cgroup)?;
    let Forked::Parent { pidfd: helper, .. } = helper else {
        drop(channel);
        return match help(namespaces, flags) {
            Ok(Forked::Child) => Ok(Spawned { forked: Forked::Child, in_cgroup, joined: true }),
            Ok(Forked::Parent { pid, .. }) => {
                process::exit(i32::from(helper_channel.send(Kind::Pid, &pid.to_ne_bytes()).is_err()))
            }
            Err(error) => {
                let _ = helper_channel.send(Kind::Failed, error.to_string().as_bytes());
                process::exit(1)
            }
        };
    };
    drop(helper_channel);
    let made = channel.recv();
    if wait(helper.as_fd()).is_err() {
        kill_and_reap(helper.as_fd());
    }
    let made = made?.ok_or_else(|| Error::setup("namespace helper exited unexpectedly"))?;
    if made.kind == Kind::Failed {
        return Err(Error::Init(String::from_utf8_lossy(&made.payload).into_owned()));
    }
    let bytes = made.payload.as_slice().try_into().map_err(|_| Error::setup("bad pid message"))?;
    let pid = i32::from_ne_bytes(bytes);
    let raw = Pid::from_raw(pid).ok_or_else(|| Error::setup("bad pid message"))?;
    let pidfd = rustix::process::pidfd_open(raw, PidfdFlags::empty()).setup(|| "pidfd_open".into())?;
    Ok(Spawned { forked: Forked::Parent { pid, pidfd }, in_cgroup, joined: true })
}

fn help(namespaces: &Namespaces, flags: CloneFlags) -> Result<Forked> {
    namespaces.join_all(CloneFlags::empty())?;
    if namespaces.joins(CloneFlags::NEWUSER) {
        process::set_gid(0).init(|| "setgid in user namespace".into())?;
        process::set_uid(0).init(|| "setuid in user namespace".into())?;
    }
    process::clone3(flags | CloneFlags::PARENT, None).init(|| "clone3".into())
}
