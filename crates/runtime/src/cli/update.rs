//! `update`.

use std::io::Read;
use std::process::ExitCode;

use oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value, json};

use super::flags::{Flag, Flags};
use super::{Context, Failure};
use crate::error::{Context as _, Error, Result};
use crate::state::{Container, Status};

const FLAGS: &[Flag] = &[
    ("resources", Some('r'), true),
    ("blkio-weight", None, true),
    ("cpu-period", None, true),
    ("cpu-quota", None, true),
    ("cpu-burst", None, true),
    ("cpu-share", None, true),
    ("cpu-rt-period", None, true),
    ("cpu-rt-runtime", None, true),
    ("cpuset-cpus", None, true),
    ("cpuset-mems", None, true),
    ("cpu-idle", None, true),
    ("memory", None, true),
    ("memory-reservation", None, true),
    ("memory-swap", None, true),
    ("pids-limit", None, true),
];

/// Flag, section and key of the resources document.
const NUMBERS: &[(&str, &str, &str)] = &[
    ("blkio-weight", "blockIO", "weight"),
    ("cpu-period", "cpu", "period"),
    ("cpu-quota", "cpu", "quota"),
    ("cpu-burst", "cpu", "burst"),
    ("cpu-share", "cpu", "shares"),
    ("cpu-rt-period", "cpu", "realtimePeriod"),
    ("cpu-rt-runtime", "cpu", "realtimeRuntime"),
    ("cpu-idle", "cpu", "idle"),
    ("memory", "memory", "limit"),
    ("memory-reservation", "memory", "reservation"),
    ("memory-swap", "memory", "swap"),
    ("pids-limit", "pids", "limit"),
];

pub(super) fn run(context: &Context, args: Vec<String>) -> Result<ExitCode, Failure> {
    let mut flags = Flags::parse(FLAGS, args)?;
    let mut container = Container::open(&context.root, &flags.id()?)?;
    if container.status() == Status::Stopped {
        return Err(Error::State("container not running".into()).into());
    }
    let resources = read_resources(&flags)?;
    container.cgroup()?.apply(&resources)?;
    if let Some(linux) = container.state.config.linux_mut() {
        let merged = merge(linux.resources().as_ref(), &resources)?;
        linux.set_resources(Some(merged));
    }
    container.save()?;
    Ok(ExitCode::SUCCESS)
}

fn read_resources(flags: &Flags) -> Result<LinuxResources> {
    let document = match flags.value("resources") {
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).setup(|| "read standard input".into())?;
            text
        }
        Some(path) => std::fs::read_to_string(path).setup(|| format!("open {path}"))?,
        None => return from_flags(flags),
    };
    serde_json::from_str(&document).map_err(|error| Error::Config(error.to_string()))
}

fn from_flags(flags: &Flags) -> Result<LinuxResources> {
    let mut document = Map::new();
    let mut put = |section: &str, key: &str, value: Value| {
        let entry = document.entry(section).or_insert_with(|| json!({}));
        entry[key] = value;
    };
    for (flag, section, key) in NUMBERS {
        if let Some(text) = flags.value(flag) {
            put(section, key, json!(number(flag, text)?));
        }
    }
    for (flag, key) in [("cpuset-cpus", "cpus"), ("cpuset-mems", "mems")] {
        if let Some(text) = flags.value(flag) {
            put("cpu", key, json!(text));
        }
    }
    serde_json::from_value(Value::Object(document)).map_err(|error| Error::Config(error.to_string()))
}

/// A number, for memory with a binary unit (`64m`).
fn number(flag: &str, text: &str) -> Result<i64> {
    let invalid = || Error::Config(format!("invalid value for {flag}: {text:?}"));
    let lower = text.to_lowercase();
    let lower = lower.strip_suffix("ib").or_else(|| lower.strip_suffix('b')).unwrap_or(&lower);
    let unit = lower.chars().last().and_then(|unit| "kmgt".find(unit)).filter(|_| flag.starts_with("memory"));
    let (digits, shift) = match unit {
        Some(power) => (&lower[..lower.len() - 1], 10 * (power + 1)),
        None => (lower, 0),
    };
    digits.parse::<i64>().ok().and_then(|number| number.checked_mul(1 << shift)).ok_or_else(invalid)
}

/// The known limits with the new ones put over them.
fn merge(known: Option<&LinuxResources>, new: &LinuxResources) -> Result<LinuxResources> {
    fn put(over: &mut Value, new: Value) {
        match (over, new) {
            (Value::Object(over), Value::Object(new)) => {
                for (key, value) in new {
                    put(over.entry(key).or_insert(Value::Null), value);
                }
            }
            (over, new) => *over = new,
        }
    }
    let failed = |error: serde_json::Error| Error::State(error.to_string());
    let mut document = serde_json::to_value(known).map_err(failed)?;
    put(&mut document, serde_json::to_value(new).map_err(failed)?);
    serde_json::from_value(document).map_err(failed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn flags(line: &str) -> Flags {
        Flags::parse(FLAGS, line.split(' ').map(str::to_owned)).unwrap()
    }

    #[test]
    fn flags_become_resources() {
        let resources =
            from_flags(&flags("--memory 64m --cpu-quota=5000 --cpuset-cpus 0 --pids-limit -1 id")).unwrap();
        assert_eq!(resources.memory().unwrap().limit(), Some(64 << 20));
        assert_eq!(resources.cpu().as_ref().unwrap().quota(), Some(5000));
        assert_eq!(resources.cpu().as_ref().unwrap().cpus().as_deref(), Some("0"));
        assert_eq!(resources.pids().unwrap().limit(), -1);
        assert!(from_flags(&flags("--memory x id")).is_err());
        assert!(from_flags(&flags("--cpu-quota 5k id")).is_err());
    }

    #[test]
    fn new_limits_keep_the_others() {
        let known = from_flags(&flags("--memory 64m --pids-limit 5 id")).unwrap();
        let merged = merge(Some(&known), &from_flags(&flags("--pids-limit 7 id")).unwrap()).unwrap();
        assert_eq!(merged.memory().unwrap().limit(), Some(64 << 20));
        assert_eq!(merged.pids().unwrap().limit(), 7);
    }
}
