//! Signal names and numbers, as `--stop-signal` and `kill -s` take them.

use crate::{Error, Result};

/// Names of the classic signals on x86-64 and arm64, from 1 on; see signal(7).
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// First and last real-time signal as the C library numbers them.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// Parses a number, or a name with or without `SIG`, in any case.
///
/// # Errors
/// Anything else, in Docker's words.
pub(crate) fn parse(text: &str) -> Result<i32> {
    let invalid = || Error::invalid(format!("invalid signal: {text}"));
    if let Ok(number) = text.parse::<i32>() {
        return match number {
            1..=RTMAX => Ok(number),
            0 => Err(invalid()),
            _ => Err(Error::invalid(format!("the linux daemon does not support signal {number}"))),
        };
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |text: &str| if text.is_empty() { Some(0) } else { text[1..].parse::<i32>().ok() };
    let number = match name {
        "CLD" => Some(17),
        "IOT" => Some(6),
        "POLL" => Some(29),
        _ if name.starts_with("RTMIN") => offset(&name[5..]).map(|plus| RTMIN + plus),
        _ if name.starts_with("RTMAX") => offset(&name[5..]).map(|minus| RTMAX - minus),
        _ => NAMES.iter().position(|known| *known == name).and_then(|index| i32::try_from(index + 1).ok()),
    };
    number.filter(|number| (1..=RTMAX).contains(number)).ok_or_else(invalid)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn parses_names_and_numbers() {
        for (text, number) in [
            ("9", 9),
            ("KILL", 9),
            ("sigterm", 15),
            ("USR1", 10),
            ("SIGSYS", 31),
            ("RTMIN+3", 37),
            ("SIGRTMAX-1", 63),
        ] {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
    }

    #[test]
    fn refuses_with_dockers_words() {
        for (text, words) in [
            ("NOSIG", "invalid signal: NOSIG"),
            ("0", "invalid signal: 0"),
            ("", "invalid signal: "),
            ("RTMIN+99", "invalid signal: RTMIN+99"),
            ("99", "the linux daemon does not support signal 99"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), words);
        }
    }
}
