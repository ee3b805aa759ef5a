//! `ps`.

use std::collections::HashSet;
use std::process::{Command, ExitCode};

use super::flags::Flags;
use super::{Context, Failure, print, print_json};
use crate::error::{Context as _, Error};
use crate::state::Container;

pub(super) fn run(context: &Context, args: Vec<String>) -> Result<ExitCode, Failure> {
    let mut flags = Flags::parse(&[("format", Some('f'), true)], args)?;
    let container = Container::open(&context.root, &flags.id()?)?;
    let pids = container.cgroup()?.pids()?;
    match flags.value("format").unwrap_or("table") {
        "json" => return Ok(print_json(&pids)),
        "table" => {}
        _ => return Err(Error::Config("invalid format option".into()).into()),
    }
    let mut args: Vec<String> = flags.operands.drain(..).collect();
    if args.is_empty() {
        args.push("-ef".to_owned());
    }
    let output = Command::new("ps").args(&args).output().setup(|| "exec: \"ps\"".into())?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::State(format!("{}: {text}", output.status)).into());
    }
    let table = String::from_utf8_lossy(&output.stdout);
    Ok(print(&filter(&table, &pids.into_iter().collect())?))
}

/// The head of the table and the lines of the given processes.
fn filter(table: &str, pids: &HashSet<i32>) -> Result<String, Failure> {
    let mut lines = table.lines();
    let head = lines.next().unwrap_or_default();
    let Some(column) = head.split_whitespace().position(|name| name == "PID") else {
        return Err(Error::State("couldn't find PID field in ps output".into()).into());
    };
    let ours = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|word| word.parse().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    Ok(std::iter::once(head).chain(lines.filter(ours)).map(|line| format!("{line}\n")).collect())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn only_own_processes() {
        let table = "UID   PID  CMD\nroot  1    init\nroot  42   sh\nroot  420  sh\n";
        let text = filter(table, &HashSet::from([42])).map_err(|failure| failure.message);
        expect![[r#"
            Ok("UID   PID  CMD\nroot  42   sh\n")"#]]
        .assert_eq(&format!("{text:?}"));
        assert!(filter("no head\n", &HashSet::new()).is_err());
    }
}
