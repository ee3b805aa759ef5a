//! Calls that are known but not served yet. They say so instead of pretending that the path does not exist.

use wharf_api::ErrorKind;

use super::Call;
use crate::call::Result;
use crate::failure::Failure;

/// Any call without a verb behind it.
pub(super) async fn not_yet(call: Call) -> Result {
    Err(Failure::not_implemented(format!(
        "{} {} is not supported yet",
        call.head.method,
        call.head.uri.path()
    )))
}

/// Checkpoints: an experimental feature, as everywhere.
pub(super) async fn checkpoint(_: Call) -> Result {
    let message = "This experimental feature is disabled by default. Start the Docker daemon in experimental mode in \
                   order to enable it.";
    Err(Failure::new(ErrorKind::NotImplemented, message))
}
