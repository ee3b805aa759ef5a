//! `--attest`, `--provenance` and `--sbom`: statements about how an image was made. The image store has no place for
//! them, so that they are refused as the reference implementation refuses them for the like; to want none is all right.

use crate::{Error, Result, value};

/// What is said to those who want one.
pub(super) const REFUSED: &str = "Attestation is not supported for the docker driver.\nSwitch to a different driver, or turn \
    on the containerd image store, and try again.\nLearn more at https://docs.docker.com/go/attestations/";

/// Whether any is wanted.
///
/// # Errors
/// A value is malformed, in buildx's words.
pub(super) fn wanted(attest: &[String], provenance: Option<&str>, sbom: Option<&str>) -> Result<bool> {
    let mut wanted = false;
    for text in attest {
        wanted |= is_wanted(text)?;
    }
    for text in [provenance, sbom].into_iter().flatten().filter(|text| !text.is_empty()) {
        wanted |= match flag(text) {
            Some(wanted) => wanted,
            None => is_wanted(text)?,
        };
    }
    Ok(wanted)
}

fn is_wanted(text: &str) -> Result<bool> {
    let mut wanted = true;
    for field in value::split_record(text).map_err(Error::message)? {
        let invalid = || Error::message(format!("ERROR: invalid value {field}"));
        let (key, value) = field.split_once('=').ok_or_else(invalid)?;
        if key.eq_ignore_ascii_case("disabled") {
            wanted = !flag(value).ok_or_else(invalid)?;
        }
    }
    Ok(wanted)
}

/// As Go reads it.
fn flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_may_be_wanted() {
        let of = |attest: &[&str], provenance, sbom| {
            let attest: Vec<String> = attest.iter().map(|&text| text.to_owned()).collect();
            wanted(&attest, provenance, sbom).map_err(|error| error.to_string())
        };
        assert_eq!(of(&[], None, None), Ok(false));
        assert_eq!(of(&["type=sbom,disabled=true"], Some("false"), Some("0")), Ok(false));
        assert_eq!(of(&["type=sbom"], None, None), Ok(true));
        assert_eq!(of(&[], Some("mode=max"), None), Ok(true));
        assert_eq!(of(&[], None, Some("generator=x")), Ok(true));
        assert_eq!(of(&[], Some("foo"), None), Err("ERROR: invalid value foo".to_owned()));
    }
}
