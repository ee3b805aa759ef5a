//! Running a further process in a container.
//!
//! A helper joins the control groups and namespaces and becomes the user; only then does it make the process inside the
//! container's PID namespace, so that nothing there ever sees a process with the host's files or root's rights.

use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use oci_spec::runtime::{LinuxSeccomp, Process as ProcessSpec, Spec};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};
use wharf_sys::process::{self, CloneFlags, Forked};

use crate::cgroup::Cgroup;
use crate::channel::{Channel, Kind};
use crate::container::{Process, Stdio, kill_and_reap};
use crate::error::{Context, Error, Result};
use crate::hooks::HookState;
use crate::process::{Prepared, Ready, close_others, place_streams, reset_signals};
use crate::{namespaces, seccomp_agent, spawn, terminal};

/// What [`exec`] needs.
#[derive(Debug)]
pub struct ExecArgs<'a> {
    /// Container id.
    pub id: &'a str,
    /// The container's specification: which namespaces it has, and its seccomp filter.
    pub spec: &'a Spec,
    /// The container's first process.
    pub init: BorrowedFd<'a>,
    /// The container's control group.
    pub cgroup: Option<&'a Cgroup>,
    /// The process to run.
    pub process: &'a ProcessSpec,
    /// Standard streams.
    pub stdio: Stdio,
    /// How many descriptors from 3 on stay open in the program.
    pub preserve_fds: u32,
}

/// Runs a process in a container; returns when it is about to execute its program. The process is the caller's child.
pub fn exec(args: ExecArgs<'_>) -> Result<Process> {
    let prepared = Prepared::new(args.process)?;
    let (channel, child_channel) = Channel::pair()?;
    let unified = args.cgroup.map(|cgroup| cgroup.open_for(args.init)).transpose()?.flatten();
    let (forked, in_cgroup) = spawn::clone_into(CloneFlags::empty(), unified.as_ref().map(AsFd::as_fd))?;
    match forked {
        Forked::Child => {
            drop(channel);
            let helper = Helper { args: &args, prepared, channel: &child_channel, join_unified: !in_cgroup };
            helper.run()
        }
        Forked::Parent { pid, pidfd } => {
            drop(child_channel);
            let mut parent = Parent { channel, pid, pidfd, terminal: None, helper: None };
            match parent.wait_ready(&args) {
                Ok(()) => {
                    parent.reap_helper();
                    let Parent { pid, pidfd, terminal, .. } = parent;
                    Ok(Process { pid, pidfd, terminal, cgroup: args.cgroup.cloned() })
                }
                Err(error) => {
                    kill_and_reap(parent.pidfd.as_fd());
                    parent.reap_helper();
                    Err(error)
                }
            }
        }
    }
}

/// The caller's view.
struct Parent {
    channel: Channel,
    pid: i32,
    pidfd: OwnedFd,
    terminal: Option<OwnedFd>,
    /// The helper once it has made the process proper.
    helper: Option<OwnedFd>,
}

impl Parent {
    /// Helper and process write independently, so the process's id may come after what it says itself.
    fn wait_ready(&mut self, args: &ExecArgs<'_>) -> Result<()> {
        let mut known = !joined(args.spec).contains(CloneFlags::NEWPID);
        let mut ready = false;
        let mut failure = None;
        let mut listener = None;
        while let Some(message) = self.channel.recv()? {
            match message.kind {
                Kind::Ready => ready = true,
                Kind::Terminal => self.terminal = message.fds.into_iter().next(),
                Kind::SeccompFd => listener = Some(message.payload),
                Kind::Pid => {
                    self.adopt(&message.payload)?;
                    known = true;
                }
                // Reading on to the end makes sure that every process is known and gets reaped.
                Kind::Failed => {
                    failure = Some(Error::Init(String::from_utf8_lossy(&message.payload).into_owned()));
                }
                other => return Err(Error::setup(format!("unexpected message {other:?} from exec helper"))),
            }
            if known && let Some(number) = listener.take() {
                let state = HookState::new(args.spec, args.id, std::path::Path::new(""), self.pid, "running");
                seccomp_agent::hand_over(self.pidfd.as_fd(), &number, filter(args.spec), &state)?;
                self.channel.send(Kind::SeccompFd, &[])?;
            }
            if known && ready {
                return Ok(());
            }
        }
        Err(failure.unwrap_or_else(|| Error::Init("exec helper exited unexpectedly".into())))
    }

