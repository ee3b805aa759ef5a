//! The root of a container's file system as a descriptor, whether the container runs or not, and paths in it.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
    thread,
    time::Duration,
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags, fstat, openat2, readlinkat, stat},
    io::Errno,
};
use wharf_oci::path::clean;
use wharf_store::Bind;

use super::{Container, Entry};
use crate::{Engine, Error, Result};

/// Links followed on one path, at most; the kernel's number.
const MAX_LINKS: usize = 40;

/// Paths inside a root never leave it, whatever links say.
const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

impl Engine {
    /// Runs `work` with the container's root folder: the one its processes see while it runs, else its layers mounted
    /// for `work` alone, with its volumes. Meanwhile a stopped container cannot be started or removed.
    pub(super) fn with_root<T: Send>(
        &self,
        entry: &Entry,
        work: impl FnOnce(BorrowedFd<'_>) -> Result<T> + Send,
    ) -> Result<T> {
        // The first process of a container that is ending is gone a moment before that is on record.
        for _ in 0..40 {
            let guard = entry.lock();
            let container = entry.get();
            if container.state.removed {
                return Err(Error::no_such_container(&container.id));
            }
            if let Ok(live) = self.running(entry) {
                drop(guard);
                if let Some(root) = root_of(live.pid) {
                    return work(root.as_fd());
                }
                thread::sleep(Duration::from_millis(50));
                continue;
            }
            let snapshot = self.snapshot(&container)?;
            return snapshot.with_binds(&self.binds(&container), work)?;
        }
        Err(Error::conflict(format!("container {} is ending", entry.get().id)))
    }

    /// The volumes, host folders and generated files of a container, outer before inner.
    fn binds(&self, container: &Container) -> Vec<Bind> {
        let folder = self.paths.container(&container.id);
        let files = ["hosts", "hostname", "resolv.conf"].map(|name| Bind {
            source: folder.join(name),
            target: PathBuf::from("/etc").join(name),
            read_only: false,
        });
        let points = container.mounts.iter().filter(|point| matches!(point.kind.as_str(), "volume" | "bind"));
        let mut binds: Vec<_> = points
            .map(|point| Bind {
                source: PathBuf::from(&point.source),
                target: PathBuf::from(&point.destination),
                read_only: !point.rw,
            })
            .collect();
        binds.extend(files.into_iter().filter(|bind| bind.source.exists()));
        binds.sort_by_key(|bind| bind.target.components().count());
        binds
    }
}

/// The root as the process sees it; `None` if there is no such process.
fn root_of(pid: i32) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(format!("/proc/{pid}/root"), flags, Mode::empty()).ok()?;
    let (found, own) = (fstat(&root).ok()?, stat("/").ok()?);
    // The pid may belong to a process of the host by now.
    ((found.st_dev, found.st_ino) != (own.st_dev, own.st_ino)).then_some(root)
}

/// Opens what is at `path` without permission to read it; a link in the last place stands for itself.
pub(super) fn locate(root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat2(root, path, flags, Mode::empty(), INSIDE)
}

/// A client's path as an absolute one, cleaned; a trailing slash or dot, which stand for the folder, is kept.
pub(super) fn absolute(path: &str) -> String {
    let mut cleaned = clean(path);
    if cleaned != "/" {
        if path.ends_with("/.") || path == "." {
            cleaned.push_str("/.");
        } else if path.ends_with('/') {
            cleaned.push('/');
        }
    }
    cleaned
}

/// The path without links that `path` leads to, as far as it exists.
pub(crate) fn follow(root: BorrowedFd<'_>, path: &str) -> String {
    let mut pending: VecDeque<String> = path.split('/').map(str::to_owned).collect();
    let mut done: Vec<String> = Vec::new();
    let mut links = 0;
    while let Some(part) = pending.pop_front() {
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                done.pop();
                continue;
            }
            _ => done.push(part),
        }
        let here = format!("/{}", done.join("/"));
        // Anything but a link has no target.
        let target = locate(root, &here).and_then(|found| readlinkat(found, "", Vec::new()));
        let Ok(target) = target else { continue };
        links += 1;
        if links > MAX_LINKS {
            break;
        }
        let target = target.to_string_lossy().into_owned();
        if target.starts_with('/') {
            done.clear();
        } else {
            done.pop();
        }
        for part in target.split('/').rev() {
            pending.push_front(part.to_owned());
        }
    }
    format!("/{}", done.join("/"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn client_paths() {
        let paths = ["", "/", "a", "/a/", "a/.", "/a/../b/", "/..", "//a//b"];
        assert_eq!(paths.map(absolute), ["/", "/", "/a", "/a/", "/a/.", "/b/", "/", "/a/b"]);
    }

    #[test]
    fn links_stay_inside() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("usr/lib")).unwrap();
        symlink("/usr/lib", folder.path().join("lib")).unwrap();
        symlink("../../../etc", folder.path().join("usr/out")).unwrap();
        symlink("loop", folder.path().join("loop")).unwrap();
        let root = rustix::fs::open(folder.path(), OFlags::PATH, Mode::empty()).unwrap();
        let follow = |path| follow(root.as_fd(), path);
        assert_eq!(follow("/lib/x"), "/usr/lib/x");
        assert_eq!(follow("/usr/out/passwd"), "/etc/passwd");
        assert_eq!(follow("/loop"), "/loop");
        assert_eq!(locate(root.as_fd(), "/usr/out/passwd").unwrap_err(), Errno::NOENT);
    }
}
