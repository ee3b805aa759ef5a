//! `cargo xtask bench`: end-to-end times beside a peer, measured in turn so that a busy machine slows both alike.
//!
//! The peer is any command line with Docker's commands: `PEER="docker"` (with `PEER_HOST` as its `DOCKER_HOST`). Without
//! one only our own figures are printed. The OCI runtime is measured beside `crun` on the same bundle.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{engine::Engine, release_binary, rootfs};

/// Measured runs of each command, after one that warms up.
const RUNS: usize = 15;
/// Containers in the measurements of many.
const MANY: usize = 100;
/// Starts at a time in the measurement of parallel starts.
const PARALLEL: usize = 8;

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

/// Runs all measurements and prints a table in Markdown.
///
/// # Errors
/// A measured command failed.
pub(crate) fn run() -> Result<()> {
    let binary = release_binary()?;
    let folder = env::temp_dir().join(format!("wharf-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let tar = folder.join("rootfs.tar");
    rootfs::write_tar(&folder.join("rootfs"), &tar)?;
    let engine = Engine::start(&binary, &folder.join("engine"), "wharfbench0")?;
    let mut sides = vec![Cli {
        name: "wharf".into(),
        program: binary.clone(),
        host: engine.host(),
        image: "wharf-bench".into(),
    }];
    if let Some(peer) = peer() {
        sides.push(peer);
    }
    for side in &sides {
        side.run(&["import", "-c", "CMD [\"true\"]", &tar.to_string_lossy(), &side.image])?;
    }
    println!(
        "| measurement | {} | ratio |",
        sides.iter().map(|side| side.name.as_str()).collect::<Vec<_>>().join(" | ")
    );
    println!("|---|{}", "---|".repeat(sides.len() + 1));
    single(&sides)?;
    many(&sides)?;
    logs(&sides)?;
    memory(&sides[0], &engine)?;
    runtime(&binary, &folder)?;
    for side in &sides {
        let _ = side.run(&["rmi", "-f", &side.image]);
    }
    drop(engine);
    fs::remove_dir_all(&folder)?;
    Ok(())
}

fn peer() -> Option<Cli> {
    let program = env::var_os("PEER")?;
    let host = env::var("PEER_HOST").unwrap_or_default();
    Some(Cli { name: "peer".into(), program: program.into(), host, image: "wharf-bench".into() })
}

/// One command at a time: `run`, `exec`.
fn single(sides: &[Cli]) -> Result<()> {
    for (title, network) in [("run --rm, bridge", "bridge"), ("run --rm, --network none", "none")] {
        compare(title, sides, |side| side.time(&["run", "--rm", "--network", network, &side.image, "true"]))?;
    }
    for side in sides {
        side.run(&["run", "-d", "--name", "wharf-bench-exec", &side.image, "sleep", "100000"])?;
    }
    compare("exec true", sides, |side| side.time(&["exec", "wharf-bench-exec", "true"]))?;
    for side in sides {
        side.run(&["rm", "-f", "wharf-bench-exec"])?;
    }
    Ok(())
}

/// A hundred containers: starting them eight at a time, listing them.
fn many(sides: &[Cli]) -> Result<()> {
    let start = |side: &Cli| {
        let begin = Instant::now();
        thread::scope(|scope| {
            let workers: Vec<_> = (0..PARALLEL)
                .map(|worker| {
                    scope.spawn(move || {
                        for number in (worker..MANY).step_by(PARALLEL) {
                            let name = format!("wharf-bench-{number}");
                            side.run(&["run", "-d", "--name", &name, &side.image, "sleep", "100000"])?;
                        }
                        Ok::<_, anyhow::Error>(())
                    })
                })
                .collect();
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().map_err(|_| anyhow::anyhow!("panicked"))?)
        })?;
        Ok::<_, anyhow::Error>(begin.elapsed().as_secs_f64())
    };
    let times: Vec<f64> = sides.iter().map(start).collect::<Result<_>>()?;
    row(&format!("{MANY} starts, {PARALLEL} at a time"), &times);
    compare(&format!("ps with {MANY} containers"), sides, |side| side.time(&["ps"]))?;
    for side in sides {
        let names: Vec<_> = (0..MANY).map(|number| format!("wharf-bench-{number}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        side.run(&[&["rm", "-f"], names.as_slice()].concat())?;
    }
    Ok(())
}

/// Log capture: 64 KiB writes of 100-byte lines, in MB a second (so that more is better).
fn logs(sides: &[Cli]) -> Result<()> {
    const MEGABYTES: u32 = 384;
    // The file is read from the page cache and written in blocks of 64 KiB; making it is not measured.
    let make = "l=$(head -c 99 /dev/zero | tr '\\0' x); yes $l | head -c 67108800 >/b";
    let write = "sleep 0.2; cat /b /b /b /b /b /b";
    let script = format!("{make}; touch /made; while [ ! -e /go ]; do sleep 0.01; done; {write}");
    let rate = |side: &Cli| {
        let options = ["--log-opt", "max-size=50m", "--log-opt", "max-file=2"];
        let args =
            [&["run", "-d", "--name", "wharf-bench-log"], &options[..], &[&side.image, "sh", "-c", &script]];
        side.run(&args.concat())?;
        while side.run(&["exec", "wharf-bench-log", "test", "-e", "/made"]).is_err() {
            thread::sleep(Duration::from_millis(50));
        }
        side.run(&["exec", "wharf-bench-log", "touch", "/go"])?;
        let begin = Instant::now();
        side.run(&["wait", "wharf-bench-log"])?;
        let seconds = begin.elapsed().as_secs_f64() - 0.2;
        side.run(&["rm", "-f", "wharf-bench-log"])?;
        Ok::<_, anyhow::Error>(f64::from(MEGABYTES) / seconds)
    };
    let rates: Vec<f64> = sides.iter().map(rate).collect::<Result<_>>()?;
    let cells: Vec<_> = rates.iter().map(|rate| format!("{rate:.0} MB/s")).collect();
    let ratio = rates.get(1).map(|peer| format!("{:.1}×", rates[0] / peer)).unwrap_or_default();
    println!("| log capture | {} | {ratio} |", cells.join(" | "));
    Ok(())
}

/// Proportional memory of the idle engine, and what each running container adds beyond its payload.
fn memory(side: &Cli, engine: &Engine) -> Result<()> {
    const COUNT: usize = 20;
    thread::sleep(Duration::from_secs(3));
    let idle = pss(engine.pid())?
        + children(engine.pid())?.into_iter().map(|pid| pss(pid).unwrap_or(0)).sum::<u64>();
    for number in 0..COUNT {
        let name = format!("wharf-bench-{number}");
        side.run(&["run", "-d", "--name", &name, &side.image, "sleep", "100000"])?;
    }
    thread::sleep(Duration::from_secs(3));
    let with = pss(engine.pid())?;
    let monitors: Vec<u64> = monitors(&engine.folder)?.into_iter().filter_map(|pid| pss(pid).ok()).collect();
    let each = monitors.iter().sum::<u64>() / monitors.len().max(1) as u64;
    println!("| idle engine, PSS | {:.1} MiB | |", idle as f64 / 1024.0);
    println!("| engine with {COUNT} containers, PSS | {:.1} MiB | |", with as f64 / 1024.0);
    println!("| monitor of a running container, PSS | {each} KiB | |");
    let names: Vec<_> = (0..COUNT).map(|number| format!("wharf-bench-{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    side.run(&[&["rm", "-f"], names.as_slice()].concat())?;
    Ok(())
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

/// The OCI runtime alone on one bundle, beside crun.
fn runtime(binary: &Path, folder: &Path) -> Result<()> {
    let bundle = folder.join("bundle");
    fs::create_dir_all(&bundle)?;
    let rootfs = bundle.join("rootfs");
    fs::rename(folder.join("rootfs"), &rootfs)?;
    let spec = Command::new("crun").arg("spec").current_dir(&bundle).status();
    if !spec.is_ok_and(|status| status.success()) {
        println!("| OCI runtime | crun is not installed | |");
        return Ok(());
    }
    let path = bundle.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path)?)?;
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = serde_json::json!(["/bin/true"]);
    fs::write(&path, config.to_string())?;
    let time = |command: &mut Command| {
        let begin = Instant::now();
        let status = command.current_dir(&bundle).stdin(Stdio::null()).status()?;
        ensure!(status.success(), "a runtime failed");
        Ok::<_, anyhow::Error>(begin.elapsed().as_secs_f64())
    };
    let root = folder.join("runtime");
    let (mut own, mut crun) = (Vec::new(), Vec::new());
    for number in 0..=RUNS {
        let name = format!("bench-{number}");
        let first = time(Command::new(binary).args(["runtime", "--root"]).arg(&root).args(["run", &name]))?;
        let second = time(Command::new("crun").args(["run", &name]))?;
        if number > 0 {
            own.push(first);
            crun.push(second);
        }
    }
    let (own, crun) = (median(own), median(crun));
    println!(
        "| OCI runtime `run` (wharf, crun) | {:.1} ms | {:.1} ms | {:.1}× |",
        own * 1e3,
        crun * 1e3,
        crun / own
    );
    Ok(())
}

/// Measures in turn and prints medians.
fn compare(title: &str, sides: &[Cli], mut time: impl FnMut(&Cli) -> Result<f64>) -> Result<()> {
    let mut times = vec![Vec::new(); sides.len()];
    for round in 0..=RUNS {
        for (side, times) in sides.iter().zip(&mut times) {
            let seconds = time(side)?;
            if round > 0 {
                times.push(seconds);
            }
        }
    }
    row(title, &times.into_iter().map(median).collect::<Vec<_>>());
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Prints seconds as milliseconds and how many times faster the first is than the second.
fn row(title: &str, seconds: &[f64]) {
    let cells: Vec<_> = seconds.iter().map(|seconds| format!("{:.1} ms", seconds * 1e3)).collect();
    let ratio = seconds.get(1).map(|peer| format!("{:.1}×", peer / seconds[0])).unwrap_or_default();
    println!("| {title} | {} | {ratio} |", cells.join(" | "));
}
