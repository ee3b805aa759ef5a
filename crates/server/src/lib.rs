//! The Engine API over HTTP: routes, views and hijacked streams over the engine. Decides nothing by itself.
//!
//! - [`serve`] accepts clients on [`Listener`]s, which [`Host`]s open. `connection`: HTTP/1 with each of them.
//! - `dispatch`: version prefix and negotiation, route table, common headers. `routes`: handlers by resource.
//! - `call`, `body`, `upload`, `query`, `go_json`, `when`: what came in. `reply`, `produce`, `failure`: what goes out.
//! - `buildkit`: the protocol of `docker build`, gRPC over connections that were upgraded.
//! - `hijack`: connections that stop being HTTP. `views`: records as API documents.

#[macro_use]
mod dispatch;
mod body;
mod buildkit;
mod call;
mod connection;
mod failure;
mod go_json;
mod hijack;
mod listen;
mod produce;
mod query;
mod reply;
mod routes;
mod socket;
#[cfg(test)]
mod tests;
mod upload;
mod views;
mod when;

use std::io;
use std::sync::Arc;

use wharf_engine::Engine;

pub use listen::{Host, ListenError, Listener};

/// Serves the API on the listeners until `shutdown` resolves. Calls that are being answered then have a few seconds.
///
/// # Errors
/// A listener cannot be used.
pub async fn serve(
    engine: Arc<Engine>,
    listeners: Vec<Listener>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let sessions = Arc::new(buildkit::Sessions::default());
    connection::serve(listeners, shutdown, move |mut request| {
        request.extensions_mut().insert(sessions.clone());
        dispatch::dispatch(engine.clone(), routes::ROUTES, request)
    })
    .await
}
