//! Bundles of a busybox root, and what tests look at.

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::mount::{MountPropagationFlags, mount_change};
use serde_json::{Value, json};
use wharf_monitor::{
    AttachSpec, Client, Error, ErrorKind, Event, ExitStatus, Launcher, LogConfig, MonitorConfig, RootFs,
};

/// Mounts of tests, and those of the containers, vanish with the process.
pub(crate) fn own_mount_namespace() {
    assert!(rustix::process::geteuid().is_root(), "these tests need root");
    wharf_sys::process::unshare(wharf_sys::process::CloneFlags::NEWNS).unwrap();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
}

/// A container to be.
pub(crate) struct Bundle {
    pub(crate) temp: tempfile::TempDir,
    pub(crate) dir: PathBuf,
    pub(crate) config: MonitorConfig,
    pub(crate) spec: Value,
}

impl Bundle {
    /// A container that runs `script` in a shell.
    pub(crate) fn new(script: &str) -> Bundle {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let temp = tempfile::tempdir().unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = format!("wharf-monitor-test-{}-{number}", std::process::id());
        let root = temp.path().join("root");
        for dir in ["bin", "dev", "proc", "etc", "tmp"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
        for applet in ["sh", "cat", "dd", "head", "sleep", "stty", "true", "yes", "tty", "seq", "id"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        // As deep as a socket address is long, and deeper.
        let dir = temp.path().join("monitors").join("d".repeat(80)).join(&id);
        fs::create_dir_all(&dir).unwrap();
        let config = MonitorConfig {
            rootfs: RootFs::Path(root),
            log: LogConfig { path: temp.path().join("c.log"), ..LogConfig::default() },
            spill_dir: temp.path().to_owned(),
            id,
            ..MonitorConfig::default()
        };
        let spec = spec(&config.id, &["sh", "-c", script]);
        Bundle { temp, dir, config, spec }
    }

    pub(crate) fn args(mut self, args: &[&str]) -> Bundle {
        self.spec["process"]["args"] = json!(args);
        self
    }

    pub(crate) fn terminal(mut self) -> Bundle {
        self.config.terminal = true;
        self.spec["process"]["terminal"] = json!(true);
        self
    }

    pub(crate) fn write(&self) -> &Path {
        fs::write(self.dir.join("config.json"), self.spec.to_string()).unwrap();
        fs::write(self.dir.join("monitor.json"), serde_json::to_vec(&self.config).unwrap()).unwrap();
        &self.dir
    }

    /// Launches it; it waits at the start barrier.
    pub(crate) fn launch(self) -> Running {
        let launcher = Launcher::spawn().unwrap();
        let client = launcher.launch(self.write()).unwrap();
        let pid = client.created().unwrap_or_else(|e| panic!("create: {e}"));
        Running { bundle: self, _launcher: launcher, client, pid }
    }

    pub(crate) fn start(self) -> Running {
        let running = self.launch();
        running.client.start().unwrap_or_else(|e| panic!("start: {e}"));
        running
    }

    /// Texts of the log's entries of one stream.
    pub(crate) fn log(&self, stream: &str) -> String {
        let text = fs::read_to_string(&self.config.log.path).unwrap_or_default();
        let entries = text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
        entries.filter(|e| e["stream"] == stream).map(|e| e["log"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().map(|e| e.unwrap().path());
        let roots = hierarchies.chain(["/sys/fs/cgroup".into()]);
        roots.map(|h| h.join("wharf-monitor-test").join(&self.config.id)).filter(|d| d.exists()).collect()
    }
}

/// A container with its monitor.
pub(crate) struct Running {
    pub(crate) bundle: Bundle,
    /// Ends with the container's test.
    _launcher: Launcher,
    pub(crate) client: Client,
    pub(crate) pid: i32,
}

impl Running {
    /// Waits for the end of the container.
    pub(crate) fn exit(&self) -> ExitStatus {
        exit(&self.client)
    }

    pub(crate) fn monitor_pid(&self) -> i32 {
        self.client.status().unwrap().monitor_pid
    }

    pub(crate) fn attach(&self, stdin: bool) -> UnixStream {
        let spec = AttachSpec { stdin, stdout: true, stderr: true, ..AttachSpec::default() };
        self.client.attach(&spec).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.client.kill(9, false);
    }
}

pub(crate) fn exit(client: &Client) -> ExitStatus {
    for event in client.events(0).unwrap() {
        if let Event::Exited(status) = event.unwrap().event {
            return status;
        }
    }
    panic!("the monitor went without an exit");
}

/// Splits a multiplexed stream into standard output and standard error.
pub(crate) fn demultiplex(mut bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut streams = (Vec::new(), Vec::new());
    while let Some((header, rest)) = bytes.split_first_chunk::<8>() {
        let length = u32::from_be_bytes(*header[4..].first_chunk().unwrap()) as usize;
        let (payload, rest) = rest.split_at(length);
        match header[..4] {
            [1, 0, 0, 0] => streams.0.extend_from_slice(payload),
            [2, 0, 0, 0] => streams.1.extend_from_slice(payload),
            _ => panic!("bad header {header:?}"),
        }
        bytes = rest;
    }
    assert!(bytes.is_empty(), "half a frame");
    streams
}

pub(crate) fn read_to_end(mut stream: UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Reads until `text` has been seen.
pub(crate) fn read_until(mut stream: &UnixStream, text: &str) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.contains(text) {
        let n =
            stream.read(&mut buffer).unwrap_or_else(|e| panic!("{e} after {seen:?}, waiting for {text:?}"));
        assert!(n > 0, "end of stream after {seen:?}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    seen
}

pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "not within 10 seconds: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a process runs (a zombie does not).
pub(crate) fn alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(result: wharf_monitor::Result<T>, kind: ErrorKind) -> String {
    match result {
        Err(Error::Remote { kind: k, message }) if k == kind => message,
        other => panic!("expected {kind:?}, got {other:?}"),
    }
}

pub(crate) fn process(args: &[&str]) -> Value {
    let caps = ["CAP_KILL", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_DAC_OVERRIDE"];
    json!({
        "user": {"uid": 0, "gid": 0},
        "args": args,
        "env": ["PATH=/bin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
    })
}

pub(crate) fn spec(id: &str, args: &[&str]) -> Value {
    let namespaces = ["pid", "mount", "uts", "ipc", "network"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": "1.2.1",
        "process": process(args),
        "root": {"path": "root"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
        ],
        "linux": {
            "cgroupsPath": format!("/wharf-monitor-test/{id}"),
            "namespaces": namespaces,
            "resources": {"devices": [{"allow": true, "access": "rwm"}]},
        },
    })
}
