//! Exec sessions: further processes in a running container. They live in memory only; the processes belong to the
//! container's monitor and go on when the engine dies.

use std::{
    collections::HashMap,
    os::unix::net::UnixStream,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;
use wharf_api::exec::CreateRequest;
use wharf_monitor::{ConsoleSize, ExecSpec};

use crate::{
    Engine, Error, Result,
    container::{Status, exec_user},
    ids,
};

/// How long the end of an exec's stream waits for its exit code.
const EXIT_CODE_WAIT: Duration = Duration::from_secs(2);

/// One exec session.
#[derive(Clone, Debug)]
pub struct Exec {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The container it runs in.
    pub container: String,
    /// What the client asked for.
    pub request: CreateRequest,
    /// It is a probe of the container's health: not listed, and forgotten at its end.
    pub probe: bool,
    /// Where it stands.
    pub state: ExecState,
}

/// Where an exec session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecState {
    /// Not started.
    Created,
    /// Its process runs, with this host pid.
    Running(i32),
    /// Ended with this code.
    Exited(i32),
}

/// All exec sessions of this engine's life.
#[derive(Debug, Default)]
pub(crate) struct Execs {
    by_id: Mutex<HashMap<String, watch::Sender<Exec>>>,
}

impl Execs {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<Exec>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: &str) -> Result<watch::Receiver<Exec>> {
        let missing = || Error::not_found(format!("No such exec instance: {id}"));
        self.lock().get(id).map(watch::Sender::subscribe).ok_or_else(missing)
    }

    fn set_state(&self, id: &str, state: ExecState) -> bool {
        self.lock().get(id).is_some_and(|exec| {
            exec.send_if_modified(|exec| {
                // The exit may be reported before the reply to the start was handled.
                let late = matches!((exec.state, state), (ExecState::Exited(_), ExecState::Running(_)));
                let changes = !late && exec.state != state;
                if changes {
                    exec.state = state;
                }
                changes
            })
        })
    }

    /// Records an exit; whether the session is known and was not ended before.
    pub(crate) fn exited(&self, id: &str, code: i32) -> bool {
        let changed = self.set_state(id, ExecState::Exited(code));
        let mut by_id = self.lock();
        if by_id.get(id).is_some_and(|exec| exec.borrow().probe) {
            by_id.remove(id);
        }
        changed
    }

    /// Ends what still counts as running in a container that has ended.
    pub(crate) fn container_ended(&self, container: &str, _code: i32) {
        let mut by_id = self.lock();
        by_id.retain(|_, exec| !(exec.borrow().probe && exec.borrow().container == container));
        for exec in by_id.values() {
            exec.send_if_modified(|exec| {
                let ended = exec.container == container && matches!(exec.state, ExecState::Running(_));
                if ended {
                    exec.state = ExecState::Exited(137);
                }
                ended
            });
        }
    }

    /// Drops the sessions of a removed container.
    pub(crate) fn forget(&self, container: &str) {
        self.lock().retain(|_, exec| exec.borrow().container != container);
    }

    /// Ids of the sessions of a container that run now, without probes of its health.
    pub(crate) fn running_in(&self, container: &str) -> Vec<String> {
        let running = |exec: &Exec| {
            exec.container == container && !exec.probe && matches!(exec.state, ExecState::Running(_))
        };
        self.lock()
            .values()
            .filter(|exec| running(&exec.borrow()))
            .map(|exec| exec.borrow().id.clone())
            .collect()
    }
}

impl Engine {
    /// Prepares an exec session in a running container; returns its id.
    ///
    /// # Errors
    /// No such container; not running or paused (409); no command; an unknown user.
    pub fn create_exec(&self, name: &str, request: CreateRequest) -> Result<String> {
        let exec = self.prepare_exec(name, request, false)?;
        let id = exec.borrow().id.clone();
        Ok(id)
    }

    /// As [`Engine::create_exec`], for a probe of the container's health.
    pub(crate) fn create_probe(&self, name: &str, request: CreateRequest) -> Result<watch::Receiver<Exec>> {
        self.prepare_exec(name, request, true)
    }

