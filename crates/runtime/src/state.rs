//! Containers of the command-line runtime: one folder per container below the state root, `state.json` in it, and an
//! exclusive lock on the folder while a command changes it.

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::process::{Pid, PidfdFlags};
use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::error::{Context, Error, Result, io_errno};
use crate::hooks::HookState;

/// Name of the pipe that starts a created container; there until it is started.
const START_FIFO: &str = "exec.fifo";

/// What is known about a container on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    /// Version of this document.
    pub(crate) version: u32,
    pub(crate) id: String,
    pub(crate) bundle: PathBuf,
    /// Absolute path of the root file system.
    pub(crate) rootfs: PathBuf,
    /// RFC 3339.
    pub(crate) created: String,
    pub(crate) pid: i32,
    /// Start time of the process in clock ticks since boot, which tells it from a later one of the same id.
    pub(crate) start_time: u64,
    pub(crate) cgroup: PathBuf,
    pub(crate) config: Spec,
}

impl State {
    /// Whether the kernel ends all processes of the container together with the first.
    pub(crate) fn config_has_pid_namespace(&self) -> bool {
        use oci_spec::runtime::LinuxNamespaceType::Pid;
        let list = crate::namespaces::listed(&self.config);
        list.iter().any(|namespace| namespace.typ() == Pid && namespace.path().is_none())
    }
}

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Created,
    Running,
    Paused,
    Stopped,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// An existing container's folder, locked.
#[derive(Debug)]
pub(crate) struct Container {
    dir: PathBuf,
    _lock: OwnedFd,
    pub(crate) state: State,
}

/// A folder of a container that is being made; removed again unless [`NewContainer::save`] is reached.
#[derive(Debug)]
pub(crate) struct NewContainer {
    dir: PathBuf,
    lock: Option<OwnedFd>,
}

fn check_id(id: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
    if id.is_empty() {
        return Err(Error::Config("container id cannot be empty".into()));
    }
    if id == "." || id == ".." || id.len() > 1024 || !id.chars().all(allowed) {
        return Err(Error::Config("invalid container ID format".into()));
    }
    Ok(())
}

fn lock(dir: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = match rustix::fs::open(dir, flags, Mode::empty()) {
        Err(wharf_sys::Errno::NOENT) => return Err(Error::NotExist),
        result => result.setup(|| format!("open {}", dir.display()))?,
    };
    rustix::io::retry_on_intr(|| rustix::fs::flock(&fd, FlockOperation::LockExclusive))
        .setup(|| format!("lock {}", dir.display()))?;
    Ok(fd)
}

impl NewContainer {
    /// Makes the folder; fails when the id is taken.
    pub(crate) fn reserve(root: &Path, id: &str) -> Result<Self> {
        check_id(id)?;
        let dir = root.join(id);
        let made = match fs::create_dir(&dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs::create_dir_all(root).setup(|| format!("mkdir {}", root.display()))?;
                fs::create_dir(&dir)
            }
            other => other,
        };
        match made {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(Error::Config("container with given ID already exists".into()));
            }
            other => other.setup(|| format!("mkdir {}", dir.display()))?,
        }
        let mut new = Self { dir, lock: None };
        new.lock = Some(lock(&new.dir)?);
        Ok(new)
    }

    /// Makes the pipe that will start the container and opens it so that neither side ever blocks on opening.
    pub(crate) fn start_fifo(&self) -> Result<OwnedFd> {
        let path = self.dir.join(START_FIFO);
        let mode = Mode::from_raw_mode(0o622);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0)
            .setup(|| "make start pipe".into())?;
        rustix::fs::open(&path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .setup(|| "open start pipe".into())
    }

    /// Records the container; from now on it exists.
    pub(crate) fn save(mut self, state: State) -> Result<Container> {
        write_state(&self.dir, &state)?;
        let lock = self.lock.take().ok_or(Error::NotExist)?;
        Ok(Container { dir: std::mem::take(&mut self.dir), _lock: lock, state })
    }
}

