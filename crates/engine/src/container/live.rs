//! The engine's side of a running container: the connection to its monitor and the task that hears of its events.

use std::sync::Arc;

use tokio::io::AsyncReadExt;
use wharf_monitor::{Client, Event, FrameDecoder, Sequenced};

use super::Entry;
use crate::{Engine, Error, Result};

/// A running container's monitor.
#[derive(Debug)]
pub(crate) struct Live {
    /// Requests to the monitor.
    pub(crate) monitor: Client,
    /// Pid of the first process.
    pub(crate) pid: i32,
}

impl Engine {
    /// Connects `entry` to `monitor` and listens to its events until it ends.
    ///
    /// # Errors
    /// The monitor is gone.
    pub(crate) fn watch_monitor(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        monitor: Client,
        pid: i32,
    ) -> Result<()> {
        let events = monitor.events(0)?;
        let live = Arc::new(Live { monitor, pid });
        entry.set_live(Some(live.clone()));
        let (stream, decoder) = events.into_parts();
        let probes = self.watch_health(entry, &live);
        let (engine, entry) = (self.clone(), entry.clone());
        self.runtime.spawn(async move {
            if let Err(error) = engine.clone().listen(&entry, stream, decoder).await {
                tracing::warn!(container = %entry.get().id, %error, "lost the monitor");
            }
            if let Some(probes) = probes {
                probes.abort();
            }
            // However the connection ended: if the container is still recorded as running, its exit is on record.
            let _ = tokio::task::spawn_blocking(move || engine.container_exited(&entry, &live)).await;
        });
        Ok(())
    }

    /// Handles events until the container has exited or the monitor closed the connection.
    async fn listen(
        self: Arc<Self>,
        entry: &Arc<Entry>,
        stream: std::os::unix::net::UnixStream,
        mut decoder: FrameDecoder,
    ) -> std::io::Result<()> {
        stream.set_nonblocking(true)?;
        let mut stream = tokio::net::UnixStream::from_std(stream)?;
        // Most containers only ever send two events; a small buffer keeps thousands of idle tasks cheap.
        let mut buffer = [0; 512];
        loop {
            while let Some(Sequenced { event, .. }) =
                decoder.message::<Sequenced>().map_err(std::io::Error::other)?
            {
                if matches!(event, Event::Exited(_)) {
                    return Ok(());
                }
                self.monitor_event(entry, event);
            }
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                read => decoder.push(&buffer[..read]),
            }
        }
    }

    fn monitor_event(&self, entry: &Entry, event: Event) {
        let container = entry.get();
        let publish = |action: &str, extra: &[(&str, String)]| {
            let mut attributes = container.event_attributes();
            attributes.extend(extra.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
            self.events.publish("container", action, &container.id, attributes);
        };
        match event {
            Event::ExecExited { id, exit_code } if self.execs.exited(&id, exit_code) => {
                publish("exec_die", &[("execID", id), ("exitCode", exit_code.to_string())]);
            }
            Event::Oom => publish("oom", &[]),
            Event::Detached { exec: None } => publish("detach", &[]),
            Event::Detached { exec: Some(id) } => publish("exec_detach", &[("execID", id)]),
            _ => {}
        }
    }

    /// The monitor of a container that must be running.
    ///
    /// # Errors
    /// The container is not running (409).
    pub(crate) fn running(&self, entry: &Entry) -> Result<Arc<Live>> {
        let container = entry.get();
        match entry.live() {
            Some(live) if container.state.status.has_process() => Ok(live),
            _ => Err(Error::conflict(format!("container {} is not running", container.id))),
        }
    }
}
