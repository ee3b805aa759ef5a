//! Re-executing the own binary from a place that nothing can write.
//!
//! A process that enters a container can be reached there as `/proc/<pid>/exe`. Opened for writing once the process is gone,
//! that link would reach the binary on the host (CVE-2019-5736). When the binary runs from a read-only detached mount, or
//! from a sealed memory file, the write fails whatever privileges the container has.

use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use rustix::fs::CWD;
use rustix::mount::OpenTreeFlags;

use crate::mount::{ATTR_RDONLY, MountAttr, mount_setattr};
use crate::process::{CStrVec, exec_fd};
use crate::{Errno, Result};

/// Marks a process that already runs protected.
const MARK: &str = "_WHARF_PROTECTED";

/// The own binary on a read-only mount that hangs in no directory tree; a sealed copy in memory where the kernel or missing
/// privileges do not allow that.
pub fn protected() -> std::io::Result<OwnedFd> {
    match detached_mount(c"/proc/self/exe") {
        Ok(fd) => Ok(fd),
        Err(_) => crate::fd::sealed_copy("wharf", &mut File::open("/proc/self/exe")?),
    }
}

fn detached_mount(path: &CStr) -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(CWD, path, flags)?;
    mount_setattr(tree.as_fd(), c"", false, MountAttr { set: ATTR_RDONLY, ..MountAttr::default() }, None)?;
    Ok(tree)
}

/// Replaces this process by the protected binary with `args` (`args[0]` included) and the current environment; returns only
/// on failure.
pub fn exec_protected(args: Vec<OsString>) -> std::io::Error {
    let file = match protected() {
        Ok(file) => file,
        Err(error) => return error,
    };
    let env = std::env::vars_os().map(|(mut key, value)| {
        key.push("=");
        key.push(value);
        key
    });
    let env = env.filter(|entry| !entry.as_encoded_bytes().starts_with(MARK.as_bytes()));
    let mark = OsString::from(format!("{MARK}=1"));
    let to_c = |list: Vec<OsString>| {
        let list =
            list.into_iter().map(|s| CString::new(s.into_vec())).collect::<std::result::Result<Vec<_>, _>>();
        list.map(CStrVec::new)
    };
    let (Ok(args), Ok(env)) = (to_c(args), to_c(env.chain([mark]).collect())) else {
        return Errno::INVAL.into();
    };
    exec_fd(file.as_fd(), &args, &env).into()
}

/// Makes sure this process runs protected: returns at once when it does, otherwise re-executes itself with the same
/// arguments. To be called first thing in `main`, before any thread. Fails when neither a mount nor a copy is possible.
pub fn ensure_protected() -> std::io::Result<()> {
    if is_protected() {
        return Ok(());
    }
    Err(exec_protected(std::env::args_os().collect()))
}

/// Whether the running binary cannot be written through `/proc/self/exe`: it is sealed, or on a read-only mount.
pub fn is_protected() -> bool {
    if std::env::var_os(MARK).is_none() {
        return false;
    }
    let Ok(exe) = File::open("/proc/self/exe") else { return false };
    let seals = rustix::fs::fcntl_get_seals(&exe);
    if seals.is_ok_and(|seals| seals.contains(rustix::fs::SealFlags::WRITE)) {
        return true;
    }
    let read_only = rustix::fs::fstatvfs(exe.as_fd()).map(|vfs| vfs.f_flag);
    read_only.is_ok_and(|flags| flags.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}
