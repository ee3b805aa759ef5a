//! Becoming the program of a specification's `process`: limits, ids, capabilities, filter, exec. The first process of a
//! container and later ones share it.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use oci_spec::runtime::{LinuxSeccomp, PosixRlimitType, Process as ProcessSpec};
use rustix::fs::{CWD, Gid, Mode, OFlags, Uid};
use wharf_sys::process::CStrVec;
use wharf_sys::{Errno, caps, fd, process, signal};

use crate::capabilities::{CapabilitySets, SYS_ADMIN};
use crate::error::{Context, Error, Result, io_errno};
use crate::{lookup, seccomp};

/// A process specification, checked and converted; what can fail for a wrong document has failed before anything is made.
#[derive(Debug)]
pub(crate) struct Prepared {
    args: Vec<String>,
    env: Vec<String>,
    cwd: PathBuf,
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    umask: Option<u32>,
    capabilities: CapabilitySets,
    no_new_privs: bool,
    rlimits: Vec<(PosixRlimitType, u64, u64)>,
    oom_score_adj: Option<i32>,
    apparmor: Option<String>,
    selinux: Option<String>,
    tuning: crate::tuning::Tuning,
}

impl Prepared {
    /// Checks and converts; the error texts are runc's.
    pub(crate) fn new(spec: &ProcessSpec) -> Result<Self> {
        let args = spec.args().clone().unwrap_or_default();
        if spec.cwd().as_os_str().is_empty() {
            return Err(Error::config("Cwd property must not be empty"));
        }
        if !spec.cwd().is_absolute() {
            return Err(Error::config("Cwd must be an absolute path"));
        }
        if args.is_empty() {
            return Err(Error::config("args must not be empty"));
        }
        let env = environment(spec.env().as_deref().unwrap_or_default());
        if args.iter().chain(&env).any(|text| text.contains('\0')) {
            return Err(Error::config("arguments and environment must not contain zero bytes"));
        }
        let limits = spec.rlimits().iter().flatten();
        let text = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
        Ok(Self {
            args,
            env,
            cwd: spec.cwd().clone(),
            uid: spec.user().uid(),
            gid: spec.user().gid(),
            groups: spec.user().additional_gids().clone().unwrap_or_default(),
            umask: spec.user().umask(),
            capabilities: CapabilitySets::of(spec.capabilities().as_ref()),
            no_new_privs: spec.no_new_privileges().unwrap_or(false),
            rlimits: limits.map(|limit| (limit.typ(), limit.soft(), limit.hard())).collect(),
            oom_score_adj: spec.oom_score_adj(),
            apparmor: text(spec.apparmor_profile()),
            selinux: text(spec.selinux_label()),
            tuning: crate::tuning::Tuning::new(spec)?,
        })
    }

    /// The working directory.
    pub(crate) fn cwd(&self) -> &PathBuf {
        &self.cwd
    }

    /// What needs the host's `/proc` and full privileges: to be called before the root is changed or the namespaces of a
    /// container are entered. `what` is how error messages call the process.
    pub(crate) fn apply_limits(&self, what: &str) -> Result<()> {
        if let Some(wanted) = self.oom_score_adj {
            apply_oom_score(wanted).init(|| "write oom_score_adj".into())?;
        }
        for (kind, soft, hard) in &self.rlimits {
            process::set_rlimit(rlimit_number(*kind), *soft, *hard).init(|| {
                format!(
                    "error setting rlimits for {what}: error setting rlimit type {}",
                    rlimit_number(*kind)
                )
            })?;
        }
        self.tuning.apply()
    }

    /// Takes the user's identity and rights and finds the program. What is left for [`Ready::exec`] needs no privilege.
    /// `filter` is loaded last, so that it need not allow what happens here.
    pub(crate) fn become_user(mut self, filter: Option<&LinuxSeccomp>) -> Result<Ready> {
        self.complete_env();
        let have = caps::get().init(|| "unable to read caps".into())?.permitted;
        let capabilities = self.capabilities.limited_to(have);
        // As root first: the directory may be closed to the user.
        let entered = rustix::process::chdir(&self.cwd);
        self.own_streams();
        capabilities.drop_bounding()?;
        self.set_ids()?;
        if let Err(errno) = entered.or_else(|_| rustix::process::chdir(&self.cwd)) {
            let text = format!("chdir to cwd ({:?}) set in config.json failed", self.cwd);
            return Err(errno).init(|| text);
        }
        self.check_cwd()?;
        rustix::process::umask(Mode::from_raw_mode(self.umask.unwrap_or(0o022)));
        let program = lookup::find(&self.args[0], variable(&self.env, "PATH").unwrap_or_default())?;
        let admin = !self.no_new_privs && filter.is_some();
        Ok(Ready {
            program,
            args: c_strings(self.args)?,
            env: c_strings(self.env)?,
            capabilities,
            no_new_privs: self.no_new_privs,
            apparmor: self.apparmor,
            selinux: self.selinux,
            admin: admin && have & SYS_ADMIN != 0,
        })
    }

