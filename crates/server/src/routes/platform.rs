//! Platforms as calls name them: as a document where an image is meant that is here, as text where it is to come.

use wharf_api::image;
use wharf_oci::Platform;

use super::Call;
use crate::call::Result;
use crate::failure::Failure;
use crate::go_json;

/// The `platform` parameter as text, such as `linux/arm64`. Clients older than `since` cannot mean it.
pub(super) fn text(call: &Call, since: u32) -> Result<Option<Platform>> {
    match call.query.text("platform") {
        "" => Ok(None),
        _ if !call.since(since) => Ok(None),
        text => Platform::parse(text).map(Some).map_err(|error| Failure::invalid(error.to_string())),
    }
}

/// The `platform` parameter as a document. Clients older than `since` cannot mean it.
pub(super) fn document(call: &Call, since: u32) -> Result<Option<Platform>> {
    match call.query.text("platform") {
        "" => Ok(None),
        _ if !call.since(since) => Ok(None),
        text => parse(text).map(Some),
    }
}

/// As [`document`], for calls that see to it that there is only one.
pub(super) fn single_document(call: &Call, since: u32) -> Result<Option<Platform>> {
    if call.since(since) && call.query.all("platform").count() > 1 {
        return Err(Failure::invalid("multiple platform parameters not supported"));
    }
    document(call, since)
}

/// The `platforms` parameter; at most one, since an image has one.
pub(super) fn documents(call: &Call, since: u32) -> Result<Option<Platform>> {
    if !call.since(since) {
        return Ok(None);
    }
    let mut all = call.query.all("platforms").map(parse).collect::<Result<Vec<_>>>()?;
    match all.len() {
        0 | 1 => Ok(all.pop()),
        _ => Err(Failure::invalid("multiple platforms are not supported")),
    }
}

fn parse(text: &str) -> Result<Platform> {
    let platform: image::Platform = serde_json::from_str(text).map_err(|error| {
        let words = go_json::syntax_error(text.as_bytes()).unwrap_or_else(|| error.to_string());
        Failure::invalid(format!("failed to parse platform: {words}"))
    })?;
    let said = [&platform.variant, &platform.os_version].iter().any(|part| !part.is_empty());
    match (platform.os.as_str(), platform.architecture.as_str()) {
        ("", "") if said || !platform.os_features.is_empty() => {
            Err(Failure::invalid("optional platform fields provided, but OS and Architecture are missing"))
        }
        ("", _) | (_, "") => Err(Failure::invalid("both OS and Architecture must be provided")),
        _ => Ok(Platform {
            architecture: platform.architecture,
            os: platform.os,
            os_version: platform.os_version,
            os_features: platform.os_features,
            variant: platform.variant,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_complaints() {
        let words = |text: &str| match parse(text) {
            Ok(platform) => platform.to_string(),
            Err(failure) => failure.to_string(),
        };
        for (text, want) in [
            (r#"{"os":"linux","architecture":"arm64"}"#, "linux/arm64"),
            ("linux/arm64", "failed to parse platform: invalid character 'l' looking for beginning of value"),
            ("{}", "both OS and Architecture must be provided"),
            (r#"{"os":"linux"}"#, "both OS and Architecture must be provided"),
            (r#"{"variant":"v8"}"#, "optional platform fields provided, but OS and Architecture are missing"),
        ] {
            assert_eq!(words(text), want);
        }
    }
}
