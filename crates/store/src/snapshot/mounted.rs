//! The file system of a stopped container as a mount nobody else sees.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount, mount_bind_recursive, mount_change,
    mount_remount, move_mount,
};
use wharf_sys::process::{CloneFlags, unshare};

use crate::layer::{Parents, split};

use crate::{Error, Result, Snapshot};

/// A folder or file of the host at a place in a container's file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Path on the host. A missing one is left out.
    pub source: PathBuf,
    /// Absolute path in the container, without `.` and `..`; made if it is missing.
    pub target: PathBuf,
    /// Whether nothing can be changed through it.
    pub read_only: bool,
}

impl Snapshot {
    /// Runs `work` with the root folder of the container's file system, mounted for it alone and unmounted afterwards,
    /// also if the process dies. Changes go to the container's own folder. The container must not be running: a running
    /// one's root is under `/proc/<pid>/root`, and mounting its folders twice is undefined.
    ///
    /// Paths below the root are the container's: open them with `RESOLVE_IN_ROOT`.
    pub fn with_mounted<T: Send>(&self, work: impl FnOnce(BorrowedFd<'_>) -> T + Send) -> Result<T> {
        if self.mounts().lower.is_empty() {
            // Nothing to merge with.
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root = rustix::fs::open(self.upper(), flags, Mode::empty());
            return Ok(work(root.map_err(|errno| Error::io("open", self.upper(), errno))?.as_fd()));
        }
        match self.detached() {
            Ok(root) => Ok(work(root.as_fd())),
            // Kernels before 6.5 take layers only all in one string, of too little length here.
            Err(Errno::INVAL | Errno::NOSYS) => self.in_namespace(work),
            Err(errno) => Err(Error::io("mount", self.upper(), errno)),
        }
    }

    /// [`Snapshot::with_mounted`] with volumes in it, in the order given, so an inner one after the outer.
    pub fn with_binds<T: Send>(
        &self,
        binds: &[Bind],
        work: impl FnOnce(BorrowedFd<'_>) -> T + Send,
    ) -> Result<T> {
        if binds.is_empty() {
            return self.with_mounted(work);
        }
        self.in_namespace(|root| {
            for bind in binds {
                attach(root, bind).map_err(|errno| Error::io("mount", &bind.target, errno))?;
            }
            Ok(work(root))
        })?
    }

    /// A mount that is attached nowhere and lives as long as its descriptor.
    fn detached(&self) -> Result<OwnedFd, Errno> {
        let mounts = self.mounts();
        let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        for layer in &mounts.lower {
            fsconfig_set_string(fs.as_fd(), "lowerdir+", layer)?;
        }
        fsconfig_set_string(fs.as_fd(), "upperdir", &mounts.upper)?;
        fsconfig_set_string(fs.as_fd(), "workdir", &mounts.work)?;
        for option in &mounts.options {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            fsconfig_set_string(fs.as_fd(), name, value)?;
        }
        fsconfig_create(fs.as_fd())?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
        fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    }

    /// The same by a mount in a namespace that ends with the thread.
    fn in_namespace<T: Send>(&self, work: impl FnOnce(BorrowedFd<'_>) -> T + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| match self.attached() {
                Ok(root) => Ok(work(root.as_fd())),
                Err(errno) => Err(Error::io("mount", self.upper(), errno)),
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn attached(&self) -> Result<OwnedFd, Errno> {
        let mounts = self.mounts();
        unshare(CloneFlags::NEWNS)?;
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        // Relative names leave room for more layers in the one page the kernel takes.
        let folder = mounts.upper.ancestors().nth(2).ok_or(Errno::INVAL)?;
        rustix::process::chdir(folder)?;
        let relative = |path: &Path| path.strip_prefix(folder).unwrap_or(path).display().to_string();
        let lower: Vec<_> = mounts.lower.iter().map(|path| relative(path)).collect();
        let (upper, work) = (relative(&mounts.upper), relative(&mounts.work));
        let mut options = format!("lowerdir={},upperdir={upper},workdir={work}", lower.join(":"));
        for option in &mounts.options {
            options.push(',');
            options.push_str(option);
        }
        let options = std::ffi::CString::new(options).map_err(|_| Errno::INVAL)?;
        // Over the upper folder: it is found before it is covered.
        match self.detached() {
            Ok(root) => move_mount(&root, "", CWD, &upper, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?,
            Err(Errno::INVAL | Errno::NOSYS) => {
                let flags = MountFlags::NODEV | MountFlags::NOSUID;
                mount("overlay", &upper, "overlay", flags, options.as_c_str())?;
            }
            Err(errno) => return Err(errno),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&upper, flags, Mode::empty())
    }
}

/// Mounts a bind below the root, which is the mount of this thread alone.
fn attach(root: BorrowedFd<'_>, bind: &Bind) -> Result<(), Errno> {
    let source = match rustix::fs::open(&bind.source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    let path = bind.target.as_os_str().as_bytes();
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let mut parents = Parents::new(root.try_clone_to_owned().map_err(|_| Errno::MFILE)?);
    let is_folder = FileType::from_raw_mode(fstat(&source)?.st_mode) == FileType::Directory;
    let target = if is_folder { parents.make(path)? } else { Rc::new(make_file(&mut parents, path)?) };
    let of = |descriptor: &OwnedFd| format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    mount_bind_recursive(of(&source), of(&target))?;
    if bind.read_only {
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let mounted = openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), inside)?;
        mount_remount(of(&mounted), MountFlags::BIND | MountFlags::RDONLY, "")?;
    }
    Ok(())
}

/// The file at `path`, made empty if it is missing.
fn make_file(parents: &mut Parents, path: &[u8]) -> Result<OwnedFd, Errno> {
    let (folder, name) = split(path);
    let folder = parents.make(folder)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    match openat(&*folder, name, flags, Mode::from_raw_mode(0o755)) {
        Ok(_) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    openat2(parents.root(), path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), inside)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Store;

    #[test]
    fn both_ways_of_mounting_do_the_same() {
        assert!(rustix::process::geteuid().is_root(), "this test needs root");
        let folder = tempfile::tempdir().unwrap();
        let db = wharf_db::Db::open(folder.path().join("t.db")).unwrap();
        let store = Store::open(folder.path(), db.clone()).unwrap();
        let snapshot = db.write(|tx| store.snapshots().prepare(tx, "c", None)).unwrap();
        let work = |root: BorrowedFd<'_>| {
            let file = rustix::fs::openat(
                root,
                "new",
                OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC,
                Mode::from_raw_mode(0o644),
            );
            rustix::fs::unlinkat(root, "etc/mtab", rustix::fs::AtFlags::empty()).unwrap();
            file.is_ok()
        };
        for way in [Snapshot::with_mounted::<bool>, Snapshot::in_namespace::<bool>]
            as [fn(&_, fn(BorrowedFd<'_>) -> bool) -> _; 2]
        {
            assert!(way(&snapshot, work).unwrap());
            assert!(snapshot.upper().join("new").is_file());
            assert!(snapshot.upper().join("etc/mtab").symlink_metadata().is_ok(), "a whiteout");
            std::fs::remove_dir_all(snapshot.upper()).unwrap();
            std::fs::create_dir(snapshot.upper()).unwrap();
        }
    }
}