    /// `HOME` comes from the container's user database when nothing sets it.
    fn complete_env(&mut self) {
        if variable(&self.env, "HOME").is_none_or(str::is_empty) {
            self.env.retain(|entry| !entry.starts_with("HOME="));
            let passwd = std::fs::read("/etc/passwd").unwrap_or_default();
            self.env.push(format!("HOME={}", home(&String::from_utf8_lossy(&passwd), self.uid)));
        }
    }

    fn set_ids(&self) -> Result<()> {
        process::set_keep_caps(true).init(|| "set keep caps".into())?;
        match process::set_groups(&self.groups) {
            Ok(()) => {}
            // Given up for the sake of an unprivileged id map; nothing was asked for either.
            Err(Errno::PERM) if self.groups.is_empty() => {}
            Err(errno) => return Err(errno).init(|| "setgroups".into()),
        }
        process::set_gid(self.gid).init(|| format!("unable to setup user: setgid {}", self.gid))?;
        process::set_uid(self.uid).init(|| format!("unable to setup user: setuid {}", self.uid))
    }

    /// Gives standard streams to the user, who otherwise could not reopen them as `/dev/stdout`.
    fn own_streams(&self) {
        for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
            let Ok(stat) = rustix::fs::fstat(stream) else { continue };
            if stat.st_uid == self.uid || stat.st_rdev == rustix::fs::makedev(1, 3) {
                continue;
            }
            // Read-only file systems and foreign owners refuse, which does no harm.
            let _ = rustix::fs::fchown(stream, Some(Uid::from_raw(self.uid)), None::<Gid>);
        }
    }

    /// The working directory has to be inside the root: a descriptor that leaked into the container could lead out of it
    /// (CVE-2024-21626).
    fn check_cwd(&self) -> Result<()> {
        match rustix::process::getcwd(Vec::new()) {
            Ok(path) if path.as_bytes().starts_with(b"/") => Ok(()),
            Ok(_) | Err(Errno::NOENT) => Err(Error::Init(
                "current working directory is outside of container mount namespace root".into(),
            )),
            Err(errno) => Err(errno).init(|| "failed to verify if current working directory is safe".into()),
        }
    }
}

fn write_attribute(file: &str, value: &str) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(CWD, format!("/proc/self/attr/{file}"), flags, Mode::empty())?;
    rustix::io::write(&fd, value.as_bytes()).map(drop)
}

/// A process that only has to be released.
pub(crate) struct Ready {
    program: CString,
    args: CStrVec,
    env: CStrVec,
    capabilities: CapabilitySets,
    no_new_privs: bool,
    apparmor: Option<String>,
    selinux: Option<String>,
    /// `CAP_SYS_ADMIN` is kept until the filter is loaded.
    admin: bool,
}

impl Ready {
    /// Loads the filter and returns its notification descriptor, if it has one. Afterwards only `read`, `write`, `capset`,
    /// `execve` and `exit_group` are used.
    pub(crate) fn confine(&self, filter: Option<&LinuxSeccomp>) -> Result<Option<OwnedFd>> {
        self.apply_labels()?;
        self.capabilities.apply(if self.admin { SYS_ADMIN } else { 0 })?;
        self.capabilities.apply_ambient()?;
        if self.no_new_privs {
            process::set_no_new_privs().init(|| "set no_new_privs".into())?;
        }
        let Some(filter) = filter else { return Ok(None) };
        seccomp::compile(filter)?.load()
    }

    /// Labels take effect at exec, and only the process itself may set them.
    fn apply_labels(&self) -> Result<()> {
        if let Some(profile) = &self.apparmor {
            let value = format!("exec {profile}");
            write_attribute("apparmor/exec", &value)
                .or_else(|_| write_attribute("exec", &value))
                .init(|| format!("apply apparmor profile: apparmor failed to apply profile {profile:?}"))?;
        }
        if let Some(label) = &self.selinux {
            write_attribute("exec", label).init(|| "can't set process label".into())?;
        }
        Ok(())
    }

    /// Replaces this process by the program. Only returns when that failed, after telling so on standard error like runc.
    pub(crate) fn exec(&self) -> i32 {
        if self.admin && self.capabilities.apply(0).is_err() {
            return 255;
        }
        let errno = process::exec(&self.program, &self.args, &self.env);
        let text = format!("exec {}: {}\n", self.program.to_string_lossy(), crate::error::errno_text(errno));
        let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
        255
    }
}

