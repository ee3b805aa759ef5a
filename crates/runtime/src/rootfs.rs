//! The container's root file system: mounted in the container's own mount namespace, entered with `pivot_root`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};
use serde::{Deserialize, Serialize};
use wharf_sys::Errno;
use wharf_sys::mount::{self as attr, MountAttr, mount_setattr};

use crate::error::{Context, Result};

/// Where the root file system comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootFs {
    /// A directory, bound as it is.
    Path(PathBuf),
    /// An overlay, mounted inside the container's mount namespace so that nothing of it is left on the host.
    Overlay {
        /// Read-only layers, topmost first.
        lower: Vec<PathBuf>,
        /// The writable layer; without it the overlay is read-only.
        upper: Option<PathBuf>,
        /// The overlay's work directory, on the file system of `upper`.
        work: Option<PathBuf>,
        /// Further mount options such as `metacopy=on` or `volatile`.
        #[serde(default)]
        options: Vec<String>,
    },
}

/// A bind of `path` as a mount that hangs nowhere yet.
pub(crate) fn clone_tree(dir: BorrowedFd<'_>, path: &Path, recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    if path.as_os_str().is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    rustix::mount::open_tree(dir, path, flags)
}

/// Puts a detached mount on the file or directory `target`.
pub(crate) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", target, "", flags)
}

/// Changes attributes of one mount (or, with `recursive`, of all below it).
pub(crate) fn set_attributes(
    mount: BorrowedFd<'_>,
    recursive: bool,
    set: u64,
    clear: u64,
) -> Result<(), Errno> {
    let mut clear = clear & !set;
    // The access time policy is one field: it is replaced as a whole.
    if (set | clear) & attr::ATTR_ATIME_MASK != 0 {
        clear |= attr::ATTR_ATIME_MASK;
    }
    if set == 0 && clear == 0 {
        return Ok(());
    }
    mount_setattr(mount, c"", recursive, MountAttr { set, clear, propagation: 0 }, None)
}

/// Changes the propagation type of a mount or a tree.
pub(crate) fn set_propagation(mount: BorrowedFd<'_>, recursive: bool, propagation: u64) -> Result<(), Errno> {
    mount_setattr(mount, c"", recursive, MountAttr { propagation, ..MountAttr::default() }, None)
}

impl RootFs {
    /// The root as a detached mount. `scratch` is a directory that older kernels use as a mount point.
    pub(crate) fn open(&self, scratch: &Path) -> Result<OwnedFd> {
        match self {
            Self::Path(path) => {
                let tree = clone_tree(CWD, path, true)
                    .init(|| format!("error opening rootfs {}", path.display()))?;
                // As a peer of the host's mount it would show there what is mounted inside.
                set_propagation(tree.as_fd(), true, attr::PROPAGATION_PRIVATE)
                    .init(|| "make rootfs private".into())?;
                Ok(tree)
            }
            Self::Overlay { lower, upper, work, options } => {
                let overlay = Overlay { lower, upper: upper.as_deref(), work: work.as_deref(), options };
                overlay.open(scratch)
            }
        }
    }
}

struct Overlay<'a> {
    lower: &'a [PathBuf],
    upper: Option<&'a Path>,
    work: Option<&'a Path>,
    options: &'a [String],
}

