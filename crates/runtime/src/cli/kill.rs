//! `kill`.

use std::os::fd::AsFd;
use std::process::ExitCode;

use wharf_sys::signal;

use super::flags::Flags;
use super::{Context, Failure};
use crate::error::{Context as _, Error, Result};
use crate::state::{Container, Status};

/// Signal names in the order of their numbers from 1.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

pub(super) fn run(context: &Context, args: Vec<String>) -> Result<ExitCode, Failure> {
    let mut flags = Flags::parse(&[("all", Some('a'), false)], args)?;
    let id = flags.id()?;
    let signal = parse_signal(flags.operands.front().map_or("SIGTERM", String::as_str))?;
    let container = Container::open(&context.root, &id)?;
    if flags.is_set("all") {
        container.cgroup()?.signal_all(signal)?;
        return Ok(ExitCode::SUCCESS);
    }
    if container.status() == Status::Stopped {
        return Err(Error::State("container not running".into()).into());
    }
    signal::send_pidfd(container.pidfd()?.as_fd(), signal).setup(|| "unable to signal init".into())?;
    Ok(ExitCode::SUCCESS)
}

/// A signal by number or by name, with or without `SIG`, in any case.
fn parse_signal(text: &str) -> Result<i32> {
    let unknown = || Error::Config(format!("unknown signal {text:?}"));
    if let Ok(number) = text.parse::<i32>() {
        return if (0..=64).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let name = text.to_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    if let Some(at) = NAMES.iter().position(|known| *known == name) {
        return Ok(at as i32 + 1);
    }
    let offset = |rest: &str, sign: char| match rest.strip_prefix(sign) {
        Some(number) => number.parse::<i32>().ok().filter(|number| (0..=30).contains(number)),
        None => rest.is_empty().then_some(0),
    };
    let real_time = match name.strip_prefix("RTMIN") {
        Some(rest) => offset(rest, '+').map(|number| 34 + number),
        None => name.strip_prefix("RTMAX").and_then(|rest| offset(rest, '-')).map(|number| 64 - number),
    };
    real_time
        .or(match name {
            "IOT" => Some(6),
            "CLD" => Some(17),
            "POLL" => Some(29),
            _ => None,
        })
        .ok_or_else(unknown)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn signals() {
        let number = |text: &str| parse_signal(text).unwrap();
        assert_eq!([number("9"), number("SIGKILL"), number("kill"), number("0")], [9, 9, 9, 0]);
        assert_eq!(
            [number("SIGSYS"), number("RTMIN"), number("SIGRTMIN+3"), number("RTMAX-1")],
            [31, 34, 37, 63]
        );
        assert!(parse_signal("SIGNOSUCH").is_err());
        assert!(parse_signal("65").is_err());
    }
}
