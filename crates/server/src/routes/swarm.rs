//! Swarm and plugins: there are none, and this says so in the words that clients know.

use wharf_api::ErrorKind;

use super::Call;
use crate::call::Result;
use crate::failure::Failure;
use crate::reply;

/// Calls that only a swarm manager answers.
pub(super) async fn not_a_manager(_: Call) -> Result {
    let message = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect \
                   this node to swarm and try again.";
    Err(Failure::new(ErrorKind::Unavailable, message))
}

/// `POST /swarm/leave`.
pub(super) async fn not_a_member(_: Call) -> Result {
    Err(Failure::new(ErrorKind::Unavailable, "This node is not part of a swarm"))
}

/// `POST /swarm/init` and `POST /swarm/join`.
pub(super) async fn not_supported(_: Call) -> Result {
    Err(Failure::not_implemented("swarm mode is not supported"))
}

/// `GET /plugins`: none.
pub(super) async fn no_plugins(_: Call) -> Result {
    Ok(reply::json(&[(); 0]))
}

/// Calls about one plugin.
pub(super) async fn no_such_plugin(call: Call) -> Result {
    Err(Failure::new(ErrorKind::NotFound, format!("plugin {:?} not found", call.name)))
}

/// Calls that would install one.
pub(super) async fn no_installing(_: Call) -> Result {
    Err(Failure::not_implemented("plugins are not supported"))
}
