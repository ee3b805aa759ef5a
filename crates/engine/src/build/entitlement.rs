//! What steps may do only if the client said so: `--allow`.

use wharf_build::graph::{Graph, Op, RunNetwork};

use super::{BuildRequest, failure::BuildError};

/// `RUN --network=host`.
const HOST_NETWORK: &str = "network.host";
/// `RUN --security=insecure`.
const INSECURE: &str = "security.insecure";

/// Refuses steps that ask for more than was allowed. A build that has the host's network as a whole allows it to each.
///
/// # Errors
/// In the words of the reference builder.
pub(super) fn check(graph: &Graph, request: &BuildRequest) -> Result<(), BuildError> {
    let allowed = |name: &str| request.allow.iter().any(|allowed| allowed == name);
    let host_network = allowed(HOST_NETWORK) || request.options.network == "host";
    let insecure = allowed(INSECURE);
    for node in &graph.nodes {
        let Op::Run(step) = &node.op else { continue };
        let refused = match step.network {
            _ if step.insecure && !insecure => INSECURE,
            RunNetwork::Host if !host_network => HOST_NETWORK,
            _ => continue,
        };
        return Err(BuildError::new(format!("failed to load LLB: {refused} is not allowed")));
    }
    Ok(())
}
