//! A bundle with a static busybox, and the runtime's command line on it. Needs root and Debian's `busybox-static`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// A bundle in a temporary folder; removes its containers and control groups when dropped.
pub(crate) struct Bundle {
    dir: tempfile::TempDir,
    name: String,
    pub(crate) spec: Value,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub code: i32,
    pub out: String,
    pub err: String,
}

const TOOLS: &[&str] = &[
    "cat", "chroot", "dd", "echo", "env", "grep", "head", "hostname", "id", "ls", "mkdir", "mknod", "mount",
    "ps", "pwd", "readlink", "sh", "sleep", "stat", "stty", "tail", "touch", "true", "tty", "ulimit",
    "unshare", "wc",
];

impl Bundle {
    pub(crate) fn new(name: &str) -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test needs root");
        // Not in /tmp, which may be mounted without device files.
        let dir = tempfile::Builder::new().prefix("wharf-runtime-").tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let bin = dir.path().join("rootfs/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(dir.path().join("rootfs/etc")).unwrap();
        fs::write(
            dir.path().join("rootfs/etc/passwd"),
            "root:x:0:0::/root:/bin/sh\nu:x:1000:1000::/home/u:/bin/sh\n",
        )
        .unwrap();
        fs::copy("/bin/busybox", bin.join("busybox")).expect("Debian package busybox-static");
        for tool in TOOLS {
            symlink("busybox", bin.join(tool)).unwrap();
        }
        let name = format!("{name}-{}", std::process::id());
        let mut spec: Value = serde_json::from_str(include_str!("docker.json")).unwrap();
        spec["linux"]["cgroupsPath"] = json!(format!("/wharf-test/{name}"));
        Self { dir, name, spec }
    }

    /// A script as the container's command.
    pub(crate) fn script(&mut self, script: &str) -> &mut Self {
        self.spec["process"]["args"] = json!(["sh", "-c", script]);
        self
    }

    pub(crate) fn id(&self) -> &str {
        &self.name
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.dir.path().join("rootfs")
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn namespaces(&mut self) -> &mut Vec<Value> {
        self.spec["linux"]["namespaces"].as_array_mut().unwrap()
    }

    pub(crate) fn mounts(&mut self) -> &mut Vec<Value> {
        self.spec["mounts"].as_array_mut().unwrap()
    }

    /// The runtime's command line so far: the state is kept in the bundle.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let text = serde_json::to_string(&self.spec).unwrap();
        fs::write(self.dir.path().join("config.json"), text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf-runtime"));
        command.arg("--root").arg(self.dir.path().join("state")).args(args).stdin(Stdio::null());
        command
    }

    pub(crate) fn runtime(&self, args: &[&str]) -> Outcome {
        outcome(self.command(args).output().unwrap())
    }

    /// Runs the container in front.
    pub(crate) fn run(&self) -> Outcome {
        self.runtime(&["run", "--bundle", self.path().to_str().unwrap(), self.id()])
    }

    /// Runs the container in the background.
    pub(crate) fn start(&self) -> Outcome {
        let args = ["run", "--detach", "--bundle", self.path().to_str().unwrap(), self.id()];
        let log = fs::File::create(self.path().join("log")).unwrap();
        let status = self.command(&args).stdout(log.try_clone().unwrap()).stderr(log).status().unwrap();
        Outcome { code: status.code().unwrap(), out: self.log(), err: String::new() }
    }

    /// What a container in the background wrote.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn exec(&self, args: &[&str]) -> Outcome {
        self.runtime(&[&["exec", self.id()], args].concat())
    }

    pub(crate) fn state(&self) -> Value {
        serde_json::from_str(&self.runtime(&["state", self.id()]).out).unwrap_or(Value::Null)
    }

    pub(crate) fn pid(&self) -> i64 {
        self.state()["pid"].as_i64().unwrap()
    }

    /// The container's directories in all hierarchies that exist.
    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        let mut roots: Vec<PathBuf> =
            fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path()).collect();
        roots.push("/sys/fs/cgroup".into());
        roots
            .into_iter()
            .map(|root| root.join("wharf-test").join(&self.name))
            .filter(|dir| dir.exists())
            .collect()
    }

    /// Nothing may be left of the container.
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.cgroups(), Vec::<PathBuf>::new());
        let state = fs::read_dir(self.path().join("state")).map(|dir| dir.count()).unwrap_or(0);
        assert_eq!(state, 0, "state left behind");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.path().to_str().unwrap()), "mount left behind: {mounts}");
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = self.runtime(&["delete", "--force", self.id()]);
        for dir in self.cgroups() {
            let _ = fs::remove_dir(&dir);
            // Shared with other tests: goes with the last.
            let _ = fs::remove_dir(dir.parent().unwrap());
        }
    }
}

fn outcome(output: Output) -> Outcome {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Outcome { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}
