//! Memory of the engine and of the monitors, as the proportional set size: pages that several processes share count in
//! parts.

use std::{fs, path::Path, thread, time::Duration};

use anyhow::{Context, Result};

use super::Cli;
use crate::engine::Engine;

/// Running containers in the measurement of monitors.
const COUNT: usize = 20;
/// How long an engine is left alone before it counts as idle.
const REST: Duration = Duration::from_secs(6);

/// Engine and launcher at rest.
///
/// # Errors
/// The engine is gone.
pub(super) fn idle(title: &str, engine: &Engine) -> Result<()> {
    thread::sleep(REST);
    let children = children(engine.pid())?.into_iter().map(|pid| pss(pid).unwrap_or(0)).sum::<u64>();
    mebibytes(&format!("idle engine {title}, PSS"), pss(engine.pid())? + children);
    Ok(())
}

/// What each running container adds beyond its payload.
///
/// # Errors
/// A container could not be started.
pub(super) fn per_container(side: &Cli, engine: &Engine) -> Result<()> {
    let names: Vec<_> = (0..COUNT).map(|number| format!("wharf-bench-{number}")).collect();
    for name in &names {
        side.run(&["run", "-d", "--name", name, &side.image, "sleep", "100000"])?;
    }
    thread::sleep(REST);
    mebibytes(&format!("engine with {COUNT} containers, PSS"), pss(engine.pid())?);
    let monitors: Vec<u64> = monitors(&engine.folder)?.into_iter().filter_map(|pid| pss(pid).ok()).collect();
    let each = monitors.iter().sum::<u64>() / monitors.len().max(1) as u64;
    println!("| monitor of a running container, PSS | {each} KiB | | |");
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    side.run(&[&["rm", "-f"], names.as_slice()].concat())?;
    Ok(())
}

fn mebibytes(title: &str, kibibytes: u64) {
    println!("| {title} | {:.1} MiB | | |", kibibytes as f64 / 1024.0);
}

/// Proportional set size in KiB, see proc_pid_smaps(5).
fn pss(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss line")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn children(pid: u32) -> Result<Vec<u32>> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// Processes whose command line names a container of the engine in `folder`.
fn monitors(folder: &Path) -> Result<Vec<u32>> {
    let ids: Vec<_> =
        fs::read_dir(folder.join("exec/monitors"))?.flatten().map(|entry| entry.file_name()).collect();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command);
        if ids.iter().any(|id| id.to_str().is_some_and(|id| command.contains(&id[..12]))) {
            found.push(pid);
        }
    }
    Ok(found)
}
