//! The OCI runtime by itself.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Result, ensure};

use super::{RUNS, median};

/// The OCI runtime alone on one bundle, beside crun.
///
/// # Errors
/// A runtime failed.
pub(super) fn run(binary: &Path, folder: &Path) -> Result<()> {
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
    let own =
        |name: &str| time(Command::new(binary).args(["runtime", "--root"]).arg(&root).args(["run", name]));
    let crun = |name: &str| time(Command::new("crun").args(["run", name]));
    own("bench")?;
    if crun("bench").is_err() {
        // It does not take every cgroup layout.
        let alone = median((0..RUNS).map(|_| own("bench")).collect::<Result<_>>()?);
        println!("| OCI runtime `run` | {:.1} ms | crun refuses this host | |", alone * 1e3);
        return Ok(());
    }
    let in_turn: Vec<_> = (0..RUNS).map(|_| Ok((own("bench")?, crun("bench")?))).collect::<Result<_>>()?;
    let (own, crun): (Vec<_>, Vec<_>) = in_turn.into_iter().unzip();
    let (own, crun) = (median(own), median(crun));
    println!(
        "| OCI runtime `run` (wharf, crun) | {:.1} ms | {:.1} ms | {:.1}× |",
        own * 1e3,
        crun * 1e3,
        crun / own
    );
    Ok(())
}
