//! Pulling an image from a registry on this machine.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use super::{Cli, in_turn, registries::Registry, seconds};
use crate::run_quietly;

/// Measured pulls of each side.
const ROUNDS: usize = 5;

/// Pulls Debian's base system, one gzip layer, from Debian's `docker-registry`.
///
/// # Errors
/// The registry does not start, or a pull failed.
pub(super) fn pull(sides: &[Cli], folder: &Path) -> Result<()> {
    let Some(rootfs) = debian() else {
        println!("| pull | run `cargo xtask test` first: it makes the image | | |");
        return Ok(());
    };
    let registry = Registry::reference(&folder.join("registry"))?;
    let reference = format!("{}/debian:bench", registry.address);
    let archive = folder.join("debian.tar");
    sides[0].run(&["import", &rootfs.to_string_lossy(), "debian:bench"])?;
    sides[0].run(&["save", "-o", &archive.to_string_lossy(), "debian:bench"])?;
    sides[0].run(&["rmi", "debian:bench"])?;
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]);
    skopeo.arg(format!("docker-archive:{}", archive.display())).arg(format!("docker://{reference}"));
    run_quietly(&mut skopeo)?;
    let times = in_turn(sides, ROUNDS, |side| {
        let seconds = side.time(&["pull", "-q", &reference])?;
        side.run(&["rmi", &reference])?;
        Ok(seconds)
    })?;
    let size = fs::metadata(&rootfs)?.len() / 1_000_000;
    seconds(&format!("pull of {size} MB from loopback"), &times);
    Ok(())
}

/// The root file system that the tests make and keep.
fn debian() -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")))?;
    let path = cache.join("wharf-tests/bookworm-minbase-python3.tar");
    path.exists().then_some(path)
}
