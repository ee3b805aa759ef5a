//! Processes: creation with `clone3`, exec, namespaces, ids and the prctl bits that `rustix` lacks.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::{Result, check, last_errno};

pub use self::flags::CloneFlags;

mod flags {
    use std::ops::{BitOr, BitOrAssign};

    /// Flags of `clone3(2)`, `unshare(2)` and `setns(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct CloneFlags(pub u64);

    impl CloneFlags {
        /// New mount namespace.
        pub const NEWNS: Self = Self(libc::CLONE_NEWNS as u64);
        /// New cgroup namespace.
        pub const NEWCGROUP: Self = Self(libc::CLONE_NEWCGROUP as u64);
        /// New UTS namespace.
        pub const NEWUTS: Self = Self(libc::CLONE_NEWUTS as u64);
        /// New IPC namespace.
        pub const NEWIPC: Self = Self(libc::CLONE_NEWIPC as u64);
        /// New user namespace.
        pub const NEWUSER: Self = Self(libc::CLONE_NEWUSER as u64);
        /// New PID namespace.
        pub const NEWPID: Self = Self(libc::CLONE_NEWPID as u64);
        /// New network namespace.
        pub const NEWNET: Self = Self(libc::CLONE_NEWNET as u64);
        /// New time namespace.
        pub const NEWTIME: Self = Self(0x80);
        /// The child's parent is the caller's parent.
        pub const PARENT: Self = Self(libc::CLONE_PARENT as u64);

        /// No flag.
        pub const fn empty() -> Self {
            Self(0)
        }

        /// Whether every flag of `other` is set.
        pub const fn contains(self, other: Self) -> bool {
            self.0 & other.0 == other.0
        }

        /// Whether no flag is set.
        pub const fn is_empty(self) -> bool {
            self.0 == 0
        }

        /// The flags without those of `other`.
        pub const fn without(self, other: Self) -> Self {
            Self(self.0 & !other.0)
        }
    }

    impl BitOr for CloneFlags {
        type Output = Self;
        fn bitor(self, rhs: Self) -> Self {
            Self(self.0 | rhs.0)
        }
    }

    impl BitOrAssign for CloneFlags {
        fn bitor_assign(&mut self, rhs: Self) {
            self.0 |= rhs.0;
        }
    }
}

/// What [`clone3`] and [`fork`] return.
#[derive(Debug)]
pub enum Forked {
    /// In the new process.
    Child,
    /// In the caller: the child's id in the caller's PID namespace, and its pidfd.
    Parent {
        /// Process id as the caller sees it.
        pid: i32,
        /// Close-on-exec pidfd of the child.
        pidfd: OwnedFd,
    },
}

/// Creates a process with `clone3(2)`: a copy of the caller (copy-on-write, as `fork`) in the namespaces of `flags`, started
/// inside the cgroup v2 directory `cgroup` when given. Its end is signalled by `SIGCHLD`.
///
/// The caller must be single-threaded: `pthread_atfork` handlers do not run, so a lock held by another thread (the
/// allocator's, say) would stay locked in the child for ever.
pub fn clone3(flags: CloneFlags, cgroup: Option<BorrowedFd<'_>>) -> Result<Forked> {
    let mut pidfd: RawFd = -1;
    // SAFETY: `clone_args` is a plain C struct of integers for which all zeroes is valid.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags.0 | libc::CLONE_PIDFD as u64;
    args.pidfd = (&raw mut pidfd) as u64;
    // A sibling of the caller ends with the caller's own signal.
    args.exit_signal = if flags.contains(CloneFlags::PARENT) { 0 } else { libc::SIGCHLD as u64 };
    if let Some(dir) = cgroup {
        args.flags |= 0x2_0000_0000; // CLONE_INTO_CGROUP
        args.cgroup = dir.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM and with no stack given the child runs on a private copy of this stack, like after fork;
    // `args` and `pidfd` live across the call.
    let ret = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>()) };
    match check(ret)? {
        0 => Ok(Forked::Child),
        pid => {
            // SAFETY: the kernel has just stored a new descriptor that nothing else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Forked::Parent { pid: pid as i32, pidfd })
        }
    }
}

/// `fork(2)` with a pidfd; the same conditions as [`clone3`] hold. Works in containers, too: their usual filter knows no
/// `clone3`.
pub fn fork() -> Result<Forked> {
    match clone3(CloneFlags::empty(), None) {
        Err(crate::Errno::NOSYS) => {}
        other => return other,
    }
    // SAFETY: the caller is single-threaded, so the child may do whatever the caller may.
    let ret = unsafe { libc::fork() };
    match check(ret.into())? {
        0 => Ok(Forked::Child),
        pid => {
            let raw = rustix::process::Pid::from_raw(pid as i32).ok_or(crate::Errno::CHILD)?;
            let pidfd = rustix::process::pidfd_open(raw, rustix::process::PidfdFlags::empty())?;
            Ok(Forked::Parent { pid: pid as i32, pidfd })
        }
    }
}

