//! Flag values in the notations of Go and Docker, with their error texts.

/// Quotes a text as Go's `%q` does.
pub(crate) use wharf_build::quote::go as quote;

/// `strconv.ParseBool`.
pub(crate) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", quote(text))),
    }
}

pub(crate) fn check_bool(text: &str) -> Result<(), String> {
    parse_bool(text).map(drop)
}

/// Why a number was not taken.
enum NumberError {
    Syntax,
    Range,
}

impl NumberError {
    fn text(&self, function: &str, text: &str) -> String {
        let why = match self {
            Self::Syntax => "invalid syntax",
            Self::Range => "value out of range",
        };
        format!("strconv.{function}: parsing {}: {why}", quote(text))
    }
}

/// The digits of an unsigned number in any of Go's bases: `10`, `0x1f`, `0o17`, `017`, `0b1`, `1_000`.
fn unsigned(text: &str) -> Result<u64, NumberError> {
    let lower = text.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    let misplaced = digits.ends_with('_') || digits.contains("__") || (base == 10 && digits.starts_with('_'));
    let digits: String = digits.chars().filter(|c| *c != '_').collect();
    if misplaced || digits.is_empty() || !digits.chars().all(|c| c.is_digit(base)) {
        return Err(NumberError::Syntax);
    }
    u64::from_str_radix(&digits, base).map_err(|_| NumberError::Range)
}

fn signed(text: &str) -> Result<i64, NumberError> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let value = i128::from(unsigned(digits)?);
    i64::try_from(if negative { -value } else { value }).map_err(|_| NumberError::Range)
}

/// Signatures of images are not checked, which is Docker's default.
pub(crate) fn check_content_trust(text: &str) -> Result<(), String> {
    match parse_bool(text)? {
        true => Ok(()),
        false => Err("image signatures cannot be checked by this version".to_owned()),
    }
}

/// `strconv.ParseInt` with base 0 and 64 bits.
pub(crate) fn parse_int(text: &str) -> Result<i64, String> {
    signed(text).map_err(|e| e.text("ParseInt", text))
}

pub(crate) fn check_int(text: &str) -> Result<(), String> {
    parse_int(text).map(drop)
}

/// `strconv.ParseUint` with base 0 and 16 bits.
pub(crate) fn check_uint16(text: &str) -> Result<(), String> {
    let value = unsigned(text).and_then(|v| u16::try_from(v).map_err(|_| NumberError::Range));
    value.map(drop).map_err(|e| e.text("ParseUint", text))
}

/// `time.ParseDuration`: nanoseconds.
pub(crate) fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote(text));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, tail) = rest.split_at(number);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(invalid());
        }
        let unit_end = tail.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at(unit_end);
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", quote(text)));
        }
        let scale = unit_nanos(unit)
            .ok_or_else(|| format!("time: unknown unit {} in duration {}", quote(unit), quote(text)))?;
        total += nanos(whole, fraction, scale).ok_or_else(invalid)?;
        rest = next;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())
}

fn unit_nanos(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

fn nanos(whole: &str, fraction: &str, scale: i128) -> Option<i128> {
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse::<i64>().ok()?.into() };
    let mut value = whole * scale;
    let mut step = scale;
    for digit in fraction.bytes() {
        step /= 10;
        value += i128::from(digit - b'0') * step;
    }
    Some(value)
}

pub(crate) fn check_duration(text: &str) -> Result<(), String> {
    parse_duration(text).map(drop)
}