impl Overlay<'_> {
    fn open(&self, scratch: &Path) -> Result<OwnedFd> {
        let context =
            rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).init(|| "fsopen overlay".into())?;
        match self.configure(context.as_fd()) {
            Ok(()) => {}
            // Before Linux 6.8 layers cannot be given one by one, and a string is limited to 256 bytes.
            Err(Errno::INVAL) => return self.mount_by_string(scratch),
            Err(errno) => {
                return Err(errno).init(|| format!("mount overlay: {}", context_log(context.as_fd())));
            }
        }
        rustix::mount::fsconfig_create(context.as_fd())
            .init(|| format!("mount overlay: {}", context_log(context.as_fd())))?;
        rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
            .init(|| "fsmount overlay".into())
    }

    fn configure(&self, context: BorrowedFd<'_>) -> Result<(), Errno> {
        use rustix::mount::{fsconfig_set_flag, fsconfig_set_string};
        fsconfig_set_string(context, "source", "overlay")?;
        for layer in self.lower {
            fsconfig_set_string(context, "lowerdir+", layer)?;
        }
        if let (Some(upper), Some(work)) = (self.upper, self.work) {
            fsconfig_set_string(context, "upperdir", upper)?;
            fsconfig_set_string(context, "workdir", work)?;
        }
        for option in self.options {
            match option.split_once('=') {
                Some((key, value)) => fsconfig_set_string(context, key, value)?,
                None => fsconfig_set_flag(context, option.as_str())?,
            }
        }
        Ok(())
    }

    /// `mount(2)` on the scratch directory. Layers are named by descriptor, which keeps the option string below one page.
    fn mount_by_string(&self, scratch: &Path) -> Result<OwnedFd> {
        use std::os::fd::AsRawFd;
        let open = |path: &Path| {
            rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .init(|| format!("open layer {}", path.display()))
        };
        let lower = self.lower.iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
        let names: Vec<String> = lower.iter().map(|fd| format!("/proc/self/fd/{}", fd.as_raw_fd())).collect();
        let mut data = format!("lowerdir={}", names.join(":"));
        if let (Some(upper), Some(work)) = (self.upper, self.work) {
            data.push_str(&format!(",upperdir={},workdir={}", upper.display(), work.display()));
        }
        for option in self.options {
            data.push(',');
            data.push_str(option);
        }
        let data =
            std::ffi::CString::new(data).map_err(|_| Errno::INVAL).init(|| "overlay options".into())?;
        rustix::mount::mount("overlay", scratch, "overlay", MountFlags::empty(), data.as_c_str())
            .init(|| "mount overlay".into())?;
        clone_tree(CWD, scratch, false).init(|| "open overlay".into())
    }
}

/// What the file system itself said about a failed mount; empty when it said nothing.
pub(crate) fn context_log(context: BorrowedFd<'_>) -> String {
    let mut buffer = [0; 1024];
    let length = rustix::io::read(context, &mut buffer).unwrap_or(0);
    // The kernel prefixes a level and a space.
    String::from_utf8_lossy(&buffer[..length]).trim_start_matches("e ").trim().to_owned()
}

/// Puts `root` over the current root directory of the (new) mount namespace and returns a handle on
/// the old root. Nothing of the host is needed as a mount point, and absolute paths still lead to the host until [`pivot`].
pub(crate) fn mount_root(root: BorrowedFd<'_>) -> Result<OwnedFd> {
    let old = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .init(|| "open /".into())?;
    // A shared parent would make the kernel copy this mount to the host, and refuse pivot_root.
    set_propagation(old.as_fd(), false, attr::PROPAGATION_PRIVATE).init(|| "make / private".into())?;
    attach(root, old.as_fd()).init(|| "mount rootfs".into())?;
    Ok(old)
}

/// Makes `root` the root directory and drops everything of the host from the namespace.
pub(crate) fn pivot(root: BorrowedFd<'_>, old: BorrowedFd<'_>) -> Result<()> {
    rustix::process::fchdir(root).init(|| "chdir to rootfs".into())?;
    rustix::process::pivot_root(".", ".").init(|| "pivot_root".into())?;
    // Unmounting must not reach the host through mounts that were left shared.
    set_propagation(old, true, attr::PROPAGATION_SLAVE).init(|| "make old root slave".into())?;
    rustix::process::fchdir(old).init(|| "chdir to old root".into())?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).init(|| "unmount old root".into())?;
    rustix::process::chdir("/").init(|| "chdir to /".into())
}
