//! Developer tasks: `cargo xtask test`, `cargo xtask bench` and `cargo xtask tidy`.

mod acceptance;
mod bench;
mod engine;
mod packages;
mod rootfs;
mod test;
mod tidy;

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

const USAGE: &str = "\
usage: cargo xtask TASK

  test         install what the tests need (Debian), then run everything that CI runs
  acceptance   only the acceptance scenarios; arguments are passed to their runner
  bench        measure, beside the docker-compatible command line in PEER (engine at PEER_HOST) if it is set; names of
               groups (containers, transfers, build, registry, ...) restrict it to those
  tidy         check dependency arrows, licences and documentation
";

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let (task, rest) = args.split_first().map_or(("", &[][..]), |(task, rest)| (task.as_str(), rest));
    env::set_current_dir(root())?;
    match task {
        "test" => test::all(),
        "acceptance" => acceptance::run(rest),
        "bench" => bench::run(rest),
        "tidy" => tidy::run(),
        _ => bail!("{USAGE}"),
    }
}

/// The root of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// Cargo's target folder, also when it lies outside the checkout.
fn target_folder() -> Result<PathBuf> {
    let metadata = metadata()?;
    let folder = metadata["target_directory"].as_str().context("cargo metadata names no target folder")?;
    Ok(PathBuf::from(folder))
}

fn metadata() -> Result<serde_json::Value> {
    let output = Command::new("cargo").args(["metadata", "--format-version=1", "--locked"]).output()?;
    anyhow::ensure!(
        output.status.success(),
        "cargo metadata failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The program to test: `WHARF_BIN`, or the release binary, which `.cargo/config.toml` builds for an explicit target.
fn release_binary() -> Result<PathBuf> {
    if let Some(path) = env::var_os("WHARF_BIN") {
        return Ok(path.into());
    }
    run("cargo", ["build", "--release", "--locked"])?;
    let target = target_folder()?;
    let output = Command::new("rustc").args(["--print", "host-tuple"]).output()?;
    let host = String::from_utf8(output.stdout)?;
    Ok(target.join(host.trim()).join("release/wharf"))
}

/// Runs a program with inherited streams; fails unless it succeeds.
fn run<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> Result<()> {
    run_command(Command::new(program).args(args))
}

/// As [`run`], for a command that was prepared.
fn run_command(command: &mut Command) -> Result<()> {
    println!("==> {}", show(command));
    let status = command.status().with_context(|| format!("running {}", show(command)))?;
    anyhow::ensure!(status.success(), "{} failed: {status}", show(command));
    Ok(())
}

/// Runs a program; fails with what it printed unless it succeeds.
fn run_quietly(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("running {}", show(command)))?;
    let words = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{} failed: {words}", show(command));
    Ok(())
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
