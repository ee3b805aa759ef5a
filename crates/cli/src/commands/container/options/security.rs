//! `--security-opt`.

use serde::de::IgnoredAny;

use super::Surroundings;
use crate::{error::go_os_error, value::quote};

/// What the security options come to.
#[derive(Debug)]
pub(super) struct Security {
    /// Those for the engine; nothing if none were given.
    pub(super) options: Option<Vec<String>>,
    /// `systempaths=unconfined`: hide and protect nothing below `/proc` and `/sys`.
    pub(super) unmasked: bool,
}

pub(super) fn parse(given: &[String], around: &dyn Surroundings) -> Result<Security, String> {
    let mut options = Vec::new();
    for option in given {
        options.push(parse_one(option, around)?);
    }
    let before = options.len();
    options.retain(|option| option != "systempaths=unconfined");
    Ok(Security { unmasked: options.len() < before, options: (!given.is_empty()).then_some(options) })
}

fn parse_one(option: &str, around: &dyn Surroundings) -> Result<String, String> {
    if option == "no-new-privileges" {
        return Ok(option.to_owned());
    }
    let (key, value) = option.split_once('=').or_else(|| option.split_once(':')).unwrap_or_default();
    if value.is_empty() && key != "no-new-privileges" {
        return Err(format!("Invalid --security-opt: {}", quote(option)));
    }
    if key != "seccomp" || matches!(value, "builtin" | "unconfined") {
        return Ok(option.to_owned());
    }
    // The engine may be elsewhere, so it gets the profile itself.
    let profile = around.read(value).map_err(|error| {
        format!("opening seccomp profile ({value}) failed: open {value}: {}", go_os_error(&error))
    })?;
    serde_json::from_slice::<IgnoredAny>(&profile)
        .map_err(|error| format!("compacting json for seccomp profile ({value}) failed: {error}"))?;
    Ok(format!("seccomp={}", compact(&String::from_utf8_lossy(&profile))))
}

/// A JSON text without blanks between its parts.
fn compact(json: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    json.chars()
        .filter(|c| {
            let keep = quoted || !c.is_ascii_whitespace();
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                _ => {}
            }
            keep
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_inside_texts_stay() {
        assert_eq!(compact("{ \"a b\\\" c\" :\n [1, 2 ] }"), "{\"a b\\\" c\":[1,2]}");
    }
}