/// A size with an optional binary unit (`b`, `k`, `m`, `g`, `t`, `p`, also as `kb` or `KiB`), in bytes.
pub(crate) fn parse_bytes(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let end = text.rfind(|c: char| c.is_ascii_digit() || matches!(c, '.' | ' ')).ok_or_else(invalid)?;
    let (number, suffix) = text.split_at(if text[end..].starts_with(' ') { end } else { end + 1 });
    let not_a_number = |_| format!("strconv.ParseFloat: parsing {}: invalid syntax", quote(number));
    let value: f64 = number.parse().map_err(not_a_number)?;
    if value < 0.0 {
        return Err(invalid());
    }
    let suffix = suffix.strip_prefix(' ').unwrap_or(suffix).to_ascii_lowercase();
    let bad_suffix = || format!("invalid suffix: '{}'", suffix);
    let Some(first) = suffix.chars().next() else { return Ok(value as i64) };
    let power = "bkmgtp".find(first).ok_or_else(bad_suffix)?;
    let tail = &suffix[1..];
    let known = if power == 0 { tail.is_empty() } else { matches!(tail, "" | "b" | "ib") };
    if !known {
        return Err(bad_suffix());
    }
    Ok((value * 1024f64.powi(power as i32)) as i64)
}

pub(crate) fn check_bytes(text: &str) -> Result<(), String> {
    parse_bytes(text).map(drop)
}

/// A memory and swap limit: a size, or -1 for no limit.
pub(crate) fn parse_swap(text: &str) -> Result<i64, String> {
    if text == "-1" { Ok(-1) } else { parse_bytes(text) }
}

pub(crate) fn check_swap(text: &str) -> Result<(), String> {
    parse_swap(text).map(drop)
}

/// `--cpus`: billionths of a processor.
pub(crate) fn parse_cpus(text: &str) -> Result<i64, String> {
    let (numerator, denominator) =
        rational(text).ok_or_else(|| format!("failed to parse {text} as a rational number"))?;
    let nanos = numerator.checked_mul(1_000_000_000).filter(|nanos| nanos % denominator == 0);
    // compat: a number that does not fit wraps around, and the engine refuses what becomes of it.
    nanos.map(|nanos| (nanos / denominator) as i64).ok_or_else(|| "value is too precise".to_owned())
}

/// `1.5`, `3/2`, `15e-1` or an integer in any of Go's bases, as a fraction.
fn rational(text: &str) -> Option<(i128, i128)> {
    if let Some((numerator, denominator)) = text.split_once('/') {
        let denominator = i128::from(parse_int(denominator).ok()?);
        return (denominator > 0).then_some((parse_int(numerator).ok()?.into(), denominator));
    }
    if text.bytes().all(|b| b != b'.') && !text.contains(['e', 'E']) || text.contains(['x', 'X']) {
        return Some((parse_int(text).ok()?.into(), 1));
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (negative, digits) = match mantissa.as_bytes().first()? {
        b'-' => (true, &mantissa[1..]),
        b'+' => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0 {
        return None;
    }
    let number: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let power = exponent.parse::<i32>().ok()? - i32::try_from(fraction.len()).ok()?;
    let scale = 10i128.checked_pow(power.unsigned_abs())?;
    let number = if negative { -number } else { number };
    if power < 0 { Some((number, scale)) } else { Some((number.checked_mul(scale)?, 1)) }
}

pub(crate) fn check_cpus(text: &str) -> Result<(), String> {
    parse_cpus(text).map(drop)
}

/// A filter must be `name=value`.
pub(crate) fn check_filter(text: &str) -> Result<(), String> {
    if text.is_empty() || text.contains('=') {
        return Ok(());
    }
    Err("bad format of filter (expected name=value)".to_owned())
}

pub(crate) fn check_record(text: &str) -> Result<(), String> {
    split_record(text).map(drop)
}

/// The fields of one comma-separated record, in which a field may be quoted.
pub(crate) fn split_record(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    if text.is_empty() {
        return Ok(fields);
    }
    let mut rest = text;
    loop {
        let (field, tail) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted, text)?,
            None => plain_field(rest, text)?,
        };
        fields.push(field);
        match tail {
            Some(tail) => rest = tail,
            None => return Ok(fields),
        }
    }
}