    /// The helper has made the process, a child of ours that cannot vanish before we wait for it.
    fn adopt(&mut self, payload: &[u8]) -> Result<()> {
        let pid = payload.try_into().map(i32::from_ne_bytes).map_err(|_| Error::setup("bad pid message"))?;
        let raw = Pid::from_raw(pid).ok_or_else(|| Error::setup("bad pid message"))?;
        let pidfd = rustix::process::pidfd_open(raw, PidfdFlags::empty()).setup(|| "pidfd_open".into())?;
        self.pid = pid;
        self.helper = Some(std::mem::replace(&mut self.pidfd, pidfd));
        Ok(())
    }

    fn reap_helper(&mut self) {
        if let Some(helper) = self.helper.take() {
            let _ = rustix::io::retry_on_intr(|| {
                rustix::process::waitid(WaitId::PidFd(helper.as_fd()), WaitIdOptions::EXITED)
            });
        }
    }
}

/// The namespaces the container has of its own.
fn joined(spec: &Spec) -> CloneFlags {
    namespaces::listed(spec).iter().fold(CloneFlags::empty(), |all, next| all | namespaces::flag(next.typ()))
}

fn filter(spec: &Spec) -> Option<&LinuxSeccomp> {
    spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref())
}

/// The helper, which in a container without PID namespace is the process itself.
struct Helper<'a> {
    args: &'a ExecArgs<'a>,
    prepared: Prepared,
    channel: &'a Channel,
    join_unified: bool,
}

impl<'a> Helper<'a> {
    fn run(self) -> ! {
        let channel = self.channel;
        let code = match catch_unwind(AssertUnwindSafe(|| self.set_up())) {
            Ok(Ok(Some(ready))) => ready.exec(),
            Ok(Ok(None)) => 0,
            Ok(Err(error)) => {
                let _ = channel.send(Kind::Failed, error.to_string().as_bytes());
                1
            }
            Err(_) => {
                let _ = channel.send(Kind::Failed, b"internal error in exec helper");
                1
            }
        };
        process::exit(code)
    }

    /// `None` in the helper after it made the process.
    fn set_up(self) -> Result<Option<Ready>> {
        let (args, channel) = (self.args, self.channel);
        process::set_dumpable(false).init(|| "set non-dumpable".into())?;
        reset_signals()?;
        if let Some(cgroup) = args.cgroup {
            cgroup.join(self.join_unified)?;
        }
        self.prepared.apply_limits("process")?;
        let kinds = self.join_namespaces()?;
        // Its master is closed below behind its back.
        let terminal = ManuallyDrop::new(self.set_up_streams()?);
        crate::init::join_keyring(args.id)?;
        let filter = filter(args.spec);
        let ready = self.prepared.become_user(filter)?;
        let keep: Vec<BorrowedFd<'_>> =
            [Some(channel.fd()), terminal.as_ref().map(|t| t.slave.as_fd())].into_iter().flatten().collect();
        close_others(args.preserve_fds, &keep)?;
        if kinds.contains(CloneFlags::NEWPID) {
            match process::clone3(CloneFlags::PARENT, None).init(|| "clone3".into())? {
                Forked::Parent { pid, .. } => {
                    channel.send(Kind::Pid, &pid.to_ne_bytes())?;
                    return Ok(None);
                }
                Forked::Child => {}
            }
        }
        rustix::process::setsid().init(|| "setsid".into())?;
        if let Some(terminal) = terminal.as_ref() {
            terminal.control()?;
        }
        crate::init::confine(&ready, filter, channel)?;
        channel.send(Kind::Ready, &[])?;
        Ok(Some(ready))
    }

    fn join_namespaces(&self) -> Result<CloneFlags> {
        let kinds = joined(self.args.spec);
        match process::setns(self.args.init, kinds) {
            Err(wharf_sys::Errno::SRCH) => return Err(Error::Init("container is not running".into())),
            result => result.init(|| "join the container's namespaces".into())?,
        }
        if kinds.contains(CloneFlags::NEWUSER) {
            process::set_gid(0).init(|| "setgid in user namespace".into())?;
            process::set_uid(0).init(|| "setuid in user namespace".into())?;
        }
        Ok(kinds)
    }

    fn set_up_streams(&self) -> Result<Option<terminal::Terminal>> {
        let preserve = self.args.preserve_fds;
        match &self.args.stdio {
            Stdio::Fds { stdin, stdout, stderr } => {
                place_streams([stdin.as_fd(), stdout.as_fd(), stderr.as_fd()], preserve)?;
            }
            Stdio::Inherit => {}
            Stdio::Terminal { size } => {
                let terminal = terminal::open(*size, self.args.process.user().uid())?;
                self.channel.send_fd(Kind::Terminal, terminal.master.as_fd())?;
                let slave = terminal.slave.as_fd();
                place_streams([slave, slave, slave], preserve)?;
                return Ok(Some(terminal));
            }
        }
        Ok(None)
    }
}
