//! `--platform` as the API takes it.

use wharf_api::image;
use wharf_oci::Platform;

use crate::{Error, Result};

/// The document of a platform given as `os[/arch[/variant]]`; empty for an empty text.
///
/// # Errors
/// The text is no platform; `context` stands before the complaint.
pub(crate) fn document(text: &str, context: &str) -> Result<String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let platform = Platform::parse(text).map_err(|error| Error::message(format!("{context}{error}")))?;
    let document = image::Platform {
        architecture: platform.architecture,
        os: platform.os,
        os_version: platform.os_version,
        os_features: platform.os_features,
        variant: platform.variant,
    };
    serde_json::to_string(&document).map_err(|error| Error::message(error.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_complaints() {
        assert_eq!(document("", "x").unwrap(), "");
        assert_eq!(document("linux/amd64", "").unwrap(), r#"{"architecture":"amd64","os":"linux"}"#);
        assert_eq!(
            document("a/b/c/d", "invalid platform: ").unwrap_err().to_string(),
            r#"invalid platform: "a/b/c/d": cannot parse platform specifier: invalid argument"#
        );
    }
}
