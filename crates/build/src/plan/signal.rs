//! Names and numbers of signals, as `STOPSIGNAL` takes them.

const NAMES: [&str; 33] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE",
    "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU",
    "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU",
];

/// Whether a text is a signal.
pub(super) fn is_known(text: &str) -> bool {
    if let Ok(number) = text.parse::<i64>() {
        return number != 0;
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let near = |prefix: &str, last: u32| {
        name.strip_prefix(prefix).and_then(|n| n.parse::<u32>().ok()).is_some_and(|n| (1..=last).contains(&n))
    };
    NAMES.contains(&name)
        || matches!(name, "XFSZ" | "RTMIN" | "RTMAX")
        || near("RTMIN+", 15)
        || near("RTMAX-", 14)
}