/// Puts the streams at 0, 1 and 2, and marks everything beyond them and `preserve` further descriptors close-on-exec.
pub(crate) fn place_streams(streams: [BorrowedFd<'_>; 3], preserve: u32) -> Result<()> {
    // A source below 3 could be overwritten before it is used.
    let safe = streams.map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, 3));
    for (target, stream) in safe.into_iter().enumerate() {
        let stream = stream.init(|| "dup standard stream".into())?;
        fd::place(stream.as_fd(), target as i32).init(|| "dup2 standard stream".into())?;
    }
    fd::set_cloexec_from(3 + preserve).init(|| "close_range".into())
}

/// Closes every descriptor but the standard streams, `preserve` ones after them and `keep`.
pub(crate) fn close_others(preserve: u32, keep: &[BorrowedFd<'_>]) -> Result<()> {
    let keep: Vec<i32> = keep.iter().map(AsRawFd::as_raw_fd).collect();
    fd::close_from_except(3 + preserve, &keep).init(|| "close_range".into())
}

/// The state a new program expects: default signal actions, nothing blocked.
pub(crate) fn reset_signals() -> Result<()> {
    signal::reset().init(|| "reset signals".into())
}

fn c_strings(list: Vec<String>) -> Result<CStrVec> {
    let list = list.into_iter().map(CString::new).collect::<std::result::Result<Vec<_>, _>>();
    list.map(CStrVec::new).map_err(|_| Error::config("arguments and environment must not contain zero bytes"))
}

/// The environment with only the last of several values of a variable.
fn environment(env: &[String]) -> Vec<String> {
    let key = |entry: &String| entry.split('=').next().unwrap_or_default().to_owned();
    let mut seen = std::collections::HashSet::new();
    let mut result: Vec<String> = env.iter().rev().filter(|entry| seen.insert(key(entry))).cloned().collect();
    result.reverse();
    result
}

fn variable<'a>(env: &'a [String], name: &str) -> Option<&'a str> {
    env.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
}

/// The home directory of a user id in the text of a passwd(5) file; `/` for an unknown one.
fn home(passwd: &str, uid: u32) -> &str {
    let find = |line: &'_ str| -> Option<std::ops::Range<usize>> {
        let mut fields = line.split(':');
        (fields.nth(2)?.parse() == Ok(uid)).then_some(())?;
        let home = fields.nth(2)?;
        let start = home.as_ptr() as usize - line.as_ptr() as usize;
        Some(start..start + home.len())
    };
    passwd
        .lines()
        .find_map(|line| find(line).map(|range| &line[range]))
        .filter(|home| !home.is_empty())
        .unwrap_or("/")
}

/// Only written when it differs: lowering it needs a privilege that may be missing.
fn apply_oom_score(wanted: i32) -> Result<(), Errno> {
    let path = "/proc/self/oom_score_adj";
    let current = std::fs::read_to_string(path).map_err(|error| io_errno(&error))?;
    if current.trim().parse() == Ok(wanted) {
        return Ok(());
    }
    std::fs::write(path, wanted.to_string()).map_err(|error| io_errno(&error))
}

/// The kernel's resource number.
fn rlimit_number(kind: PosixRlimitType) -> u32 {
    use PosixRlimitType as T;
    match kind {
        T::RlimitCpu => 0,
        T::RlimitFsize => 1,
        T::RlimitData => 2,
        T::RlimitStack => 3,
        T::RlimitCore => 4,
        T::RlimitRss => 5,
        T::RlimitNproc => 6,
        T::RlimitNofile => 7,
        T::RlimitMemlock => 8,
        T::RlimitAs => 9,
        T::RlimitLocks => 10,
        T::RlimitSigpending => 11,
        T::RlimitMsgqueue => 12,
        T::RlimitNice => 13,
        T::RlimitRtprio => 14,
        T::RlimitRttime => 15,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_variable_counts() {
        let env = ["A=1", "B=2", "A=3"].map(str::to_owned);
        assert_eq!(environment(&env), ["B=2", "A=3"]);
        assert_eq!(variable(&env, "B"), Some("2"));
        assert_eq!(variable(&env, "AB"), None);
    }

    #[test]
    fn homes() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nbroken\nu:x:1000:1000::/home/u:/bin/sh\nv:x:1001:1001:::\n";
        assert_eq!(
            [home(passwd, 0), home(passwd, 1000), home(passwd, 1001), home(passwd, 7)],
            ["/root", "/home/u", "/", "/"]
        );
    }
}
