//! Black-box scenarios recorded from the reference implementation. They are not part of this repository: where their
//! folder lies beside the checkout (or `ACCEPTANCE` names it), those of the committed list must pass.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{engine::Engine, release_binary, root};

/// Names of the scenarios that pass; the list only grows.
const LIST: &str = "tests/acceptance.txt";

fn folder() -> PathBuf {
    env::var_os("ACCEPTANCE").map_or_else(|| root().join("../shared/acceptance"), PathBuf::from)
}

fn start(binary: &Path) -> Result<Engine> {
    let folder = env::temp_dir().join(format!("wharf-acceptance-{}", std::process::id()));
    // Two runs at a time each need a bridge of their own.
    Engine::start(binary, &folder, &format!("wacc{}", std::process::id()))
}

/// Runs the runner with the caller's arguments.
///
/// # Errors
/// The scenarios are not there, or one fails.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let binary = release_binary()?;
    let engine = start(&binary)?;
    let status = runner(&engine, &binary)?.args(args).status()?;
    ensure!(status.success(), "scenarios failed");
    Ok(())
}

/// Runs all scenarios and fails if one of the list does not pass.
///
/// # Errors
/// A scenario of the list failed or is missing.
pub(crate) fn run_listed(binary: &Path) -> Result<()> {
    if !folder().join("run.py").exists() {
        println!("==> acceptance scenarios: none beside this checkout, nothing to run");
        return Ok(());
    }
    let text = fs::read_to_string(root().join(LIST)).with_context(|| format!("reading {LIST}"))?;
    let listed: BTreeSet<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let engine = start(binary)?;
    let mut passed = run_once(&engine, binary, |command| Ok(command.args(listed_files(&listed)?)))?;
    let missing = |passed: &BTreeSet<String>| -> Vec<&str> {
        listed.iter().filter(|name| !passed.contains(**name)).copied().collect()
    };
    let again = missing(&passed);
    if !again.is_empty() {
        // The scenarios have fixed patience; on a busy machine one may need a second try.
        println!("==> once more: {again:?}");
        passed.extend(run_once(&engine, binary, |command| Ok(command.arg("-k").arg(again.join(","))))?);
    }
    let failed = missing(&passed);
    let more: Vec<_> = passed.iter().filter(|name| !listed.contains(name.as_str())).collect();
    println!("==> acceptance: {} of {} listed scenarios passed", listed.len() - failed.len(), listed.len());
    if !more.is_empty() {
        println!("==> these pass too and belong into {LIST}: {more:?}");
    }
    ensure!(failed.is_empty(), "scenarios of {LIST} that fail: {failed:?}");
    Ok(())
}

/// Runs the runner with what `choose` adds to its command line; returns the names of the scenarios that passed.
fn run_once(
    engine: &Engine,
    binary: &Path,
    choose: impl FnOnce(&mut Command) -> Result<&mut Command>,
) -> Result<BTreeSet<String>> {
    let report = engine.folder.join("junit.xml");
    let _ = fs::remove_file(&report);
    // A scenario that is not on the list may fail: the runner's own verdict is of no interest.
    choose(runner(engine, binary)?.arg("--junit").arg(&report))?.status()?;
    Ok(passed(&fs::read_to_string(&report).context("the runner wrote no report")?))
}

/// The scenario files that hold at least one listed scenario.
fn listed_files(listed: &BTreeSet<&str>) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder().join("scenarios"))? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        if text.lines().filter_map(|line| line.strip_prefix("=== ")).any(|name| listed.contains(name)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Names of the test cases without a failure in a JUnit report.
fn passed(report: &str) -> BTreeSet<String> {
    let cases = report.split("<testcase ").skip(1);
    let passed = cases.filter(|case| {
        let body = case.split("</testcase>").next().unwrap_or(case);
        !body.contains("<failure") && !body.contains("<skipped") && !body.contains("<error")
    });
    // Not the end of `classname`.
    passed.filter_map(|case| case.split(" name=\"").nth(1)?.split('"').next()).map(str::to_owned).collect()
}

/// The runner with everything it needs to know of the engine under test.
fn runner(engine: &Engine, binary: &Path) -> Result<Command> {
    // The names by which the binary is called in the scenarios.
    for alias in ["wharf", "wharf-compose"] {
        let link = engine.folder.join(alias);
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(binary, link)?;
    }
    let mut command = Command::new("python3");
    command.arg(folder().join("run.py"));
    command.env("CLI", engine.folder.join("wharf"));
    command.env("DOCKER_HOST", engine.host());
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}
