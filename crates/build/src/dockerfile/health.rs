//! `HEALTHCHECK`, and durations as Go writes them.

use wharf_oci::image::Healthcheck;

use super::flags::{Flags, Form};
use super::split::{self, Json};

const MILLISECOND: i64 = 1_000_000;

const FLAGS: [(&str, Form); 5] = [
    ("interval", Form::One),
    ("timeout", Form::One),
    ("start-period", Form::One),
    ("start-interval", Form::One),
    ("retries", Form::One),
];

/// Parses what follows `HEALTHCHECK` and its flags.
pub(super) fn parse(flag_words: &[String], rest: &str) -> Result<Healthcheck, String> {
    let (kind, rest) = split::keyword(rest);
    if kind.is_empty() {
        return Err("HEALTHCHECK requires at least one argument".to_owned());
    }
    let kind = kind.to_uppercase();
    if kind == "NONE" {
        if !rest.is_empty() {
            return Err("HEALTHCHECK NONE takes no arguments".to_owned());
        }
        return Ok(Healthcheck { test: vec![kind], ..Healthcheck::default() });
    }
    let flags = Flags::read(flag_words, &FLAGS)?;
    if kind != "CMD" {
        return Err(format!("Unknown type {} in HEALTHCHECK (try CMD)", crate::quote::go(&kind)));
    }
    let test = match split::json(rest) {
        Json::List(words) if !words.is_empty() => [vec!["CMD".to_owned()], words].concat(),
        Json::None if !rest.is_empty() => vec!["CMD-SHELL".to_owned(), rest.to_owned()],
        _ => return Err("Missing command after HEALTHCHECK CMD".to_owned()),
    };
    let retries = match flags.one("retries") {
        Some(text) if !text.is_empty() => retries(&text)?,
        _ => 0,
    };
    Ok(Healthcheck {
        test,
        interval: interval(&flags, "interval")?,
        timeout: interval(&flags, "timeout")?,
        start_period: interval(&flags, "start-period")?,
        start_interval: interval(&flags, "start-interval")?,
        retries,
    })
}

fn retries(text: &str) -> Result<i64, String> {
    let quoted = crate::quote::go(text);
    let count =
        text.parse::<i64>().map_err(|_| format!("strconv.ParseInt: parsing {quoted}: invalid syntax"))?;
    if i32::try_from(count).is_err() {
        return Err(format!("strconv.ParseInt: parsing {quoted}: value out of range"));
    }
    if count < 0 {
        return Err(format!("--retries cannot be negative ({count})"));
    }
    Ok(count)
}

fn interval(flags: &Flags, name: &str) -> Result<i64, String> {
    let Some(text) = flags.one(name).filter(|text| !text.is_empty()) else { return Ok(0) };
    let nanoseconds = duration(&text)?;
    if nanoseconds != 0 && nanoseconds < MILLISECOND {
        return Err(format!("Interval {} cannot be less than 1ms", crate::quote::go(name)));
    }
    Ok(nanoseconds)
}

/// Nanoseconds of a duration such as `1h2m3.5s`.
fn duration(text: &str) -> Result<i64, String> {
    let quoted = crate::quote::go(text);
    let invalid = || format!("time: invalid duration {quoted}");
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if unsigned == "0" {
        return Ok(0);
    }
    if unsigned.is_empty() {
        return Err(invalid());
    }
    let mut rest = unsigned;
    let mut total = 0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let factor = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            "" => return Err(format!("time: missing unit in duration {quoted}")),
            unit => {
                return Err(format!("time: unknown unit {} in duration {quoted}", crate::quote::go(unit)));
            }
        };
        total += number * factor;
        rest = tail;
    }
    if total > i64::MAX as f64 {
        return Err(invalid());
    }
    let nanoseconds = total.round() as i64;
    Ok(if negative { -nanoseconds } else { nanoseconds })
}
