//! The file system of a stopped container as a mount nobody else sees.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, mount, mount_change,
};
use wharf_sys::process::{CloneFlags, unshare};

use crate::{Error, Result, Snapshot};

impl Snapshot {
    /// Runs `work` with the root folder of the container's file system, mounted for it alone and unmounted afterwards,
    /// also if the process dies. Changes go to the container's own folder. The container must not be running: a running
    /// one's root is under `/proc/<pid>/root`, and mounting its folders twice is undefined.
    ///
    /// Paths below the root are the container's: open them with `RESOLVE_IN_ROOT`.
    pub fn with_mounted<T: Send>(&self, work: impl FnOnce(BorrowedFd<'_>) -> T + Send) -> Result<T> {
        match self.detached() {
            Ok(root) => Ok(work(root.as_fd())),
            // Kernels before 6.5 take layers only all in one string, of too little length here.
            Err(Errno::INVAL | Errno::NOSYS) => self.in_namespace(work),
            Err(errno) => Err(Error::io("mount", self.upper(), errno)),
        }
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
        mount("overlay", &upper, "overlay", MountFlags::NODEV | MountFlags::NOSUID, options.as_c_str())?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&upper, flags, Mode::empty())
    }
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
