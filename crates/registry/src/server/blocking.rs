//! The bridge from asynchronous code to storage, which blocks.

use tokio::task::JoinHandle;

use super::failure::{Code, Failure, Result};

/// Starts work on a thread that may block.
pub(crate) fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    tokio::task::spawn_blocking(work)
}

/// Waits for what was started.
pub(crate) async fn join<T>(handle: JoinHandle<T>) -> Result<T> {
    handle.await.map_err(|error| {
        tracing::error!(%error, "work on the storage did not end well");
        Failure::new(Code::Unknown, "the registry failed; its log says how")
    })
}

/// Does work that blocks and waits for it.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    join(spawn(work)).await?
}
