//! `--annotation`: on what, for which platform, which.

use wharf_api::build::{Annotated, Annotation};
use wharf_oci::Platform;

use crate::{Error, Result};

/// Reads the flags: `[TYPE[[PLATFORM]][,…]:]KEY=VALUE`.
///
/// # Errors
/// In buildx's words.
pub(super) fn parse(given: &[String]) -> Result<Vec<Annotation>> {
    let mut found = Vec::new();
    for text in given {
        one(text, &mut found).map_err(|reason| Error::message(format!("parse annotations: {reason}")))?;
    }
    Ok(found)
}

/// Refuses those of an index where there is none.
///
/// # Errors
/// In buildx's words.
pub(super) fn check(annotations: &[Annotation], platforms: usize) -> Result<()> {
    let of_index =
        |annotation: &Annotation| matches!(annotation.on, Annotated::Index | Annotated::IndexDescriptor);
    match platforms > 1 || !annotations.iter().any(of_index) {
        true => Ok(()),
        false => Err(Error::message("index annotations not supported for single platform export")),
    }
}

fn one(text: &str, found: &mut Vec<Annotation>) -> std::result::Result<(), String> {
    let invalid = || format!("invalid annotation {text:?}, expected key=value");
    let (name, value) = text.split_once('=').ok_or_else(invalid)?;
    let (kinds, key) = name.split_once(':').unwrap_or(("", name));
    for kind in kinds.split(',') {
        let (kind, platform) = match kind.split_once('[') {
            None => (kind, ""),
            Some((before, rest)) => {
                let platform = rest.strip_suffix(']').ok_or_else(|| malformed(kind))?;
                (before, platform)
            }
        };
        let on = match kind {
            "" if !platform.is_empty() => return Err(malformed(&format!("[{platform}]"))),
            "" | "manifest" => Annotated::Manifest,
            "manifest-descriptor" => Annotated::ManifestDescriptor,
            "index" => Annotated::Index,
            "index-descriptor" => Annotated::IndexDescriptor,
            kind if kind.chars().all(|c| c.is_ascii_lowercase() || c == '-') => {
                return Err(format!("unknown annotation type {kind:?}"));
            }
            kind => return Err(malformed(kind)),
        };
        let bad = |reason: &dyn std::fmt::Display| format!("invalid platform {platform:?}: {reason}");
        if !platform.is_empty() {
            Platform::parse(platform).map_err(|error| bad(&error))?;
        }
        let (platform, key, value) = (platform.to_owned(), key.to_owned(), value.to_owned());
        found.push(Annotation { on, platform, key, value });
    }
    Ok(())
}

fn malformed(kind: &str) -> String {
    format!("invalid annotation type {kind:?}, expected type and optional platform in square brackets")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let of = |text: &str| match parse(&[text.to_owned()]) {
            Ok(found) => {
                let show = |a: &Annotation| format!("{:?}[{}] {}={}", a.on, a.platform, a.key, a.value);
                found.iter().map(show).collect::<Vec<_>>().join("; ")
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(of("a=b=c"), "Manifest[] a=b=c");
        assert_eq!(of("a=http://x"), "Manifest[] a=http://x");
        assert_eq!(of("manifest,index:a=b"), "Manifest[] a=b; Index[] a=b");
        assert_eq!(of("manifest-descriptor[linux/arm64]:a=b"), "ManifestDescriptor[linux/arm64] a=b");
        assert_eq!(of("foo:a=b"), "parse annotations: unknown annotation type \"foo\"");
        assert_eq!(of("ab"), "parse annotations: invalid annotation \"ab\", expected key=value");
        assert!(
            of("manifest[bad/x/y/z]:a=b").starts_with("parse annotations: invalid platform \"bad/x/y/z\": ")
        );
        assert!(of("manifest[x:a=b").contains("expected type and optional platform in square brackets"));
    }

    #[test]
    fn an_index_needs_several_platforms() {
        let annotations = parse(&["index:a=b".to_owned()]).unwrap_or_default();
        assert!(check(&annotations, 1).is_err() && check(&annotations, 2).is_ok() && check(&[], 0).is_ok());
    }
}
