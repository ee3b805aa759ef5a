//! `cargo xtask test`: everything that CI runs.

use std::{process::Command, time::Instant};

use anyhow::Result;

use crate::{acceptance, packages, release_binary, run, run_command, tidy};

/// Installs what is missing and runs all checks and tests; stops at the first failure.
///
/// # Errors
/// The first check that failed.
pub(crate) fn all() -> Result<()> {
    let begin = Instant::now();
    packages::install()?;
    run("cargo", ["fmt", "--all", "--check"])?;
    tidy::run()?;
    run("cargo", ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    // The integration tests drive the real binary.
    let binary = release_binary()?;
    println!("==> binary: {} ({} bytes)", binary.display(), std::fs::metadata(&binary)?.len());
    let suite: &[&str] = if packages::has("cargo-nextest") { &["nextest", "run"] } else { &["test"] };
    let mut tests = Command::new("cargo");
    tests.args(suite).args(["--workspace", "--locked", "--no-fail-fast"]).env("WHARF_BIN", &binary);
    run_command(&mut tests)?;
    acceptance::run_listed(&binary)?;
    println!("==> all passed in {} s", begin.elapsed().as_secs());
    Ok(())
}
