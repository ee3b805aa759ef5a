//! What is tested, and put into its final form, while a flag is parsed. The texts end up behind
//! `invalid argument … for … flag: `.

use std::net::IpAddr;

use crate::value::quote;

/// `-a`: the stream in small letters.
pub(super) fn stream(text: &str) -> Result<String, String> {
    let stream = text.to_lowercase();
    match stream.as_str() {
        "stdin" | "stdout" | "stderr" => Ok(stream),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".to_owned()),
    }
}

/// `--add-host NAME:ADDRESS` or `NAME=ADDRESS`: always with the colon, IPv6 addresses without brackets.
pub(crate) fn extra_host(text: &str) -> Result<String, String> {
    let (name, address) = text.split_once('=').or_else(|| text.split_once(':')).unwrap_or_default();
    if name.is_empty() {
        return Err(format!("bad format for add-host: {}", quote(text)));
    }
    let plain = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if address != "host-gateway" && plain.trim().parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address in add-host: {}", quote(address)));
    }
    Ok(format!("{name}:{}", plain.trim()))
}

/// `--dns`: an address.
pub(super) fn address(text: &str) -> Result<String, String> {
    match text.trim().parse::<IpAddr>() {
        Ok(_) => Ok(text.trim().to_owned()),
        Err(_) => Err(format!("IP address is not correctly formatted: {text}")),
    }
}

/// `--dns-search`: a domain, or `.` for none.
pub(super) fn domain(text: &str) -> Result<String, String> {
    let domain = text.trim_matches(' ');
    let label = |label: &str| {
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty() && label.chars().all(inside) && !label.starts_with('-') && !label.ends_with('-')
    };
    let labels = domain.strip_suffix('.').unwrap_or(domain);
    let letters = domain.chars().any(|c| c.is_ascii_alphabetic());
    if domain == "." || (domain.len() < 255 && letters && labels.split('.').all(label)) {
        return Ok(domain.to_owned());
    }
    Err(format!("{domain} is not a valid domain"))
}

/// `-e`: a variable needs a name.
pub(crate) fn env(text: &str) -> Result<(), String> {
    if text.is_empty() || text.starts_with('=') {
        return Err(format!("invalid environment variable: {text}"));
    }
    Ok(())
}

/// `-l`: a label needs a name.
pub(super) fn label(text: &str) -> Result<(), String> {
    if text.is_empty() || text.starts_with('=') {
        return Err(format!("invalid label '{text}': empty name"));
    }
    Ok(())
}

/// `--link CONTAINER[:ALIAS]`.
pub(super) fn link(text: &str) -> Result<(), String> {
    match text.split(':').count() {
        _ if text.is_empty() => Err("empty string specified for links".to_owned()),
        1 | 2 => Ok(()),
        _ => Err(format!("bad format for links: {text}")),
    }
}

/// `--device-cgroup-rule TYPE MAJOR:MINOR ACCESS`.
pub(super) fn device_rule(text: &str) -> Result<(), String> {
    let number = |n: &str| n == "*" || (!n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let fields: Vec<&str> = text.split(' ').collect();
    let valid = match fields[..] {
        [kind, numbers, access] => {
            matches!(kind, "a" | "b" | "c")
                && numbers.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
                && matches!(access.len(), 1..=3)
                && access.bytes().all(|b| b"rwm".contains(&b))
        }
        _ => false,
    };
    if valid { Ok(()) } else { Err(format!("invalid device cgroup format '{text}'")) }
}

/// `--sysctl NAME=VALUE`: only what belongs to a namespace.
pub(super) fn sysctl(text: &str) -> Result<(), String> {
    const ALLOWED: &[&str] = &[
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let name = text.split_once('=').map(|(name, _)| name);
    let allowed =
        |name: &str| ALLOWED.contains(&name) || name.starts_with("net.") || name.starts_with("fs.mqueue.");
    if name.is_some_and(allowed) { Ok(()) } else { Err(format!("sysctl '{text}' is not allowed")) }
}
