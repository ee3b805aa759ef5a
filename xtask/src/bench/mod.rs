//! `cargo xtask bench`: end-to-end times beside a peer, measured in turn so that a busy machine slows both alike.
//!
//! The peer is any command line with Docker's commands: `PEER="docker"` (with `PEER_HOST` as its `DOCKER_HOST`). Without
//! one only our own figures are printed. The OCI runtime is measured beside `crun` on the same bundle, the registry server
//! beside Debian's `docker-registry`. Names of groups as arguments restrict it to those.

mod blobs;
mod build;
mod containers;
mod fixture;
mod images;
mod logs;
mod memory;
mod pull;
mod registries;
mod runtime;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};

use self::containers::MANY;
use crate::{engine::Engine, release_binary, rootfs};

/// Measured runs of each command, after one that warms up.
const RUNS: usize = 15;
/// Name of the image that every side has.
const IMAGE: &str = "wharf-bench";

/// A command line to measure.
struct Cli {
    name: String,
    program: PathBuf,
    host: String,
    image: String,
}

impl Cli {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).env("DOCKER_HOST", &self.host).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Result<Output> {
        let output =
            self.command(args).output().with_context(|| format!("running {}", self.program.display()))?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} {args:?}: {words}", self.name);
        Ok(output)
    }

    /// Seconds that a command takes.
    fn time(&self, args: &[&str]) -> Result<f64> {
        let begin = Instant::now();
        self.run(args)?;
        Ok(begin.elapsed().as_secs_f64())
    }
}

/// What can be measured by itself.
const GROUPS: &[&str] = &[
    "containers",
    "logs",
    "pull",
    "transfers",
    "removal",
    "lists",
    "build",
    "registry",
    "memory",
    "runtime",
];

/// Runs the measurements of these groups, or all, and prints a table in Markdown.
///
/// # Errors
/// There is no such group, or a measured command failed.
pub(crate) fn run(groups: &[String]) -> Result<()> {
    if let Some(unknown) = groups.iter().find(|group| !GROUPS.contains(&group.as_str())) {
        bail!("there is no group {unknown:?}, only {}", GROUPS.join(", "));
    }
    let wanted = |group: &str| groups.is_empty() || groups.iter().any(|name| name == group);
    let binary = release_binary()?;
    let folder = env::temp_dir().join(format!("wharf-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let tar = folder.join("rootfs.tar");
    rootfs::write_tar(&folder.join("rootfs"), &tar)?;
    let engine = Engine::start(&binary, &folder.join("engine"), "wharfbench0")?;
    let own = Cli { name: "wharf".into(), program: binary.clone(), host: engine.host(), image: IMAGE.into() };
    let sides: Vec<Cli> = std::iter::once(own).chain(peer()).collect();
    let names: Vec<_> = sides.iter().map(|side| side.name.as_str()).collect();
    println!("| measurement | {} | ratio |\n|---|{}", names.join(" | "), "---|".repeat(sides.len() + 1));
    if wanted("memory") {
        memory::idle("just started", &engine)?;
    }
    for side in &sides {
        side.run(&["import", "-c", "CMD [\"true\"]", &tar.to_string_lossy(), &side.image])?;
    }
    measure(&wanted, &sides, &engine, &binary, &folder)?;
    for side in &sides {
        let _ = side.run(&["rmi", "-f", &side.image]);
    }
    drop(engine);
    fs::remove_dir_all(&folder)?;
    Ok(())
}

fn measure(
    wanted: &dyn Fn(&str) -> bool,
    sides: &[Cli],
    engine: &Engine,
    binary: &Path,
    folder: &Path,
) -> Result<()> {
    let with_memory = |title: &str| if wanted("memory") { memory::idle(title, engine) } else { Ok(()) };
    if wanted("containers") {
        containers::single(sides)?;
        containers::many(sides)?;
        with_memory(&format!("after {MANY} containers"))?;
    }
    if wanted("logs") {
        logs::capture(sides)?;
    }
    if wanted("pull") {
        pull::pull(sides, folder)?;
        with_memory("after pulls")?;
    }
    if wanted("transfers") {
        images::transfers(sides, folder)?;
        with_memory("after push, save and load")?;
    }
    if wanted("removal") {
        images::removal(sides, folder)?;
    }
    if wanted("lists") {
        images::lists(sides, folder)?;
    }
    if wanted("build") {
        build::builds(sides, folder)?;
        with_memory("after builds")?;
    }
    if wanted("registry") {
        blobs::blobs(binary, folder)?;
    }
    if wanted("memory") {
        memory::per_container(&sides[0], engine)?;
    }
    if wanted("runtime") {
        runtime::run(binary, folder)?;
    }
    Ok(())
}

fn peer() -> Option<Cli> {
    let program = env::var_os("PEER")?;
    let host = env::var("PEER_HOST").unwrap_or_default();
    Some(Cli { name: "peer".into(), program: program.into(), host, image: IMAGE.into() })
}

/// Measures times in turn and prints medians.
fn compare(title: &str, sides: &[Cli], time: impl FnMut(&Cli) -> Result<f64>) -> Result<()> {
    row(title, &in_turn(sides, RUNS, time)?);
    Ok(())
}

/// The median of `rounds` measurements of each side, taken in turn after one that warms up.
fn in_turn(sides: &[Cli], rounds: usize, mut measure: impl FnMut(&Cli) -> Result<f64>) -> Result<Vec<f64>> {
    let mut values = vec![Vec::new(); sides.len()];
    for round in 0..=rounds {
        for (side, values) in sides.iter().zip(&mut values) {
            let value = measure(side)?;
            if round > 0 {
                values.push(value);
            }
        }
    }
    Ok(values.into_iter().map(median).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Prints seconds as milliseconds and how many times faster the first is than the second.
fn row(title: &str, seconds: &[f64]) {
    let ratio = seconds.get(1).map(|peer| peer / seconds[0]);
    figures(title, seconds, |seconds| format!("{:.1} ms", seconds * 1e3), ratio);
}

/// As [`row`], for what takes seconds.
fn seconds(title: &str, seconds: &[f64]) {
    let ratio = seconds.get(1).map(|peer| peer / seconds[0]);
    figures(title, seconds, |seconds| format!("{seconds:.2} s"), ratio);
}

/// Prints a line of the table.
fn figures(title: &str, values: &[f64], show: impl Fn(f64) -> String, ratio: Option<f64>) {
    let cells: Vec<_> = values.iter().map(|value| show(*value)).collect();
    let ratio = ratio.map(|ratio| format!("{ratio:.1}×")).unwrap_or_default();
    println!("| {title} | {} | {ratio} |", cells.join(" | "));
}
