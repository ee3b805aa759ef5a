//! `HEALTHCHECK [--interval=… …] CMD … | NONE`.

use wharf_oci::image::Healthcheck;

use super::{json_words, words::split_words};
use crate::{Error, Result};

/// Shortest time Docker accepts: a millisecond.
const SHORTEST: i64 = 1_000_000;

pub(super) fn parse(arguments: &str) -> Result<Healthcheck> {
    let mut check = Healthcheck::default();
    let mut rest = arguments.trim();
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        rest = after.trim_start();
        let (name, value) =
            flag.split_once('=').ok_or_else(|| Error::invalid(format!("Missing a value on flag: {flag}")))?;
        let target = match name {
            "interval" => &mut check.interval,
            "timeout" => &mut check.timeout,
            "start-period" => &mut check.start_period,
            "start-interval" => &mut check.start_interval,
            "retries" => {
                check.retries = value.parse().map_err(|_| {
                    Error::invalid(format!("strconv.ParseInt: parsing {value:?}: invalid syntax"))
                })?;
                if check.retries < 0 {
                    return Err(Error::invalid(format!("--retries cannot be negative ({value})")));
                }
                continue;
            }
            _ => return Err(Error::invalid(format!("Unknown flag: {name}"))),
        };
        *target = duration(value)?;
        if *target != 0 && *target < SHORTEST {
            return Err(Error::invalid(format!("Interval {name:?} cannot be less than 1ms")));
        }
    }
    let (kind, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let command = command.trim();
    match kind.to_uppercase().as_str() {
        "" => return Err(Error::invalid("HEALTHCHECK requires at least one argument")),
        "NONE" if command.is_empty() => check.test = vec!["NONE".to_owned()],
        "NONE" => return Err(Error::invalid("HEALTHCHECK NONE takes no arguments")),
        "CMD" if split_words(command).is_empty() => {
            return Err(Error::invalid("Missing command after HEALTHCHECK CMD"));
        }
        "CMD" => {
            check.test = match json_words(command) {
                Some(words) => ["CMD".to_owned()].into_iter().chain(words).collect(),
                None => vec!["CMD-SHELL".to_owned(), command.to_owned()],
            };
        }
        _ => return Err(Error::invalid(format!("Unknown type {kind:?} in HEALTHCHECK (try CMD)"))),
    }
    Ok(check)
}

/// Nanoseconds of a Go duration such as `1m30s` or `1.5h`.
fn duration(text: &str) -> Result<i64> {
    let bad = || Error::invalid(format!("time: invalid duration {text:?}"));
    if text == "0" {
        return Ok(0);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(bad)?;
        let unit =
            rest[number..].find(|c: char| c.is_ascii_digit() || c == '.').map_or(rest.len(), |n| number + n);
        let value: f64 = rest[..number].parse().map_err(|_| bad())?;
        let scale = match &rest[number..unit] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(bad()),
        };
        total += value * scale;
        rest = &rest[unit..];
    }
    if text.is_empty() || total > 9e18 {
        return Err(bad());
    }
    #[allow(clippy::cast_possible_truncation)]
    Ok(total as i64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("1m30s").unwrap(), 90_000_000_000);
        assert_eq!(duration("1.5h").unwrap(), 5_400_000_000_000);
        assert_eq!(duration("20ms").unwrap(), 20_000_000);
        for bad in ["", "5", "s", "1x", "-1s", "1..2s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
