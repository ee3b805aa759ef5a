//! Device nodes and the links every container's `/dev` has.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Uid};
use wharf_sys::Errno;

use crate::error::{Context, Result};
use crate::paths;
use crate::rootfs::{attach, clone_tree};

/// A device node to make.
struct Node {
    path: PathBuf,
    kind: FileType,
    major: u32,
    minor: u32,
    mode: u32,
    uid: u32,
    gid: u32,
}

/// The nodes that exist whatever the specification says.
const DEFAULTS: &[(&str, u32, u32)] = &[
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

const LINKS: &[(&str, &str)] = &[
    ("/proc/self/fd", "dev/fd"),
    ("/proc/self/fd/0", "dev/stdin"),
    ("/proc/self/fd/1", "dev/stdout"),
    ("/proc/self/fd/2", "dev/stderr"),
];

impl Node {
    fn of(device: &LinuxDevice) -> Self {
        let kind = match device.typ() {
            LinuxDeviceType::B => FileType::BlockDevice,
            LinuxDeviceType::P => FileType::Fifo,
            _ => FileType::CharacterDevice,
        };
        Self {
            path: device.path().clone(),
            kind,
            major: device.major() as u32,
            minor: device.minor() as u32,
            mode: device.file_mode().unwrap_or(0o666) & 0o7777,
            uid: device.uid().unwrap_or(0),
            gid: device.gid().unwrap_or(0),
        }
    }

    fn default(&(path, major, minor): &(&str, u32, u32)) -> Self {
        let kind = FileType::CharacterDevice;
        Self { path: path.into(), kind, major, minor, mode: 0o666, uid: 0, gid: 0 }
    }
}

/// Makes the nodes and links in `/dev` of `root`. With `bind`, as needed in a user namespace, the host's nodes are bound
/// instead of made. To be called with umask 0.
pub(crate) fn populate(root: BorrowedFd<'_>, devices: &[LinuxDevice], bind: bool) -> Result<()> {
    let dev = paths::make_dir(root, Path::new("/dev"), 0o755).init(|| "open /dev".into())?;
    let listed = devices.iter().map(Node::of);
    let missing = DEFAULTS
        .iter()
        .filter(|(path, ..)| !devices.iter().any(|d| d.path() == Path::new(path)))
        .map(Node::default);
    for node in missing.chain(listed) {
        // The console is bound when there is a terminal, and ptmx belongs to the container's own devpts.
        if matches!(node.path.to_str(), Some("/dev/ptmx" | "/dev/console")) {
            continue;
        }
        let made = if bind { bind_node(root, &node) } else { make_node(root, dev.as_fd(), &node) };
        made.init(|| format!("error creating device nodes: {}", node.path.display()))?;
    }
    make_links(root)
}

fn make_links(root: BorrowedFd<'_>) -> Result<()> {
    let kcore = Path::new("/proc/kcore").exists().then_some(("/proc/kcore", "dev/core"));
    for (target, link) in LINKS.iter().chain(&kcore) {
        make_link(root, target, link).init(|| format!("error creating link /{link}"))?;
    }
    // The image's own ptmx would be the host's: only that of the new devpts may be there.
    let _ = rustix::fs::unlinkat(root, "dev/ptmx", AtFlags::empty());
    make_link(root, "pts/ptmx", "dev/ptmx").init(|| "error creating link /dev/ptmx".into())
}

fn make_link(root: BorrowedFd<'_>, target: &str, link: &str) -> Result<(), Errno> {
    let path = Path::new(link);
    let (directory, name) = paths::make_parent(root, path)?;
    match rustix::fs::symlinkat(target, &directory, name) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

fn make_node(root: BorrowedFd<'_>, dev: BorrowedFd<'_>, node: &Node) -> Result<(), Errno> {
    let inside = node.path.strip_prefix("/dev").ok().filter(|rest| rest.components().count() == 1);
    let other;
    let (directory, name) = match inside {
        Some(name) => (dev, name.as_os_str()),
        None => {
            let (fd, name) = paths::make_parent(root, &node.path)?;
            other = fd;
            (other.as_fd(), name)
        }
    };
    let mode = Mode::from_raw_mode(node.mode);
    match rustix::fs::mknodat(directory, name, node.kind, mode, rustix::fs::makedev(node.major, node.minor)) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Ok(()),
        Err(errno) => return Err(errno),
    }
    if node.uid != 0 || node.gid != 0 {
        let owner = (Uid::from_raw(node.uid), Gid::from_raw(node.gid));
        rustix::fs::chownat(directory, name, Some(owner.0), Some(owner.1), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

fn bind_node(root: BorrowedFd<'_>, node: &Node) -> Result<(), Errno> {
    let source = clone_tree(CWD, &node.path, false)?;
    let target = paths::make_file(root, &node.path, 0o666)?;
    attach(source.as_fd(), target.as_fd())
}
