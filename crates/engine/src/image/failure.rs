//! Words and kinds for what registries do wrong.

use wharf_api::error::ErrorKind;
use wharf_oci::{PlatformError, Reference, ReferenceError};
use wharf_registry::Error as RegistryError;

use crate::Error;

/// The error of a pull of `reference`.
pub(super) fn pull(error: RegistryError, reference: &Reference) -> Error {
    // Only an answer with details is explained; a bare code is passed on as it is.
    let item = error.item().filter(|item| item.has_detail());
    let message = match item.map(|item| (item.code.as_str(), item)) {
        Some(("DENIED", item)) => format!(
            "pull access denied for {}, repository does not exist or may require 'docker login': {item}",
            reference.familiar_name()
        ),
        Some(("MANIFEST_UNKNOWN", item)) => {
            format!("manifest for {} not found: {item}", reference.familiar())
        }
        Some(("NAME_UNKNOWN", item)) => format!("repository {} not found: {item}", reference.familiar_name()),
        _ => return registry(error),
    };
    Error::not_found(message).caused_by(error)
}

/// The client of a transfer has gone.
#[derive(Debug, thiserror::Error)]
#[error("context canceled")]
struct Cancelled;

/// The error of a transfer that nobody wants any more.
pub(super) fn cancelled() -> Error {
    Error::system(Cancelled.to_string()).caused_by(Cancelled)
}

/// Whether the same transfer may well succeed later, so that it pays to keep what has come.
pub(super) fn is_interruption(error: &Error) -> bool {
    let Some(source) = std::error::Error::source(error) else { return false };
    source.is::<Cancelled>()
        || matches!(
            source.downcast_ref::<RegistryError>(),
            Some(
                RegistryError::Transport { .. }
                    | RegistryError::Interrupted { .. }
                    | RegistryError::Stalled { .. }
                    | RegistryError::Status(_)
            )
        )
}

/// The error of a push. Which request wanted the token that was refused is not said.
pub(super) fn push(error: RegistryError) -> Error {
    match error {
        RegistryError::Authentication { source, .. } => push(*source),
        other => registry(other),
    }
}

/// Any other error of a registry.
pub(super) fn registry(error: RegistryError) -> Error {
    let kind = match &error {
        error if error.status().is_some() => ErrorKind::from_status(error.status().unwrap_or_default()),
        RegistryError::NoPlatform(_) => ErrorKind::NotFound,
        RegistryError::MediaType(_) | RegistryError::SchemaOne(_) => ErrorKind::InvalidParameter,
        _ => ErrorKind::System,
    };
    // Of several errors the first is shown, as Docker does.
    let message = match error.item() {
        Some(item) => item.to_string(),
        None => error.to_string(),
    };
    Error::new(kind, message).caused_by(error)
}

impl From<ReferenceError> for Error {
    fn from(error: ReferenceError) -> Self {
        Error::invalid(error.to_string())
    }
}

impl From<PlatformError> for Error {
    fn from(error: PlatformError) -> Self {
        Error::invalid(error.to_string())
    }
}
