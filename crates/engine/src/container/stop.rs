//! `stop`, `kill` and `restart`: ending a container's run.

use std::{sync::Arc, time::Duration};

use super::{Container, Entry, Status};
use crate::{Engine, Error, Result, signal};

/// How long a container may take to end after `SIGKILL` before the verb gives up.
pub(super) const AFTER_KILL: Duration = Duration::from_secs(10);
/// Seconds between the stop signal and `SIGKILL` if neither client nor container say.
const DEFAULT_TIMEOUT: i64 = 10;
const SIGTERM: i32 = 15;
pub(super) const SIGKILL: i32 = 9;
const SIGCONT: i32 = 18;

impl Container {
    /// The signal that asks the container to end.
    ///
    /// # Errors
    /// An image may name one that does not exist.
    pub(super) fn stop_signal(&self) -> Result<i32> {
        match self.config.stop_signal.as_str() {
            "" => Ok(SIGTERM),
            name => signal::parse(name),
        }
    }

    /// How long it may take to end after that: `seconds`, or the container's own choice; `None` for as long as it likes.
    pub(super) fn stop_grace(&self, seconds: Option<i64>) -> Option<Duration> {
        let seconds = seconds.or(self.config.stop_timeout).unwrap_or(DEFAULT_TIMEOUT);
        u64::try_from(seconds).ok().map(Duration::from_secs)
    }
}

impl Engine {
    /// Ends a run: the stop signal, then `SIGKILL` after `timeout` seconds (the container's own or 10 by default; -1
    /// waits forever).
    ///
    /// # Errors
    /// No such container, not running (304), an invalid signal.
    pub fn stop_container(&self, name: &str, signal: Option<&str>, timeout: Option<i64>) -> Result<()> {
        let entry = self.containers.find(name)?;
        let signal = signal.filter(|text| !text.is_empty()).map(signal::parse).transpose()?;
        if !entry.get().state.status.is_running() {
            return Err(Error::not_modified());
        }
        self.stop(&entry, signal, timeout)
    }

    /// Stops the container of `entry` if it runs; an already ended run is no error.
    pub(super) fn stop(&self, entry: &Arc<Entry>, signal: Option<i32>, timeout: Option<i64>) -> Result<()> {
        let container = self.forbid_restart(entry)?;
        let signal = signal.map_or_else(|| container.stop_signal(), Ok)?;
        let runs = container.state.exits;
        self.signal_for_stop(entry, signal);
        if !self.wait_for_end(entry, runs, container.stop_grace(timeout)) {
            self.signal_for_stop(entry, SIGKILL);
            if !self.wait_for_end(entry, runs, Some(AFTER_KILL)) {
                return Err(Error::system(format!(
                    "cannot stop container: {}: tried to kill container, but did not receive an exit event",
                    container.name
                )));
            }
        }
        self.events.publish("container", "stop", &container.id, container.event_attributes());
        Ok(())
    }

    /// Records that the user wants the run to end, so that the restart policy leaves it alone. A container that only
    /// waits for its restart is then at its end.
    fn forbid_restart(&self, entry: &Arc<Entry>) -> Result<Arc<Container>> {
        let _guard = entry.lock();
        let waiting = entry.get().state.status == Status::Restarting;
        self.update_container(entry, |container| {
            container.state.stopped_by_user = true;
            if waiting {
                container.state.status = Status::Exited;
            }
        })
    }

    /// Sends `signal` to the first process; one that has ended meanwhile needs none.
    pub(super) fn signal_for_stop(&self, entry: &Entry, signal: i32) {
        let Some(live) = entry.live() else { return };
        let container = entry.get();
        if live.monitor.kill(signal, false).is_ok() {
            self.publish_kill(&container, signal);
        }
        if container.state.status == Status::Paused {
            // A frozen process receives its signal when it is thawed.
            let _ = live.monitor.resume();
        }
    }

    fn publish_kill(&self, container: &Container, signal: i32) {
        let mut attributes = container.event_attributes();
        attributes.insert("signal".to_owned(), signal.to_string());
        self.events.publish("container", "kill", &container.id, attributes);
    }

    /// Blocks until the run number `runs` has ended; `false` if that takes longer than `limit`.
    pub(super) fn wait_for_end(&self, entry: &Entry, runs: u64, limit: Option<Duration>) -> bool {
        let mut record = entry.watch();
        let ended = async {
            record
                .wait_for(|c| c.state.exits > runs || !c.state.status.is_running() || c.state.removed)
                .await
                .is_ok()
        };
        match limit {
            None => self.runtime.block_on(ended),
            Some(limit) => {
                self.runtime.block_on(async { tokio::time::timeout(limit, ended).await }).unwrap_or(false)
            }
        }
    }

    /// Sends a signal to the first process; `SIGKILL` also waits until the run has ended.
    ///
    /// # Errors
    /// No such container, not running (409), an invalid signal.
    pub fn kill_container(&self, name: &str, signal: &str) -> Result<()> {
        let prefix = format!("cannot kill container: {name}: ");
        let context = |error: Error| error.context(&prefix);
        let number = if signal.is_empty() { SIGKILL } else { signal::parse(signal).map_err(context)? };
        let entry = self.containers.find(name).map_err(context)?;
        let container = entry.get();
        let live = self.running(&entry).map_err(context)?;
        let stop_signal = signal::parse(&container.config.stop_signal).unwrap_or(SIGTERM);
        if number == SIGKILL || number == stop_signal {
            self.forbid_restart(&entry)?;
        }
        live.monitor.kill(number, false).map_err(|error| context(error.into()))?;
        self.publish_kill(&container, number);
        if container.state.status == Status::Paused && matches!(number, SIGKILL | SIGCONT) {
            let _ = live.monitor.resume();
        }
        if number == SIGKILL && !self.wait_for_end(&entry, container.state.exits, Some(AFTER_KILL)) {
            return Err(context(Error::system("tried to kill container, but did not receive an exit event")));
        }
        Ok(())
    }

    /// Stops the container if it runs and starts it again.
    ///
    /// # Errors
    /// No such container, an invalid signal, or a failed start.
    pub fn restart_container(
        self: &Arc<Self>,
        name: &str,
        signal: Option<&str>,
        timeout: Option<i64>,
    ) -> Result<()> {
        let entry = self.containers.find(name)?;
        let context = |error: Error| error.context(format!("Cannot restart container {name}: "));
        let signal = signal.filter(|text| !text.is_empty()).map(signal::parse).transpose();
        let signal = signal.map_err(|error| context(error).with_kind(wharf_api::ErrorKind::System))?;
        if entry.get().state.status.is_running() {
            self.stop(&entry, signal, timeout).map_err(context)?;
        }
        match self.start_container(name, "") {
            // Somebody else started it in between: it runs again, as asked.
            Err(error) if error.kind() == wharf_api::ErrorKind::NotModified => {}
            other => other.map_err(context)?,
        }
        let container = entry.get();
        self.events.publish("container", "restart", &container.id, container.event_attributes());
        Ok(())
    }

    /// Passes a new terminal size to a running container.
    ///
    /// # Errors
    /// No such container, or not running (409).
    pub fn resize_container(&self, name: &str, height: u16, width: u16) -> Result<()> {
        let entry = self.containers.find(name)?;
        Ok(self.running(&entry)?.monitor.resize(height, width)?)
    }
}
