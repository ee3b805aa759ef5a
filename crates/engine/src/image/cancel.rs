//! Giving up a transfer whose client has gone.

use tokio::sync::watch;

/// Tells a transfer when nobody wants it any more. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cancel(Option<watch::Receiver<()>>);

/// Whoever wants a transfer: dropping it cancels.
pub type Wanted = watch::Sender<()>;

impl Cancel {
    /// A new pair.
    pub fn pair() -> (Wanted, Self) {
        let (sender, receiver) = watch::channel(());
        (sender, Self(Some(receiver)))
    }

    /// For a transfer that goes on whatever happens.
    pub fn never() -> Self {
        Self(None)
    }

    /// Returns when the transfer is not wanted any more.
    pub(crate) async fn cancelled(&self) {
        match self.0.clone() {
            Some(mut receiver) => while receiver.changed().await.is_ok() {},
            None => std::future::pending().await,
        }
    }

    /// What `work` returns, or `None` if it was cancelled before.
    pub(crate) async fn unless<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.cancelled() => None,
        }
    }
}
