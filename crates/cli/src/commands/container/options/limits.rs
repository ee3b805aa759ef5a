//! `--ulimit`, `--blkio-weight-device` and the rates of block devices.

use std::collections::BTreeMap;

use wharf_api::container::{ThrottleDevice, Ulimit, WeightDevice};

use crate::value;

const KINDS: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// `NAME=SOFT[:HARD]`.
pub(crate) fn ulimit(text: &str) -> Result<Ulimit, String> {
    let (name, limits) = text.split_once('=').ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
    if !KINDS.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let limits_given: Vec<&str> = limits.split(':').collect();
    let (soft, hard) = match limits_given[..] {
        [both] => (number(both)?, None),
        [soft, hard] => (number(soft)?, Some(number(hard)?)),
        _ => {
            return Err(format!(
                "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
            ));
        }
    };
    let hard = hard.unwrap_or(soft);
    let order = "ulimit soft limit must be less than or equal to hard limit";
    match (soft, hard) {
        (_, -1) => {}
        (-1, hard) => return Err(format!("{order}: soft: -1 (unlimited), hard: {hard}")),
        (soft, hard) if soft > hard => return Err(format!("{order}: {soft} > {hard}")),
        _ => {}
    }
    Ok(Ulimit { name: name.to_owned(), hard, soft })
}

/// All limits by name; the last of a name counts.
pub(crate) fn ulimits(texts: &[String]) -> Result<Vec<Ulimit>, String> {
    let mut by_name = BTreeMap::new();
    for text in texts {
        let limit = ulimit(text)?;
        by_name.insert(limit.name.clone(), limit);
    }
    Ok(by_name.into_values().collect())
}

/// A decimal number, with Go's error text.
fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("strconv.ParseInt: parsing {}: invalid syntax", value::quote(text)))
}

/// `DEVICE:WEIGHT`.
pub(super) fn weight(text: &str) -> Result<WeightDevice, String> {
    let (path, weight) = device(text)?;
    let weight = weight.parse::<u16>().ok().filter(|weight| matches!(weight, 0 | 10..=1000));
    let weight = weight.ok_or_else(|| format!("invalid weight for device: {text}"))?;
    Ok(WeightDevice { path, weight })
}

/// What a rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    Operations,
}

/// `DEVICE:RATE`.
pub(super) fn rate(text: &str, unit: Unit) -> Result<ThrottleDevice, String> {
    let (path, rate) = device(text)?;
    let parsed = match unit {
        Unit::Bytes => value::parse_bytes(rate).ok().and_then(|rate| u64::try_from(rate).ok()),
        Unit::Operations => rate.parse().ok(),
    };
    let form = match unit {
        Unit::Bytes => {
            "<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
        }
        Unit::Operations => "<number>. Number must be a positive integer",
    };
    let rate = parsed.ok_or_else(|| {
        format!("invalid rate for device: {text}. The correct format is <device-path>:{form}")
    })?;
    Ok(ThrottleDevice { path, rate })
}

fn device(text: &str) -> Result<(String, &str), String> {
    let (path, rest) = text.split_once(':').filter(|(path, _)| !path.is_empty()).unwrap_or_default();
    if path.is_empty() {
        return Err(format!("bad format: {text}"));
    }
    if !path.starts_with("/dev/") {
        return Err(format!("bad format for device path: {text}"));
    }
    Ok((path.to_owned(), rest))
}