impl Drop for NewContainer {
    fn drop(&mut self) {
        if !self.dir.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

fn write_state(dir: &Path, state: &State) -> Result<()> {
    let text = serde_json::to_vec(state).map_err(|error| Error::State(error.to_string()))?;
    let temporary = dir.join(".state.json");
    fs::write(&temporary, text).setup(|| format!("write {}", temporary.display()))?;
    fs::rename(&temporary, dir.join("state.json")).setup(|| format!("write {}/state.json", dir.display()))
}

/// Start time of a process in clock ticks since boot; `None` when there is no such process or only its zombie.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command in parentheses may contain anything.
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

impl Container {
    /// Locks and reads a container.
    pub(crate) fn open(root: &Path, id: &str) -> Result<Self> {
        check_id(id)?;
        let dir = root.join(id);
        let lock = lock(&dir)?;
        let file = match File::open(dir.join("state.json")) {
            Err(error) if io_errno(&error) == wharf_sys::Errno::NOENT => return Err(Error::NotExist),
            result => result.setup(|| format!("open {}/state.json", dir.display()))?,
        };
        let state = serde_json::from_reader(std::io::BufReader::new(file))
            .map_err(|error| Error::State(format!("read {}/state.json: {error}", dir.display())))?;
        Ok(Self { dir, _lock: lock, state })
    }

    /// The ids of all containers below the state root.
    pub(crate) fn list(root: &Path) -> Vec<String> {
        let entries = fs::read_dir(root).into_iter().flatten().flatten();
        let mut ids: Vec<String> = entries
            .filter(|entry| entry.path().join("state.json").exists())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        ids.sort();
        ids
    }

    /// What the container is doing now.
    pub(crate) fn status(&self) -> Status {
        if start_time(self.state.pid) != Some(self.state.start_time) {
            return Status::Stopped;
        }
        if self.dir.join(START_FIFO).exists() {
            return Status::Created;
        }
        match self.cgroup() {
            Ok(cgroup) if cgroup.is_frozen() => Status::Paused,
            _ => Status::Running,
        }
    }

    /// The container's control group.
    pub(crate) fn cgroup(&self) -> Result<Cgroup> {
        Cgroup::open(&self.state.cgroup)
    }

    /// A handle on the container's first process, certain to be that one.
    pub(crate) fn pidfd(&self) -> Result<OwnedFd> {
        let gone = || Error::State("container not running".into());
        let pid = Pid::from_raw(self.state.pid).ok_or_else(gone)?;
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(|_| gone())?;
        if start_time(self.state.pid) == Some(self.state.start_time) { Ok(pidfd) } else { Err(gone()) }
    }

    /// Lets a created container run its program.
    pub(crate) fn release(&self) -> Result<()> {
        let path = self.dir.join(START_FIFO);
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fifo = rustix::fs::open(&path, flags, Mode::empty())
            .map_err(|_| Error::State("cannot start a container that has stopped".into()))?;
        rustix::io::write(fifo.as_fd(), b"0").setup(|| "start container".into())?;
        fs::remove_file(&path).setup(|| "remove start pipe".into())
    }

    /// The state document.
    pub(crate) fn document(&self, status: Status) -> HookState {
        let pid = if status == Status::Stopped { 0 } else { self.state.pid };
        HookState::new(&self.state.config, &self.state.id, &self.state.bundle, pid, status.as_str())
    }

    /// Records a changed state.
    pub(crate) fn save(&self) -> Result<()> {
        write_state(&self.dir, &self.state)
    }

    /// Forgets the container.
    pub(crate) fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.dir).setup(|| format!("remove {}", self.dir.display()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        for good in ["a", "web-1.x+y_z"] {
            check_id(good).unwrap();
        }
        for bad in ["", ".", "..", "a/b", "a b", "ü"] {
            assert!(check_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_unfinished_container_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let new = NewContainer::reserve(root.path(), "a").unwrap();
        let taken = NewContainer::reserve(root.path(), "a").unwrap_err();
        assert_eq!(taken.to_string(), "container with given ID already exists");
        drop(new);
        assert!(matches!(Container::open(root.path(), "a").unwrap_err(), Error::NotExist));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn start_times() {
        assert!(start_time(std::process::id() as i32).unwrap() > 0);
        assert_eq!(start_time(i32::MAX), None);
    }
}
