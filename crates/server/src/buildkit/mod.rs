//! BuildKit's protocol: what `docker build` of today speaks, over the same builder that `wharf build` drives.
//!
//! A client has two connections, both upgraded from HTTP/1 to HTTP/2. By `POST /grpc` it calls this engine: it asks for
//! a build, hears how it goes, and runs its own "gateway" that says what is to be built. By `POST /session` it *serves*:
//! this engine calls it for files, secrets, credentials and key agents, and sends what is exported.
//!
//! ```text
//! client ──/grpc────▶ rpc ─▶ control, gateway ─▶ solve ──frames──▶ engine.serve_build
//!        ◀─/session── session ◀─ answers: context, auth, agents ◀──┘
//! ```
//!
//! - `solve`: one build from the request to its response; `options`: what the request means, as a pure function
//! - `answers`: what the engine asks for, got from the session: `source` (files), `agents`; `exports` the other way
//! - `progress`: what the engine tells, as vertices; `failure`: errors with the lines of the Dockerfile
//! - `connection`: builds of a client; `session`: the sessions of all (`tunnel`: inside of `/grpc`); `frames`: the engine's own protocol
//! - `rpc`, `codec`, `proto`: gRPC itself

mod agents;
mod answers;
mod auth;
mod codec;
mod connection;
mod control;
mod exports;
mod failure;
mod frames;
mod gateway;
mod options;
mod progress;
pub(crate) mod proto;
mod rpc;
mod session;
mod solve;
mod source;
mod tunnel;

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use wharf_engine::Engine;

use self::connection::Connection;
pub(crate) use self::session::Sessions;
use crate::call::{Call, Result};
use crate::failure::Failure;
use crate::reply;

/// `POST /grpc`: the client calls.
pub(crate) async fn grpc(call: Call<Engine>) -> Result {
    let sessions = sessions(&call)?;
    let engine = call.engine.clone();
    upgrade(call, async move |upgraded| {
        rpc::serve(upgraded, Arc::new(Connection::new(engine, sessions))).await;
    })
}

/// `POST /session`: the client is called.
pub(crate) async fn session(call: Call<Engine>) -> Result {
    let sessions = sessions(&call)?;
    let about = session::About::from_headers(&call.head.headers)?;
    upgrade(call, async move |upgraded| session::hold(upgraded, about, &sessions).await)
}

fn sessions(call: &Call<Engine>) -> Result<Arc<Sessions>> {
    let sessions = call.head.extensions.get::<Arc<Sessions>>().cloned();
    sessions.ok_or_else(|| Failure::system("sessions are not served here"))
}

/// Answers 101 and goes on with the connection.
fn upgrade<F>(mut call: Call<Engine>, serve: impl FnOnce(Upgraded) -> F + Send + 'static) -> Result
where
    F: Future<Output = ()> + Send + 'static,
{
    let wanted = call.head.headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes() == b"h2c");
    let Some(upgrade) = call.head.extensions.remove::<OnUpgrade>().filter(|_| wanted) else {
        return Err(Failure::invalid("no upgrade to h2c was asked for"));
    };
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => serve(upgraded).await,
            Err(error) => tracing::debug!(%error, "a BuildKit client went before its connection began"),
        }
    });
    let mut response = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("h2c"));
    Ok(response)
}
