//! Control groups: one [`Cgroup`] is a container's directory in every hierarchy the host has.
//!
//! - [`layout`](self): which hierarchies are mounted (v1, hybrid, v2)
//! - `v1`, `v2`: resource limits in the files of each generation
//! - `devices`: which devices may be used, as v1 entries or as an eBPF program
//! - `stats`, `oom`: what is consumed, and when memory ran out
//! - `mounts`: what a container sees at `/sys/fs/cgroup`
//!
//! A process joins v1 hierarchies by itself, through `tasks`: moving the own single thread takes no lock, while writing a
//! foreign process id waits for an RCU grace period (tens of milliseconds). In v2 it is born there (`CLONE_INTO_CGROUP`).

mod devices;
mod freezer;
mod layout;
pub(crate) mod mounts;
mod oom;
mod stats;
mod v1;
mod v2;

use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use oci_spec::runtime::LinuxResources;
use rustix::fs::{Mode, OFlags};
use wharf_sys::Errno;

use self::layout::{Hierarchy, Layout};
use crate::error::{Context, Error, Result, io_errno};

pub use self::layout::Version;
pub use self::oom::OomWatch;
pub use self::stats::{BlkioEntry, BlkioStats, CpuStats, HugetlbStats, MemoryStats, PidsStats, Stats};

/// A container's control group in every mounted hierarchy. Cheap to clone; the directories outlive it until
/// [`Cgroup::delete`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    path: PathBuf,
    version: Version,
    /// The directory in each v1 hierarchy.
    v1: Vec<Hierarchy>,
    /// The directory in the v2 hierarchy.
    unified: Option<PathBuf>,
}

impl Cgroup {
    /// The control group of the given path (`cgroupsPath` of a specification; always taken from the hierarchies' roots),
    /// which need not exist yet. Fails when the host has no cgroup mounted.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self::at(Layout::host()?, path))
    }

    fn at(layout: &Layout, path: &Path) -> Self {
        let path = crate::paths::normal(path);
        let inner = path.strip_prefix("/").unwrap_or(&path);
        let v1 = layout.v1.iter().map(|hierarchy| Hierarchy {
            controllers: hierarchy.controllers.clone(),
            mount_point: hierarchy.mount_point.join(inner),
        });
        Self {
            v1: v1.collect(),
            unified: layout.unified.as_ref().map(|root| root.join(inner)),
            version: layout.version(),
            path: path.clone(),
        }
    }

    /// The path below the hierarchies' roots.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The generation in use on this host.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The directory whose files hold that controller's values; `None` when the host has no such controller.
    fn dir(&self, controller: &str) -> Option<&Path> {
        let v1 = self.v1.iter().find(|h| h.controllers.iter().any(|c| c == controller));
        v1.map(|h| h.mount_point.as_path())
    }

    /// Every directory of this control group.
    fn dirs(&self) -> impl Iterator<Item = &Path> {
        self.v1.iter().map(|h| h.mount_point.as_path()).chain(self.unified.as_deref())
    }

    /// Makes the v2 directory and returns it.
    pub(crate) fn create_unified(&self) -> Result<Option<OwnedFd>> {
        let Some(dir) = &self.unified else { return Ok(None) };
        make_dirs(dir)?;
        if self.version == Version::V2 {
            v2::enable_controllers(self, &[])?;
        }
        self.open_unified()
    }

    /// The v2 directory, in which a process can be created.
    pub(crate) fn open_unified(&self) -> Result<Option<OwnedFd>> {
        let Some(dir) = &self.unified else { return Ok(None) };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(dir, flags, Mode::empty())
            .map(Some)
            .setup(|| format!("open cgroup {}", dir.display()))
    }

    /// The v2 directory for a further process beside `init`: that of the group, or where `init` is now when the container
    /// has made groups of its own and the group itself takes no processes any more.
    pub(crate) fn open_for(&self, init: BorrowedFd<'_>) -> Result<Option<OwnedFd>> {
        let divided = |dir: &PathBuf| read(dir, "cgroup.subtree_control").is_ok_and(|list| !list.is_empty());
        if !self.unified.as_ref().is_some_and(divided) {
            return self.open_unified();
        }
        let current = process_of(init)
            .and_then(|pid| fs::read_to_string(format!("/proc/{pid}/cgroup")).ok())
            .and_then(|text| text.lines().find_map(|line| line.strip_prefix("0::").map(PathBuf::from)));
        match current {
            Some(path) if path.starts_with(&self.path) => Self::open(&path)?.open_unified(),
            _ => self.open_unified(),
        }
    }

    /// Makes the v1 directories.
    pub(crate) fn create_v1(&self) -> Result<()> {
        for hierarchy in &self.v1 {
            make_dirs(&hierarchy.mount_point)?;
            if hierarchy.controllers.iter().any(|c| c == "cpuset") {
                v1::inherit_cpuset(&hierarchy.mount_point)?;
            }
        }
        Ok(())
    }

    /// Makes the directories in every hierarchy.
    pub fn create(&self) -> Result<()> {
        self.create_unified()?;
        self.create_v1()
    }

    /// Fails when processes other than `except` are in the group already.
    pub(crate) fn check_empty(&self, except: i32) -> Result<()> {
        let count = self.pids()?.into_iter().filter(|pid| *pid != except).count();
        if count == 0 {
            return Ok(());
        }
        Err(Error::setup(format!("container's cgroup is not empty: {count} process(es) found")))
    }

    /// Moves the calling, single-threaded process into the v1 directories, and with `unified` into the v2 one.
    pub(crate) fn join(&self, unified: bool) -> Result<()> {
        for hierarchy in &self.v1 {
            write(&hierarchy.mount_point, "tasks", "0")?;
        }
        match &self.unified {
            Some(dir) if unified => write(dir, "cgroup.procs", "0"),
            _ => Ok(()),
        }
    }

    /// Opens what [`Cgroup::join`] writes to, for a process that will no longer be allowed to: the kernel goes by who opened
    /// the file.
    pub(crate) fn open_tasks(&self) -> Result<Vec<OwnedFd>> {
        let open = |hierarchy: &Hierarchy| {
            let path = hierarchy.mount_point.join("tasks");
            rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
                .setup(|| format!("open {}", path.display()))
        };
        self.v1.iter().map(open).collect()
    }

    /// Writes the limits of `resources`; what is absent there stays as it is.
    pub fn apply(&self, resources: &LinuxResources) -> Result<()> {
        match self.version {
            Version::V2 => v2::apply(self, resources),
            Version::V1 | Version::Hybrid => v1::apply(self, resources),
        }
    }

    /// Sets which devices may be used: the rules of `resources` and those every container needs.
    pub(crate) fn apply_devices(&self, resources: Option<&LinuxResources>) -> Result<()> {
        let rules = resources.and_then(|r| r.devices().as_deref()).unwrap_or_default();
        devices::apply(self, rules)
    }

    /// The ids of all processes in the group and its descendants.
    pub fn pids(&self) -> Result<Vec<i32>> {
        let dir = match self.version {
            Version::V2 | Version::Hybrid => self.unified.as_deref(),
            Version::V1 => {
                ["pids", "memory", "devices"].iter().find_map(|c| self.dir(c)).or_else(|| self.dirs().next())
            }
        };
        let mut pids = Vec::new();
        if let Some(dir) = dir {
            collect_pids(dir, &mut pids)?;
        }
        Ok(pids)
    }

    /// Sends `SIGKILL` to every process of the group and its descendants.
    pub fn kill_all(&self) -> Result<()> {
        if let Some(dir) = &self.unified {
            // Linux 5.14; atomic even against a fork bomb.
            match fs::write(dir.join("cgroup.kill"), "1") {
                Ok(()) => return Ok(()),
                Err(error) if io_errno(&error) == Errno::NOENT && !dir.exists() => return Ok(()),
                Err(_) => {}
            }
        }
        self.signal_all(libc::SIGKILL)
    }

    /// Sends a signal to every process of the group, frozen meanwhile so that none is missed.
    pub fn signal_all(&self, signal: i32) -> Result<()> {
        let frozen = self.freeze().is_ok();
        let pids = self.pids()?;
        for pid in pids {
            match wharf_sys::signal::send(pid, signal) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(errno) => return Err(errno).setup(|| "kill".into()),
            }
        }
        if frozen { self.thaw() } else { Ok(()) }
    }

    /// Removes the directories of the group and its descendants; waits up to two seconds for processes that are just
    /// ending. A group that is not there counts as removed.
    pub fn delete(&self) -> Result<()> {
        let mut pause = Duration::from_micros(100);
        loop {
            let mut busy = None;
            for dir in self.dirs() {
                if let Err(errno) = remove_tree(dir) {
                    busy = Some((dir, errno));
                }
            }
            match busy {
                None => return Ok(()),
                Some((dir, errno)) if pause > Duration::from_secs(1) => {
                    return Err(errno).setup(|| format!("remove cgroup {}", dir.display()));
                }
                Some(_) => std::thread::sleep(pause),
            }
            pause *= 2;
        }
    }
}

