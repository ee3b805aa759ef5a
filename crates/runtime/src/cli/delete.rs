//! `delete`.

use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use wharf_sys::signal;

use super::flags::Flags;
use super::{Context, Failure};
use crate::error::{Error, Result};
use crate::hooks::{self, Point};
use crate::state::{Container, Status};

/// How long a killed process may take to end.
const LIMIT: Duration = Duration::from_secs(10);

pub(super) fn run(context: &Context, args: Vec<String>) -> Result<ExitCode, Failure> {
    let mut flags = Flags::parse(&[("force", Some('f'), false)], args)?;
    let id = flags.id()?;
    let force = flags.is_set("force");
    match delete(context, &id, force) {
        // compat: forcing makes a missing container no error.
        Err(Error::NotExist) if force => Ok(ExitCode::SUCCESS),
        result => result.map(|()| ExitCode::SUCCESS).map_err(Failure::from),
    }
}

/// Removes a container: its processes, control group and state.
pub(super) fn delete(context: &Context, id: &str, force: bool) -> Result<()> {
    let container = Container::open(&context.root, id)?;
    let cgroup = container.cgroup()?;
    match container.status() {
        Status::Stopped => {}
        Status::Created => kill(&container)?,
        _ if force => {
            cgroup.kill_all()?;
            if cgroup.is_frozen() {
                cgroup.thaw()?;
            }
            kill(&container)?;
        }
        status => {
            let text = format!("cannot delete container {id} that is not stopped: {}\n", status.as_str());
            return Err(Error::State(text));
        }
    }
    if !container.state.config_has_pid_namespace() {
        // Nothing ended the other processes when the first one did.
        cgroup.kill_all()?;
    }
    cgroup.delete()?;
    let (config, document) = (container.state.config.clone(), container.document(Status::Stopped));
    container.remove()?;
    hooks::run(&config, Point::Poststop, &document)
}

fn kill(container: &Container) -> Result<()> {
    let Ok(pidfd) = container.pidfd() else { return Ok(()) };
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        if signal::send_pidfd(pidfd.as_fd(), libc::SIGKILL).is_err() {
            return Ok(());
        }
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        let pause = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        if rustix::event::poll(&mut fds, Some(&pause)).is_ok_and(|count| count > 0) {
            return Ok(());
        }
    }
    Err(Error::State("container init still running".into()))
}
