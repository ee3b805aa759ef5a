//! Paths inside a container's root. Every lookup is one `openat2` with `RESOLVE_IN_ROOT`: symbolic links and `..` of an
//! image can only ever lead to places inside.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use wharf_sys::Errno;

type Result<T> = std::result::Result<T, Errno>;

/// Opens `path` inside `root`; always close-on-exec. Magic links of procfs are not followed.
pub(crate) fn open(root: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let path = relative(path);
    loop {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, mode, resolve) {
            // A concurrent rename made the kernel unsure about a `..`.
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
}

/// A handle on `path` inside `root` that can be mounted on.
pub(crate) fn open_path(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd> {
    open(root, path, OFlags::PATH, Mode::empty())
}

/// `path` without its leading slash; `.` for the root itself.
fn relative(path: &Path) -> &Path {
    let path = path.strip_prefix("/").unwrap_or(path);
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// A handle on the directory `path` inside `root`, made with all its parents when missing.
pub(crate) fn make_dir(root: BorrowedFd<'_>, path: &Path, mode: u32) -> Result<OwnedFd> {
    make_dir_depth(root, path, mode, 0)
}

fn make_dir_depth(root: BorrowedFd<'_>, path: &Path, mode: u32, depth: u32) -> Result<OwnedFd> {
    match open_path(root, path) {
        Err(Errno::NOENT) if depth < 40 => {}
        other => return other,
    }
    let path = normal(path);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return open_path(root, &path) };
    let directory = make_dir_depth(root, parent, mode, depth + 1)?;
    match rustix::fs::mkdirat(&directory, name, Mode::from_raw_mode(mode)) {
        Ok(()) => {}
        // Only a dangling symbolic link exists and cannot be opened: make what it points to.
        Err(Errno::EXIST) => {
            let target = rustix::fs::readlinkat(&directory, name, Vec::new())?;
            return make_dir_depth(root, &parent.join(OsStr::from_bytes(target.as_bytes())), mode, depth + 1);
        }
        Err(error) => return Err(error),
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(&directory, name, flags, Mode::empty())
}

/// A handle on the file `path` inside `root`, made empty (with its parent directories) when nothing is there.
pub(crate) fn make_file(root: BorrowedFd<'_>, path: &Path, mode: u32) -> Result<OwnedFd> {
    match open_path(root, path) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    let path = normal(path);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::ISDIR) };
    make_dir(root, parent, 0o755)?;
    let flags = OFlags::CREATE | OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = open(root, &parent.join(name), flags, Mode::from_raw_mode(mode))?;
    drop(file);
    open_path(root, &path)
}

/// A handle on the parent directory of `path` inside `root` (made when missing) and the last name.
pub(crate) fn make_parent<'a>(root: BorrowedFd<'_>, path: &'a Path) -> Result<(OwnedFd, &'a OsStr)> {
    let name = path.file_name().ok_or(Errno::INVAL)?;
    let directory = make_dir(root, path.parent().unwrap_or(Path::new("/")), 0o755)?;
    Ok((directory, name))
}

/// The absolute path with `.` and `..` resolved by name alone.
pub(crate) fn normal(path: &Path) -> PathBuf {
    let mut result = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => result.push(name),
            Component::ParentDir => {
                result.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    result
}

/// Whether the handle is a directory.
pub(crate) fn is_dir(handle: impl AsFd) -> Result<bool> {
    let stat = rustix::fs::fstat(handle)?;
    Ok(rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn root() -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        let fd = rustix::fs::open(dir.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        (dir, fd)
    }

    #[test]
    fn links_cannot_lead_out() {
        let (dir, root) = root();
        std::os::unix::fs::symlink("/etc", dir.path().join("out")).unwrap();
        make_dir(root.as_fd(), Path::new("/out/made"), 0o755).unwrap();
        assert!(dir.path().join("etc/made").is_dir());
        make_file(root.as_fd(), Path::new("../../x/../../f"), 0o644).unwrap();
        assert!(dir.path().join("f").is_file());
    }

    #[test]
    fn dangling_links_are_completed_inside() {
        let (dir, root) = root();
        std::os::unix::fs::symlink("../../run", dir.path().join("var")).unwrap();
        make_file(root.as_fd(), Path::new("/var/lock/pid"), 0o644).unwrap();
        assert!(dir.path().join("run/lock/pid").is_file());
    }

    #[test]
    fn link_loops_end() {
        let (dir, root) = root();
        std::os::unix::fs::symlink("b", dir.path().join("a")).unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("b")).unwrap();
        assert_eq!(make_dir(root.as_fd(), Path::new("/a/c"), 0o755).unwrap_err(), Errno::LOOP);
    }

    #[test]
    fn normal_paths() {
        assert_eq!(normal(Path::new("a/./b/../../../c")), Path::new("/c"));
    }
}
