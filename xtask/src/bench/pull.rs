//! Pulling an image from a registry on this machine.

use std::{
    env,
    fs::{self, File},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{Cli, figures, in_turn};
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
    let registry = Registry::start(folder)?;
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
    let ratio = times.get(1).map(|peer| peer / times[0]);
    figures(&format!("pull of {size} MB from loopback"), &times, |s| format!("{s:.2} s"), ratio);
    Ok(())
}

/// The root file system that the tests make and keep.
fn debian() -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")))?;
    let path = cache.join("wharf-tests/bookworm-minbase-python3.tar");
    path.exists().then_some(path)
}

/// A registry with its files in a folder; ended when dropped.
struct Registry {
    child: Child,
    address: String,
}

impl Registry {
    fn start(folder: &Path) -> Result<Registry> {
        let folder = folder.join("registry");
        fs::create_dir_all(&folder)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let config = folder.join("config.yml");
        let storage = folder.join("storage");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n",
            storage.display()
        );
        fs::write(&config, text)?;
        let log = File::create(folder.join("log"))?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().context("docker-registry is not installed")?;
        let registry = Registry { child, address };
        let limit = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&registry.address).is_err() {
            ensure!(Instant::now() < limit, "docker-registry did not start");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
