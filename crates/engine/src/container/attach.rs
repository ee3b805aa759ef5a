//! `attach`: joining the streams of a container, also of one that is only about to start.

use std::os::unix::net::UnixStream;
use std::sync::PoisonError;

use tokio::sync::oneshot;
use wharf_monitor::AttachSpec;

use super::{Entry, Status, live::Live};
use crate::{Engine, Error, Result};

/// Which streams a client wants.
#[derive(Clone, Debug, Default)]
pub struct AttachOptions {
    /// Send the client's input to the container.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Keys that end the attachment; empty for the default.
    pub detach_keys: String,
}

/// The byte stream of an attachment: what Docker sends on a hijacked connection, in both directions.
#[derive(Debug)]
pub enum Attachment {
    /// Connected.
    Ready(UnixStream),
    /// The container has not been started; the stream arrives when it is, and the sender is dropped if that fails.
    Pending(oneshot::Receiver<UnixStream>),
}

/// A client that attached before the start.
#[derive(Debug)]
pub(crate) struct PendingAttach {
    spec: AttachSpec,
    ready: oneshot::Sender<UnixStream>,
}

impl Engine {
    /// Attaches to a container. One that is not running may still be attached to: everything from the first byte of
    /// its next run is seen.
    ///
    /// # Errors
    /// No such container, it is paused, or the detach keys are invalid.
    pub fn attach_container(&self, name: &str, options: AttachOptions) -> Result<Attachment> {
        let entry = self.containers.find(name)?;
        let container = entry.get();
        if container.state.status == Status::Paused {
            return Err(Error::conflict(format!(
                "container {name} is paused, unpause the container before attach"
            )));
        }
        let spec = AttachSpec {
            exec: None,
            stdin: options.stdin,
            stdout: options.stdout,
            stderr: options.stderr,
            detach_keys: options.detach_keys,
        };
        self.events.publish("container", "attach", &container.id, container.event_attributes());
        // Under the lock of the pending list, so that a start in between either takes this attachment along or has
        // already made the monitor known.
        let mut pending = entry.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(live) = entry.live() {
            match live.monitor.attach(&spec) {
                Ok(stream) => return Ok(Attachment::Ready(stream)),
                // It has just ended: the attachment is to its next run.
                Err(wharf_monitor::Error::Gone { .. } | wharf_monitor::Error::Closed { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let (ready, receiver) = oneshot::channel();
        pending.retain(|waiting| !waiting.ready.is_closed());
        pending.push(PendingAttach { spec, ready });
        Ok(Attachment::Pending(receiver))
    }
}

/// Hands the streams of a container that is held at its start barrier to those who attached before.
///
/// # Errors
/// The monitor is gone.
pub(super) fn connect_pending(entry: &Entry, live: &Live) -> Result<()> {
    let mut pending = entry.pending.lock().unwrap_or_else(PoisonError::into_inner);
    for PendingAttach { spec, ready } in pending.drain(..) {
        // A client that has gone meanwhile needs no stream.
        if !ready.is_closed() {
            let _ = ready.send(live.monitor.attach(&spec)?);
        }
    }
    Ok(())
}

/// Ends the attachments that wait for a start which failed.
pub(super) fn drop_pending(entry: &Entry) {
    entry.pending.lock().unwrap_or_else(PoisonError::into_inner).clear();
}
