//! The runtime's door: a container from its creation to its removal.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::PollFlags;
use wharf_oci::runtime::{LinuxNamespaceType, Process as ProcessSpec, Spec};
use wharf_runtime::{Cgroup, CreateArgs, Created, Error, ExecArgs, FailureKind, OomWatch, Process, Stdio};

use super::session::ChildStreams;
use crate::config::MonitorConfig;
use crate::protocol::{ConsoleSize, ErrorKind, Reply};

/// Where the container stands with the runtime.
#[derive(Debug)]
enum Phase {
    /// At the start barrier; the error that preparing it met is told at the start.
    Created(Box<Created>, Option<Error>),
    /// The program runs, or has run.
    Started,
    Removed,
}

#[derive(Debug)]
pub(super) struct Container {
    id: String,
    /// What exec sessions need of the specification.
    spec: Spec,
    phase: Phase,
    pid: i32,
    cgroup: Option<Cgroup>,
    oom: Option<OomWatch>,
    oom_kills: u64,
    /// Its processes end with init by themselves.
    own_pids: bool,
}

impl Container {
    /// Makes init. Returns at once: its namespaces exist, everything else comes with [`Container::prepare`].
    pub(super) fn create(
        config: &MonitorConfig,
        dir: &Path,
        spec: Spec,
        pipes: Option<ChildStreams>,
    ) -> Result<Container, Error> {
        let stdio = stdio(pipes, config.console_size);
        let args = CreateArgs::new(&config.id, dir, &spec, &config.rootfs, stdio);
        let created = wharf_runtime::create(args)?;
        Ok(Container {
            pid: created.pid(),
            cgroup: created.cgroup().cloned(),
            phase: Phase::Created(Box::new(created), None),
            oom: None,
            oom_kills: 0,
            own_pids: has_own_pids(&spec),
            id: config.id.clone(),
            spec: for_exec(spec),
        })
    }

    /// Waits until init has only the program left to execute, so that the start takes no longer than it must. Failures are
    /// kept for it.
    pub(super) fn prepare(&mut self) {
        let Phase::Created(created, failure) = &mut self.phase else { return };
        *failure = created.prepare().err();
        if failure.is_none() {
            // Without a watch (no memory controller, no inotify instance left) the count is looked at in the end.
            self.oom = self.cgroup.as_ref().and_then(|cgroup| cgroup.watch_oom().ok());
        }
    }

    /// Pid of init.
    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// Runs the program. When that fails nothing is left.
    pub(super) fn start(&mut self) -> Result<Process, Error> {
        match std::mem::replace(&mut self.phase, Phase::Removed) {
            Phase::Created(created, None) => {
                let process = created.start()?;
                self.phase = Phase::Started;
                Ok(process)
            }
            Phase::Created(created, Some(error)) => {
                drop(created);
                Err(error)
            }
            phase => {
                self.phase = phase;
                Err(Error::State("container has been started before".into()))
            }
        }
    }

    /// Runs another process in it.
    pub(super) fn exec(
        &self,
        init: BorrowedFd<'_>,
        process: &ProcessSpec,
        stdio: Stdio,
    ) -> Result<Process, Error> {
        wharf_runtime::exec(ExecArgs {
            id: &self.id,
            spec: &self.spec,
            init,
            cgroup: self.cgroup.as_ref(),
            process,
            stdio,
            preserve_fds: 0,
        })
    }

    /// Becomes ready when memory has run out.
    pub(super) fn oom_events(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        self.oom.as_ref().map(|watch| (watch.as_fd(), PollFlags::IN))
    }

    /// Whether a process was killed for lack of memory since the last call.
    pub(super) fn was_oom_killed(&mut self) -> bool {
        if let Some(watch) = &self.oom {
            watch.drain();
        }
        let kills = self.cgroup.as_ref().map_or(0, Cgroup::oom_kills);
        std::mem::replace(&mut self.oom_kills, kills) < kills
    }

    /// Ends what is left of it after init.
    pub(super) fn kill_rest(&self) {
        if let Some(cgroup) = self.cgroup.as_ref().filter(|_| !self.own_pids) {
            let _ = cgroup.kill_all();
        }
    }

    pub(super) fn signal_all(&self, signal: i32) -> Result<(), Error> {
        self.cgroup()?.signal_all(signal)
    }

    pub(super) fn freeze(&self) -> Result<(), Error> {
        self.cgroup()?.freeze()
    }

    pub(super) fn thaw(&self) -> Result<(), Error> {
        self.cgroup()?.thaw()
    }

    fn cgroup(&self) -> Result<&Cgroup, Error> {
        self.cgroup.as_ref().ok_or_else(|| Error::State("container has no cgroup".into()))
    }

    /// Removes what is left: init when it waits at the barrier, the control group.
    pub(super) fn remove(&mut self) {
        self.oom = None;
        let phase = std::mem::replace(&mut self.phase, Phase::Removed);
        if let (Phase::Started, Some(cgroup)) = (phase, &self.cgroup) {
            // One that is still busy is swept by the daemon.
            let _ = cgroup.delete();
        }
    }
}

/// The streams of a process, a terminal when there are no pipes.
pub(super) fn stdio(pipes: Option<ChildStreams>, size: Option<ConsoleSize>) -> Stdio {
    match pipes {
        Some(ChildStreams { stdin, stdout, stderr }) => Stdio::Fds { stdin, stdout, stderr },
        None => Stdio::Terminal { size: size.map(|size| (size.height, size.width)) },
    }
}

/// The specification without what only the creation needs: a monitor is to be small.
fn for_exec(mut spec: Spec) -> Spec {
    spec.set_process(None).set_mounts(None).set_hooks(None);
    if let Some(linux) = spec.linux_mut() {
        linux.set_resources(None).set_devices(None).set_sysctl(None);
        linux.set_masked_paths(None).set_readonly_paths(None);
    }
    spec
}

fn has_own_pids(spec: &Spec) -> bool {
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    let mut pid = namespaces.into_iter().flatten().filter(|n| n.typ() == LinuxNamespaceType::Pid);
    pid.any(|n| n.path().is_none())
}

/// What a failure of the runtime is told as.
pub(super) fn refusal(error: &Error, verb: &str) -> Reply {
    let kind = match error.kind() {
        FailureKind::NotFound => ErrorKind::NotFound,
        FailureKind::NotExecutable => ErrorKind::NotExecutable,
        FailureKind::NotADirectory | FailureKind::Other => ErrorKind::BadProcess,
    };
    Reply::Error { kind, message: error.runc_message(verb) }
}

/// The exit code of a container that could not be started.
pub(super) fn exit_code(error: &Error) -> i32 {
    match error.kind() {
        FailureKind::NotFound => 127,
        FailureKind::NotExecutable | FailureKind::NotADirectory => 126,
        FailureKind::Other => 128,
    }
}

/// Sends a signal by its number.
pub(super) fn send_signal(pidfd: &OwnedFd, signal: i32) -> rustix::io::Result<()> {
    wharf_sys::signal::send_pidfd(pidfd.as_fd(), signal)
}
