//! What a step's result is a function of: its own words and what its inputs are.

use wharf_oci::{Digest, Hasher};

use crate::graph::{Node, Op};

/// Raised when the same words come to mean something else.
const VERSION: &str = "wharf build 1";

/// Whether a step only gets something from outside; such a step has no key.
pub(super) fn is_source(op: &Op) -> bool {
    matches!(op, Op::Scratch | Op::Image(_) | Op::Context(_) | Op::Http(_) | Op::Git(_))
}

/// The key of a step whose inputs have these fingerprints, in the order of [`Op::inputs`].
pub(super) fn key(node: &Node, fingerprints: &[String]) -> Digest {
    let mut hasher = Hasher::sha256();
    for word in [VERSION, &node.platform.to_string(), node.op.digest().as_str()] {
        hasher.update(word.as_bytes());
        hasher.update(b"\n");
    }
    if let Some(newest) = node.newest {
        hasher.update(format!("until {newest}\n").as_bytes());
    }
    for print in fingerprints {
        hasher.update(print.as_bytes());
        hasher.update(b"\n");
    }
    hasher.finish()
}
