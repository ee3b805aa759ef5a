//! The end of exec sessions and of the container.

use std::fs;
use std::io;

use super::session::Ended;
use super::{INIT, Monitor};
use crate::config::EXIT_FILE;
use crate::protocol::{Event, ExitStatus, Reply, State};

impl Monitor {
    /// Init has been reaped: nothing of the container may go on. Its output is still being taken.
    pub(super) fn init_ended(&mut self) {
        self.check_oom();
        self.container.kill_rest();
        let ended = self.sessions[INIT].ended.unwrap_or(Ended { code: 255, signal: None });
        self.exit = Some(ExitStatus {
            exit_code: ended.code,
            signal: ended.signal,
            oom_killed: self.oom_killed,
            started_at: self.started_at.clone(),
            finished_at: jiff::Timestamp::now().to_string(),
            error: None,
        });
    }

    /// Reports exec sessions that have ended and whose output has been taken.
    pub(super) fn sweep_execs(&mut self) {
        for number in (INIT + 1..self.sessions.len()).rev() {
            let session = &mut self.sessions[number];
            if let Some(ended) = session.ended
                && session.is_drained()
                && !session.reported
            {
                session.reported = true;
                let id = session.id.clone();
                // Before its streams end: who sees that can already know the exit code.
                self.emit(Event::ExecExited { id, exit_code: ended.code });
                let session = &mut self.sessions[number];
                session.finish();
                session.sweep();
            }
            // Streams that are still being delivered keep the session.
            let session = &self.sessions[number];
            if session.reported && session.attachers.is_empty() {
                self.sessions.swap_remove(number);
            }
        }
    }

    /// Ends the container once init has ended, all output has been taken and no exec session is left unreported.
    pub(super) fn sweep_init(&mut self) {
        let Some(status) = &self.exit else { return };
        let execs_reported = self.sessions[INIT + 1..].iter().all(|session| session.reported);
        if self.state == State::Exited || !self.sessions[INIT].is_drained() || !execs_reported {
            return;
        }
        let status = status.clone();
        self.conclude(status);
    }

    /// The container could not be started.
    pub(super) fn failed_start(&mut self, exit_code: i32, error: String) {
        let status = ExitStatus {
            exit_code,
            finished_at: jiff::Timestamp::now().to_string(),
            error: Some(error),
            ..ExitStatus::default()
        };
        self.conclude(status);
    }

    fn conclude(&mut self, status: ExitStatus) {
        self.log.finish();
        // A record that cannot be written is still sent; the daemon keeps it.
        let _ = self.record(&status);
        self.container.remove();
        self.state = State::Exited;
        self.exit = Some(status.clone());
        // Before the attached streams end: who sees that can already know the exit code.
        self.emit(Event::Exited(status));
        self.sessions[INIT].finish();
        self.sessions[INIT].sweep();
    }

    /// The daemon is gone before it has released the start barrier: leaves nothing behind.
    pub(super) fn abort(&mut self) {
        self.container.remove();
        for session in &mut self.sessions {
            session.finish();
            session.sweep();
        }
        self.connections.clear();
        self.state = State::Exited;
        self.released = true;
    }

    /// Writes `exit.json`, so that it is there entirely or not at all. It lies in memory: there is nothing to sync.
    fn record(&self, status: &ExitStatus) -> io::Result<()> {
        let path = self.dir().join(EXIT_FILE);
        let draft = path.with_extension("json.tmp");
        fs::write(&draft, serde_json::to_vec(status)?)?;
        fs::rename(draft, path)
    }

    /// Lets the monitor go.
    pub(super) fn release(&mut self) -> Reply {
        if self.state != State::Exited {
            return super::requests::invalid("the container has not ended");
        }
        self.released = true;
        Reply::Ok
    }
}