fn plain_field<'a>(rest: &'a str, whole: &str) -> Result<(String, Option<&'a str>), String> {
    let (field, tail) = rest.split_once(',').map_or((rest, None), |(field, tail)| (field, Some(tail)));
    match field.find('"') {
        Some(at) => {
            let column = whole.len() - rest.len() + at + 1;
            Err(format!("parse error on line 1, column {column}: bare \" in non-quoted-field"))
        }
        None => Ok((field.to_owned(), tail)),
    }
}

fn quoted_field<'a>(mut rest: &'a str, whole: &str) -> Result<(String, Option<&'a str>), String> {
    let mut field = String::new();
    let error = |rest: &str| {
        let column = whole.len() - rest.len() + 1;
        format!("parse error on line 1, column {column}: extraneous or missing \" in quoted-field")
    };
    loop {
        let Some((part, tail)) = rest.split_once('"') else { return Err(error("")) };
        field.push_str(part);
        if let Some(next) = tail.strip_prefix('"') {
            field.push('"');
            rest = next;
        } else if let Some(next) = tail.strip_prefix(',') {
            return Ok((field, Some(next)));
        } else if tail.is_empty() {
            return Ok((field, None));
        } else {
            return Err(error(tail));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn integers_in_go_notation() {
        for (text, value) in
            [("0", 0), ("-1", -1), ("+7", 7), ("0x1F", 31), ("017", 15), ("0b11", 3), ("1_000", 1000)]
        {
            assert_eq!(parse_int(text), Ok(value), "{text}");
        }
        assert_eq!(parse_int("x").unwrap_err(), "strconv.ParseInt: parsing \"x\": invalid syntax");
        assert_eq!(parse_int("").unwrap_err(), "strconv.ParseInt: parsing \"\": invalid syntax");
        assert_eq!(
            parse_int("99999999999999999999").unwrap_err(),
            "strconv.ParseInt: parsing \"99999999999999999999\": value out of range"
        );
        assert_eq!(parse_int("-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(
            check_uint16("99999").unwrap_err(),
            "strconv.ParseUint: parsing \"99999\": value out of range"
        );
    }

    #[test]
    fn durations_in_go_notation() {
        for (text, value) in [
            ("0", 0),
            ("1.5s", 1_500_000_000),
            ("1m30s", 90_000_000_000),
            ("-2ms", -2_000_000),
            (".5h", 1_800_000_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(value), "{text}");
        }
        assert_eq!(parse_duration("5").unwrap_err(), "time: missing unit in duration \"5\"");
        assert_eq!(parse_duration("5x").unwrap_err(), "time: unknown unit \"x\" in duration \"5x\"");
        assert_eq!(parse_duration("abc").unwrap_err(), "time: invalid duration \"abc\"");
        assert_eq!(parse_duration("").unwrap_err(), "time: invalid duration \"\"");
    }

    #[test]
    fn sizes_with_binary_units() {
        for (text, value) in [
            ("64m", 67_108_864),
            ("1.5g", 1_610_612_736),
            ("10", 10),
            ("2KiB", 2048),
            ("3 kb", 3072),
            ("1b", 1),
        ] {
            assert_eq!(parse_bytes(text), Ok(value), "{text}");
        }
        assert_eq!(parse_bytes("abc").unwrap_err(), "invalid size: 'abc'");
        assert_eq!(parse_bytes("10x").unwrap_err(), "invalid suffix: 'x'");
        assert_eq!(parse_bytes("").unwrap_err(), "invalid size: ''");
    }

    #[test]
    fn records_split_at_commas_outside_quotes() {
        assert_eq!(split_record("a,b").unwrap(), ["a", "b"]);
        assert_eq!(split_record("\"a,b\",c").unwrap(), ["a,b", "c"]);
        assert_eq!(split_record("\"say \"\"hi\"\"\"").unwrap(), ["say \"hi\""]);
        assert!(split_record("").unwrap().is_empty());
        assert!(split_record("a\"b").is_err());
    }
}