/// The process id behind a pidfd.
fn process_of(pidfd: BorrowedFd<'_>) -> Option<i32> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok())
}

/// Makes a directory and its parents.
fn make_dirs(dir: &Path) -> Result<()> {
    match fs::create_dir(dir) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(_) => fs::create_dir_all(dir).setup(|| format!("mkdir {}", dir.display())),
    }
}

/// Removes a cgroup directory: its files vanish with it, its child groups have to go first.
fn remove_tree(dir: &Path) -> Result<(), Errno> {
    match rustix::fs::unlinkat(rustix::fs::CWD, dir, rustix::fs::AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::BUSY) => {}
        Err(errno) => return Err(errno),
    }
    for entry in fs::read_dir(dir).map_err(|error| io_errno(&error))?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path())?;
        }
    }
    rustix::fs::unlinkat(rustix::fs::CWD, dir, rustix::fs::AtFlags::REMOVEDIR)
}

fn collect_pids(dir: &Path, pids: &mut Vec<i32>) -> Result<()> {
    let text = match fs::read_to_string(dir.join("cgroup.procs")) {
        Ok(text) => text,
        Err(error) if matches!(io_errno(&error), Errno::NOENT | Errno::NODEV) => return Ok(()),
        Err(error) => return Err(error).setup(|| format!("read {}/cgroup.procs", dir.display())),
    };
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect_pids(&entry.path(), pids)?;
        }
    }
    Ok(())
}

/// Writes one value in one `write`, as control files need it.
fn write(dir: &Path, file: &str, value: &str) -> Result<()> {
    try_write(dir, file, value).setup(|| format!("failed to write {value:?} to {}/{file}", dir.display()))
}

fn try_write(dir: &Path, file: &str, value: &str) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(dir.join(file), flags, Mode::empty())?;
    rustix::io::retry_on_intr(|| rustix::io::write(&fd, value.as_bytes())).map(drop)
}

/// A control file's content without the final newline.
fn read(dir: &Path, file: &str) -> Result<String, Errno> {
    let text = fs::read_to_string(dir.join(file)).map_err(|error| io_errno(&error))?;
    Ok(text.trim_end().to_owned())
}