    fn prepare_exec(&self, name: &str, request: CreateRequest, probe: bool) -> Result<watch::Receiver<Exec>> {
        let entry = self.containers.find(name)?;
        let container = entry.get();
        if request.cmd.as_ref().is_none_or(|cmd| cmd.is_empty()) {
            return Err(Error::invalid("No exec command specified"));
        }
        if container.state.status == Status::Paused {
            return Err(Error::conflict(format!(
                "Container {name} is paused, unpause the container before exec"
            )));
        }
        let live = self.running(&entry)?;
        if !request.user.is_empty() {
            exec_user(&container, live.pid, &request)?;
        }
        let id = ids::new_id();
        let state = ExecState::Created;
        let exec = Exec { id: id.clone(), container: container.id.clone(), request, probe, state };
        let command = exec.request.cmd.as_deref().map(|cmd| cmd.join(" ")).unwrap_or_default();
        let (sender, receiver) = watch::channel(exec);
        self.execs.lock().insert(id.clone(), sender);
        self.publish_exec(&container, &format!("exec_create: {command}"), &id);
        Ok(receiver)
    }

    /// Starts an exec session. Unless it is detached, the stream carries what Docker sends on a hijacked connection.
    ///
    /// # Errors
    /// No such session, it was started before, its container has ended, or the program cannot be run.
    pub fn start_exec(
        &self,
        id: &str,
        detach: bool,
        console_size: Option<(u16, u16)>,
    ) -> Result<Option<UnixStream>> {
        let exec = self.execs.find(id)?.borrow().clone();
        match exec.state {
            ExecState::Created => {}
            ExecState::Running(_) => {
                return Err(Error::conflict(format!("exec command {id} is already running")));
            }
            ExecState::Exited(_) => {
                return Err(Error::conflict(format!("exec command {id} has already run")));
            }
        }
        let entry = self.containers.find(&exec.container)?;
        let container = entry.get();
        let live = self.running(&entry)?;
        let size = console_size.or_else(|| exec.request.console_size.map(|[h, w]| (h as u16, w as u16)));
        let process = self.exec_process(&container, live.pid, &exec.request)?;
        let spec = ExecSpec {
            id: id.to_owned(),
            process,
            terminal: exec.request.tty,
            console_size: size.map(|(height, width)| ConsoleSize { height, width }),
            stdin: exec.request.attach_stdin && !detach,
            stdout: exec.request.attach_stdout && !detach,
            stderr: exec.request.attach_stderr && !detach,
            detach,
            detach_keys: exec.request.detach_keys.clone(),
        };
        let command = exec.request.cmd.as_deref().map(|cmd| cmd.join(" ")).unwrap_or_default();
        match live.monitor.exec(&spec) {
            Ok(started) => {
                self.execs.set_state(id, ExecState::Running(started.pid));
                self.publish_exec(&container, &format!("exec_start: {command}"), id);
                Ok(started.stream)
            }
            Err(error) => {
                let error = Error::from_exec(error);
                self.execs.exited(id, error.exit_code());
                Err(error)
            }
        }
    }

    /// Waits until the exit code of a session is known, but no longer than a moment: the end of its stream usually
    /// means that it has ended, and clients ask for the code right after it.
    pub async fn exec_ended(&self, id: &str) {
        let Ok(mut exec) = self.execs.find(id) else { return };
        let ended = exec.wait_for(|exec| matches!(exec.state, ExecState::Exited(_)));
        let _ = tokio::time::timeout(EXIT_CODE_WAIT, ended).await;
    }

    /// The session `id`.
    ///
    /// # Errors
    /// There is none.
    pub fn exec(&self, id: &str) -> Result<Exec> {
        Ok(self.execs.find(id)?.borrow().clone())
    }

    /// Passes a new terminal size to a running session.
    ///
    /// # Errors
    /// No such session, or it does not run.
    pub fn resize_exec(&self, id: &str, height: u16, width: u16) -> Result<()> {
        let exec = self.exec(id)?;
        let entry = self.containers.find(&exec.container)?;
        Ok(self.running(&entry)?.monitor.exec_resize(id, height, width)?)
    }

    /// Ids of the running sessions of a container, `None` if there are none.
    pub fn exec_ids(&self, container: &str) -> Option<Vec<String>> {
        Some(self.execs.running_in(container)).filter(|ids| !ids.is_empty())
    }

    fn publish_exec(&self, container: &crate::container::Container, action: &str, id: &str) {
        let mut attributes = container.event_attributes();
        attributes.insert("execID".to_owned(), id.to_owned());
        self.events.publish("container", action, &container.id, attributes);
    }
}
