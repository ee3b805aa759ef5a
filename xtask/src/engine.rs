//! An engine of its own for measurements and scenarios.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

/// A running engine; ended with everything it made when dropped.
pub(crate) struct Engine {
    child: Child,
    binary: PathBuf,
    bridge: String,
    /// Holds its socket, roots and log.
    pub(crate) folder: PathBuf,
}

impl Engine {
    /// Starts an engine with its state in `folder` and a default bridge of its own.
    ///
    /// # Errors
    /// It does not answer within some seconds.
    pub(crate) fn start(binary: &Path, folder: &Path, bridge: &str) -> Result<Engine> {
        fs::create_dir_all(folder)?;
        let config = folder.join("daemon.json");
        fs::write(&config, "{}")?;
        let log = fs::File::create(folder.join("log"))?;
        let mut command = Command::new(binary);
        command.arg("daemon").arg("--host").arg(format!("unix://{}", folder.join("wharf.sock").display()));
        command.arg("--data-root").arg(folder.join("data")).arg("--exec-root").arg(folder.join("exec"));
        command.arg("--config-file").arg(config).args(["--bridge", bridge, "--cgroup-parent", bridge]);
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let (binary, bridge, folder) = (binary.to_owned(), bridge.to_owned(), folder.to_owned());
        let engine = Engine { child, binary, bridge, folder };
        let limit = Instant::now() + Duration::from_secs(20);
        while !engine.client(&["version"]).output()?.status.success() {
            let log = engine.folder.join("log");
            ensure!(Instant::now() < limit, "the engine did not start, see {}", log.display());
            thread::sleep(Duration::from_millis(20));
        }
        Ok(engine)
    }

    /// What `DOCKER_HOST` takes.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.folder.join("wharf.sock").display())
    }

    /// Pid of the engine.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn client(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(args).env("DOCKER_HOST", self.host()).stdin(Stdio::null());
        command
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Ok(output) = self.client(&["ps", "-aq"]).output() {
            let ids = String::from_utf8_lossy(&output.stdout).into_owned();
            let ids: Vec<_> = ids.split_whitespace().collect();
            if !ids.is_empty() {
                let _ = self.client(&[&["rm", "-f", "-v"], ids.as_slice()].concat()).output();
            }
        }
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
        // An engine leaves its network to the next one; there is none.
        for words in [
            ["ip", "link", "delete", &self.bridge].as_slice(),
            &["nft", "delete", "table", "ip", &self.bridge],
        ] {
            let _ = Command::new(words[0]).args(&words[1..]).stderr(Stdio::null()).status();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
