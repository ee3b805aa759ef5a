//! What control connections may ask.

use std::os::fd::AsFd;

use rustix::event::PollFlags;
use rustix::io::Errno;

use super::attacher::{Attacher, Wanted};
use super::session::{Session, Streams};
use super::{INIT, Monitor, container};
use crate::detach;
use crate::protocol::{
    AttachSpec, ErrorKind, Event, ExecSpec, ExecStatus, Reply, Request, State, Status, encode,
};

impl Monitor {
    pub(super) fn connection_ready(&mut self, index: usize, flags: PollFlags) {
        let connection = &mut self.connections[index];
        if flags.contains(PollFlags::OUT) {
            connection.flush();
        }
        if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            connection.receive(&mut self.buffer);
        }
        while let Some(connection) = self.connections.get_mut(index) {
            if connection.subscribed {
                return;
            }
            let Some(request) = connection.request() else { return };
            let reply = match request {
                Request::Attach(spec) => match self.prepare_attach(&spec) {
                    Ok((number, wanted)) => return self.attach(index, number, wanted, &Reply::Ok),
                    Err(reply) => reply,
                },
                Request::Exec(spec) => match self.exec(*spec) {
                    Ok((pid, None)) => Reply::ExecStarted { pid },
                    Ok((pid, Some((number, wanted)))) => {
                        return self.attach(index, number, wanted, &Reply::ExecStarted { pid });
                    }
                    Err(reply) => reply,
                },
                Request::Subscribe { after } => return self.subscribe(index, after),
                request => self.answer(request),
            };
            self.connections[index].send(&reply);
        }
    }

    fn answer(&mut self, request: Request) -> Reply {
        match request {
            Request::Start => self.start(),
            Request::Kill { signal, all } => self.kill(signal, all),
            Request::Pause => self.pause(),
            Request::Resume => self.resume(),
            Request::Resize(size) => {
                self.sessions[INIT].resize(size);
                Reply::Ok
            }
            Request::Status => Reply::Status(Box::new(self.status())),
            Request::ExecResize { id, size } => match self.running_exec(&id) {
                Ok(number) => {
                    self.sessions[number].resize(size);
                    Reply::Ok
                }
                Err(reply) => reply,
            },
            Request::ExecKill { id, signal } => match self.running_exec(&id) {
                Ok(number) => send_signal(&self.sessions[number], signal),
                Err(reply) => reply,
            },
            Request::ReopenLog => match self.log.reopen() {
                Ok(()) => Reply::Ok,
                Err(e) => Reply::Error { kind: ErrorKind::Internal, message: e.to_string() },
            },
            Request::FlushLog => {
                self.sessions[INIT].read_all(&mut self.buffer, Some(&mut self.log));
                Reply::Ok
            }
            Request::Release => self.release(),
            _ => invalid("unknown request"),
        }
    }

    fn start(&mut self) -> Reply {
        if self.state != State::Created {
            return invalid("the container has been started before");
        }
        let process = match self.container.start() {
            Ok(process) => process,
            Err(e) => {
                let (code, reply) = (container::exit_code(&e), container::refusal(&e, "create"));
                self.failed_start(code, e.runc_message("create"));
                self.released = true;
                return reply;
            }
        };
        let started_at = jiff::Timestamp::now().to_string();
        let pid = process.pid;
        if let Err(e) = self.sessions[INIT].start(pid, process.pidfd, process.terminal) {
            // Without its terminal it would run unseen.
            self.failed_start(128, e.to_string());
            self.released = true;
            return Reply::Error { kind: ErrorKind::Internal, message: e.to_string() };
        }
        self.state = State::Running;
        self.started_at = Some(started_at.clone());
        self.emit(Event::Started { pid });
        Reply::Started { pid, started_at }
    }

    fn kill(&mut self, signal: i32, all: bool) -> Reply {
        if all {
            if self.state == State::Created || self.state == State::Exited {
                return not_running();
            }
            return match self.container.signal_all(signal) {
                Ok(()) => Reply::Ok,
                Err(e) => internal(&e),
            };
        }
        let reply = send_signal(&self.sessions[INIT], signal);
        if signal == rustix::process::Signal::KILL.as_raw() && self.state == State::Paused {
            // A frozen process dies only when it is thawed.
            self.resume();
        }
        reply
    }

    fn pause(&mut self) -> Reply {
        match self.state {
            State::Running => {}
            State::Paused => return refused(ErrorKind::Paused, "the container is already paused"),
            State::Created | State::Exited => return not_running(),
        }
        match self.container.freeze() {
            Ok(()) => {
                self.state = State::Paused;
                self.emit(Event::Paused);
                Reply::Ok
            }
            Err(e) => internal(&e),
        }
    }

    fn resume(&mut self) -> Reply {
        match self.state {
            State::Paused => {}
            State::Running => return refused(ErrorKind::NotPaused, "the container is not paused"),
            State::Created | State::Exited => return not_running(),
        }
        match self.container.thaw() {
            Ok(()) => {
                self.state = State::Running;
                self.emit(Event::Resumed);
                Reply::Ok
            }
            Err(e) => internal(&e),
        }
    }

    fn status(&self) -> Status {
        let init = &self.sessions[INIT];
        let pid = if self.state == State::Created { self.container.pid() } else { init.pid };
        let execs = self.sessions[INIT + 1..].iter().filter(|s| s.ended.is_none());
        Status {
            id: self.id.clone(),
            monitor_pid: wharf_sys::process::pid(),
            pid: if init.ended.is_some() || self.state == State::Exited { 0 } else { pid },
            state: self.state,
            started_at: self.started_at.clone(),
            exit: self.exit.clone().filter(|_| self.state == State::Exited),
            oom_killed: self.oom_killed,
            log: self.log.status(),
            execs: execs.map(|s| ExecStatus { id: s.id.clone(), pid: s.pid }).collect(),
            attachers: self.sessions.iter().map(|s| s.attachers.len() as u32).sum(),
            last_event: self.events.last(),
        }
    }

    fn running_exec(&self, id: &str) -> Result<usize, Reply> {
        let number = self.sessions[INIT + 1..].iter().position(|s| s.id == id && s.ended.is_none());
        number
            .map(|n| n + INIT + 1)
            .ok_or_else(|| refused(ErrorKind::NoSuchExec, &format!("no running exec session {id}")))
    }

    /// Starts an exec session and returns its pid and, unless it is detached, the session to attach to.
    fn exec(&mut self, mut spec: ExecSpec) -> Result<(i32, Option<(usize, Wanted)>), Reply> {
        match self.state {
            State::Running if self.exit.is_none() => {}
            // It would be frozen before it can say that it runs.
            State::Paused => return Err(refused(ErrorKind::Paused, "the container is paused")),
            _ => return Err(not_running()),
        }
        if self.sessions[INIT + 1..].iter().any(|s| s.id == spec.id) {
            return Err(refused(ErrorKind::Exists, &format!("exec session {} exists", spec.id)));
        }
        let wanted = wanted(&spec.detach_keys, spec.terminal, [spec.stdin, spec.stdout, spec.stderr])?;
        let (mut session, pipes) = if spec.terminal {
            (Session::with_terminal(spec.id.clone(), spec.stdin, spec.console_size), None)
        } else {
            let streams = Streams {
                stdin: spec.stdin && !spec.detach,
                stdout: spec.stdout && !spec.detach,
                stderr: spec.stderr && !spec.detach,
            };
            let (session, pipes) = Session::with_pipes(spec.id.clone(), streams).map_err(|e| internal(&e))?;
            (session, Some(pipes))
        };
        session.stdin_once = true;
        spec.process.set_terminal(Some(spec.terminal));
        let Some(init) = self.sessions[INIT].pidfd() else { return Err(not_running()) };
        let stdio = container::stdio(pipes, spec.console_size);
        let process = self.container.exec(init.as_fd(), &spec.process, stdio);
        let process = process.map_err(|e| container::refusal(&e, "exec"))?;
        let pid = process.pid;
        session.start(pid, process.pidfd, process.terminal).map_err(|e| internal(&e))?;
        self.sessions.push(session);
        self.emit(Event::ExecStarted { id: spec.id, pid });
        Ok((pid, (!spec.detach).then(|| (self.sessions.len() - 1, wanted))))
    }

    /// Finds what a stream is to be attached to.
    fn prepare_attach(&self, spec: &AttachSpec) -> Result<(usize, Wanted), Reply> {
        let number = match &spec.exec {
            Some(id) => self.running_exec(id)?,
            None if self.state == State::Exited => return Err(not_running()),
            None => INIT,
        };
        let terminal = self.sessions[number].terminal;
        let wanted = wanted(&spec.detach_keys, terminal, [spec.stdin, spec.stdout, spec.stderr])?;
        Ok((number, wanted))
    }

    /// Turns a connection into an attached stream, beginning with the reply.
    fn attach(&mut self, index: usize, number: usize, wanted: Wanted, reply: &Reply) {
        let Some((stream, mut first, input)) = self.connections[index].take_stream() else { return };
        first.extend(encode(reply).unwrap_or_default());
        let session = &mut self.sessions[number];
        let attacher = Attacher::new(stream, wanted, session.terminal, &first, self.spill.clone());
        if session.attach(attacher, &input) {
            self.detached(number);
        }
    }

    fn subscribe(&mut self, index: usize, after: u64) {
        let connection = &mut self.connections[index];
        connection.subscribed = true;
        connection.send(&Reply::Ok);
        for event in self.events.after(after) {
            connection.send(event);
        }
    }
}

fn wanted(keys: &str, terminal: bool, [stdin, stdout, stderr]: [bool; 3]) -> Result<Wanted, Reply> {
    let keys = detach::parse(keys).map_err(|e| invalid(&e.to_string()))?;
    Ok(Wanted { stdin, stdout, stderr, detach: terminal.then_some(keys) })
}

fn send_signal(session: &Session, signal: i32) -> Reply {
    let Some(pidfd) = session.pidfd() else { return not_running() };
    match container::send_signal(pidfd, signal) {
        Ok(()) => Reply::Ok,
        Err(Errno::SRCH) => not_running(),
        Err(Errno::INVAL) => invalid(&format!("invalid signal: {signal}")),
        Err(e) => internal(&e),
    }
}

pub(super) fn invalid(message: &str) -> Reply {
    refused(ErrorKind::InvalidRequest, message)
}

fn not_running() -> Reply {
    refused(ErrorKind::NotRunning, "the container is not running")
}

fn internal(error: &dyn std::error::Error) -> Reply {
    refused(ErrorKind::Internal, &super::describe(error))
}

fn refused(kind: ErrorKind, message: &str) -> Reply {
    Reply::Error { kind, message: message.to_owned() }
}
