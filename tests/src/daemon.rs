//! An engine for one test.

use std::{
    env, fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::net;

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Output {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit code; 128 and the signal if one ended it.
    pub code: i32,
}

impl Output {
    /// The trimmed standard output of a command that must have succeeded.
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout.trim_end().to_owned()
    }
}

impl From<std::process::Output> for Output {
    fn from(output: std::process::Output) -> Self {
        Output {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or_default()),
        }
    }
}

/// An engine with everything of its own; dropping it removes all it made.
#[derive(Debug)]
pub struct TestDaemon {
    /// Holds data root, exec root, socket and log.
    pub folder: PathBuf,
    bridge: String,
    gateway: String,
    child: Option<Child>,
}

impl TestDaemon {
    /// Starts an engine and imports the image `busybox`. `name` is short and unique among tests.
    pub fn start(name: &str) -> TestDaemon {
        assert!(rustix::process::geteuid().is_root(), "these tests need root");
        let folder = env::temp_dir().join(format!("wharf-test-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        // Interface names have at most 15 bytes.
        let bridge = format!("wt{:.6}{:05}", name, std::process::id() % 100_000);
        let mut daemon = TestDaemon { folder, bridge, gateway: unused_subnet(1), child: None };
        daemon.launch();
        let tar = daemon.folder.join("busybox.tar");
        fs::write(&tar, crate::busybox_tar()).unwrap();
        daemon.wharf(&["import", "-c", "CMD [\"sh\"]", tar.to_str().unwrap(), "busybox"]).ok();
        daemon
    }

    /// Starts the engine process; it must not be running.
    pub fn launch(&mut self) {
        assert!(self.child.is_none());
        let log = fs::File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        let child = Command::new(binary())
            .args(["daemon", "--log-level", "info", "--host"])
            .arg(self.host())
            .arg("--data-root")
            .arg(self.folder.join("data"))
            .arg("--exec-root")
            .arg(self.folder.join("exec"))
            .arg("--config-file")
            .arg(self.config_file())
            .args(["--bridge", &self.bridge, "--bip", &self.gateway, "--cgroup-parent", &self.bridge])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        assert!(
            until(Duration::from_secs(20), || self.wharf(&["version"]).code == 0),
            "the engine did not start:\n{}",
            self.log()
        );
    }

    fn config_file(&self) -> PathBuf {
        let path = self.folder.join("daemon.json");
        if !path.exists() {
            fs::write(&path, "{}").unwrap();
        }
        path
    }

    /// Writes the configuration file and has the running engine read it.
    pub fn configure(&self, text: &str) {
        fs::write(self.config_file(), text).unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
        let read = || self.log().contains("the configuration was read again");
        assert!(until(Duration::from_secs(10), read), "{}", self.log());
    }

    /// Kills the engine process at once, as a crash would.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("the engine runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks the engine process to end and waits for it.
    pub fn stop(&mut self) {
        let mut child = self.child.take().expect("the engine runs");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        child.wait().unwrap();
    }

    /// Pid of the engine process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the engine runs").id()
    }

    /// What `-H` and `DOCKER_HOST` take.
    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.join("wharf.sock").display())
    }

    /// Folder of durable state.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Cgroup under which the containers are.
    pub fn cgroup(&self) -> &str {
        &self.bridge
    }

    /// Address of the host on the default bridge.
    pub fn gateway(&self) -> &str {
        self.gateway.split_once('/').map_or("", |(address, _)| address)
    }

    /// The engine's log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// A command line of the client, not started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(args).env("DOCKER_HOST", self.host()).env("HOME", &self.folder).stdin(Stdio::null());
        command
    }

    /// Runs a command line of the client.
    pub fn wharf(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap().into()
    }

    /// Runs a command line of the client that must succeed; returns its trimmed output.
    pub fn run(&self, args: &[&str]) -> String {
        let output = self.wharf(args);
        assert_eq!(
            output.code,
            0,
            "wharf {args:?}\nstdout: {}\nstderr: {}\nlog: {}",
            output.stdout,
            output.stderr,
            self.log()
        );
        output.stdout.trim_end().to_owned()
    }

    /// What the kernel still has of this engine: mounts, cgroups and links.
    pub fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let folder = self.folder.to_string_lossy();
        found.extend(mounts.lines().filter(|line| line.contains(&*folder)).map(str::to_owned));
        for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap() {
            let parent = hierarchy.unwrap().path().join(&self.bridge);
            let groups = fs::read_dir(&parent).into_iter().flatten().flatten();
            found.extend(
                groups
                    .map(|entry| entry.path())
                    .filter(|path| path.is_dir())
                    .map(|p| p.display().to_string()),
            );
        }
        let ports =
            fs::read_dir(format!("/sys/class/net/{}/brif", self.bridge)).into_iter().flatten().flatten();
        found.extend(ports.map(|entry| entry.path().display().to_string()));
        for folder in ["exec/monitors", "data/containers"] {
            let entries = fs::read_dir(self.folder.join(folder)).into_iter().flatten().flatten();
            found.extend(entries.map(|entry| entry.path().display().to_string()));
        }
        found
    }
}

impl Drop for TestDaemon {
    fn drop(&mut self) {
        if self.child.is_none() {
            self.launch();
        }
        let ids = self.wharf(&["ps", "-aq"]).stdout;
        let ids: Vec<_> = ids.split_whitespace().collect();
        if !ids.is_empty() {
            self.wharf(&[&["rm", "-f", "-v"], ids.as_slice()].concat());
        }
        self.wharf(&["network", "prune", "-f"]);
        if thread::panicking() {
            eprintln!("log of the engine:\n{}", self.log());
        }
        self.stop();
        remove_cgroups(Path::new("/sys/fs/cgroup"), &self.bridge);
        net::remove_engine(&self.bridge);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Removes the empty parent group the engine made in every hierarchy.
fn remove_cgroups(root: &Path, name: &str) {
    let _ = fs::remove_dir(root.join(name));
    for hierarchy in fs::read_dir(root).into_iter().flatten().flatten() {
        let _ = fs::remove_dir(hierarchy.path().join(name));
    }
}

/// A network of 14 addresses that no other living test uses, as the address of the `host`th of them in CIDR form; 0 is
/// the network itself.
pub fn unused_subnet(host: u32) -> String {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let index = (std::process::id() % 0x8000) * 8 + TAKEN.fetch_add(1, Ordering::Relaxed) % 8;
    let base = u32::from(std::net::Ipv4Addr::new(10, 64, 0, 0));
    format!("{}/28", std::net::Ipv4Addr::from(base + index * 16 + host))
}

/// Polls until `done` holds; `false` if that takes longer than `limit`.
pub fn until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    while !done() {
        if Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

/// The program under test: `WHARF_BIN`, or what a build has left beside the tests.
pub fn binary() -> PathBuf {
    if let Some(path) = env::var_os("WHARF_BIN") {
        return path.into();
    }
    let tests = env::current_exe().unwrap();
    let profile = tests.ancestors().nth(2).unwrap();
    let candidates = [profile.with_file_name("release").join("wharf"), profile.join("wharf")];
    candidates.into_iter().find(|path| path.exists()).expect("build it first: cargo build --release")
}
