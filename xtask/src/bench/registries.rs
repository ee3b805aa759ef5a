//! Registries to measure against, and to measure.

use std::{
    fs::{self, File},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

/// A registry with its files in a folder; ended when dropped.
pub(super) struct Registry {
    child: Child,
    /// HOST:PORT.
    pub(super) address: String,
}

impl Registry {
    /// Debian's `docker-registry`, with nothing in it.
    ///
    /// # Errors
    /// It is not installed, or does not answer within some seconds.
    pub(super) fn reference(folder: &Path) -> Result<Registry> {
        Self::start(folder, "docker-registry", &["serve"])
    }

    /// Ours, with nothing in it.
    ///
    /// # Errors
    /// It does not answer within some seconds.
    pub(super) fn own(folder: &Path, binary: &Path) -> Result<Registry> {
        Self::start(folder, &binary.to_string_lossy(), &["registry", "serve"])
    }

    fn start(folder: &Path, program: &str, args: &[&str]) -> Result<Registry> {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let config = folder.join("config.yml");
        let storage = folder.join("storage");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n",
            storage.display()
        );
        fs::write(&config, text)?;
        let log = File::create(folder.join("log"))?;
        let mut command = Command::new(program);
        command.args(args).arg(&config).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("{program} is not installed"))?;
        let registry = Registry { child, address };
        let limit = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&registry.address).is_err() {
            ensure!(Instant::now() < limit, "{program} did not start");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }

    /// Pid of the process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