/// A null-terminated vector of C strings, prepared once so that [`exec`] only makes a system call.
#[derive(Debug)]
pub struct CStrVec {
    pointers: Vec<*const libc::c_char>,
    strings: Vec<std::ffi::CString>,
}

impl CStrVec {
    /// Takes the strings and builds the pointer array.
    pub fn new(strings: Vec<std::ffi::CString>) -> Self {
        let pointers = strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect();
        Self { pointers, strings }
    }

    /// The strings themselves.
    pub fn strings(&self) -> &[std::ffi::CString] {
        &self.strings
    }
}

/// `execve(2)`: returns only on failure, with the reason.
pub fn exec(program: &CStr, args: &CStrVec, env: &CStrVec) -> crate::Errno {
    // SAFETY: both vectors are null-terminated arrays of pointers to strings that `CStrVec` owns.
    unsafe { libc::execve(program.as_ptr(), args.pointers.as_ptr(), env.pointers.as_ptr()) };
    last_errno()
}

/// `execveat(2)` of the open file `file`: returns only on failure.
pub fn exec_fd(file: BorrowedFd<'_>, args: &CStrVec, env: &CStrVec) -> crate::Errno {
    // SAFETY: as for `exec`; the path is the empty string.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            args.pointers.as_ptr(),
            env.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    last_errno()
}

/// `_exit(2)`: ends the process at once, running no destructor and flushing nothing.
pub fn exit(code: i32) -> ! {
    // SAFETY: always sound; it does not return.
    unsafe { libc::_exit(code) }
}

/// `unshare(2)` of the calling thread.
pub fn unshare(flags: CloneFlags) -> Result<()> {
    // SAFETY: CLONE_FILES and CLONE_VM, which could confuse descriptor ownership, are not expressible in `CloneFlags`.
    check(unsafe { libc::unshare(flags.0 as libc::c_int) }.into()).map(drop)
}

/// `setns(2)`: joins the namespaces `kinds` of `fd`, a namespace file (one kind or empty) or a pidfd (several kinds).
pub fn setns(fd: BorrowedFd<'_>, kinds: CloneFlags) -> Result<()> {
    // SAFETY: a system call on a borrowed descriptor.
    check(unsafe { libc::setns(fd.as_raw_fd(), kinds.0 as libc::c_int) }.into()).map(drop)
}

/// `setgroups(2)` of the calling thread only (glibc's would signal every thread).
pub fn set_groups(groups: &[u32]) -> Result<()> {
    // SAFETY: pointer and length describe a live slice of `gid_t`.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

/// `setresgid(2)` of all three ids, calling thread only.
pub fn set_gid(gid: u32) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

/// `setresuid(2)` of all three ids, calling thread only.
pub fn set_uid(uid: u32) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

/// `setrlimit(2)` by the kernel's resource number; limits are in the resource's unit, [`u64::MAX`] is unlimited.
pub fn set_rlimit(resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    let none = std::ptr::null_mut::<libc::rlimit64>();
    // SAFETY: pid 0 is the caller, `limit` lives across the call, no old value is asked for.
    check(unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, &raw const limit, none) }).map(drop)
}

/// `PR_SET_DUMPABLE`: whether other processes of the same user may trace this one and read its `/proc` entry.
pub fn set_dumpable(dumpable: bool) -> Result<()> {
    prctl(libc::PR_SET_DUMPABLE, u64::from(dumpable))
}

/// `PR_SET_PDEATHSIG`: the signal this process gets when its parent thread ends; 0 turns it off.
pub fn set_parent_death_signal(signal: i32) -> Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, signal as u64)
}

/// `PR_SET_CHILD_SUBREAPER`: orphaned descendants become children of this process.
pub fn set_subreaper(on: bool) -> Result<()> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, u64::from(on))
}

/// `PR_SET_NO_NEW_PRIVS`: exec never grants privileges from now on.
pub fn set_no_new_privs() -> Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)
}

/// `PR_SET_KEEPCAPS`: permitted capabilities survive the change to a non-zero user id.
pub fn set_keep_caps(on: bool) -> Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, u64::from(on))
}

/// Sets the name of the process as `ps` shows it (15 bytes are kept).
pub fn set_name(name: &CStr) -> Result<()> {
    // SAFETY: the kernel copies at most 16 bytes of a valid C string.
    check(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) }.into()).map(drop)
}

fn prctl(option: libc::c_int, value: u64) -> Result<()> {
    // SAFETY: only options whose arguments are integers are passed here; unused arguments must be zero.
    check(unsafe { libc::prctl(option, value, 0u64, 0u64, 0u64) }.into()).map(drop)
}

/// The calling process's id in its own PID namespace, asked from the kernel: libraries may cache the parent's.
pub fn pid() -> i32 {
    // SAFETY: always succeeds.
    unsafe { libc::syscall(libc::SYS_getpid) as i32 }
}
