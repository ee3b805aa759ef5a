//! Monitors with real containers. Needs root, and busybox at `/bin/busybox`.
//!
//! The test binary is also the launcher, as the wharf binary is, so it has a `main` of its own that understands what
//! `cargo test` and `cargo nextest` ask of a test binary.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod attach;
mod container;
mod exec;
mod fixture;
mod lifecycle;
mod measure;
mod survival;

use std::panic::catch_unwind;
use std::process::ExitCode;

type Case = (&'static str, fn());

fn cases() -> Vec<Case> {
    [lifecycle::CASES, attach::CASES, exec::CASES, container::CASES, survival::CASES].concat()
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if args[0] == wharf_monitor::launcher::ARGV0 {
        wharf_monitor::launcher_main();
    }
    if args[0] == survival::DAEMON {
        survival::daemon(&args[1]);
    }
    if args[0] == measure::EXECUTED {
        measure::executed();
    }
    if args.iter().any(|a| a == "--list") {
        let ignored = args.iter().any(|a| a == "--ignored");
        cases().iter().filter(|_| !ignored).for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    if args.get(1).is_some_and(|a| a == "measure") {
        measure::run(&args[2..]);
        return ExitCode::SUCCESS;
    }
    fixture::own_mount_namespace();
    let exact = args.iter().any(|a| a == "--exact");
    let names: Vec<&String> = args[1..].iter().filter(|a| !a.starts_with('-')).collect();
    let chosen = |name: &str| {
        names.is_empty() || names.iter().any(|n| if exact { name == *n } else { name.contains(n.as_str()) })
    };
    let mut failed = 0;
    for (name, case) in cases().into_iter().filter(|(name, _)| chosen(name)) {
        let result = if catch_unwind(case).is_ok() { "ok" } else { "FAILED" };
        failed += u8::from(result != "ok");
        println!("test {name} ... {result}");
    }
    ExitCode::from(failed)
}
