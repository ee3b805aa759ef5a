//! The mount entries of a specification: sources are opened first, while the host's tree is still what it was, then each is
//! attached to its place inside the root.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::Mount;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use wharf_sys::Errno;
use wharf_sys::mount as attr;

use crate::error::{Context, Error, Result, errno_text};
use crate::mount_options::MountOptions;
use crate::rootfs::{attach, clone_tree, context_log, set_attributes, set_propagation};
use crate::{idmap, paths};

/// A mount entry ready to be attached.
pub(crate) struct Entry<'a> {
    pub(crate) spec: &'a Mount,
    pub(crate) options: MountOptions,
    /// The bound tree; `None` for a file system that is still to be made.
    source: Option<OwnedFd>,
}

impl<'a> Entry<'a> {
    /// Parses the options and, for a bind, takes hold of the source. `bundle` is what relative sources start from.
    pub(crate) fn open(spec: &'a Mount, bundle: &Path) -> Result<Self> {
        let options = MountOptions::parse(spec.options().as_deref().unwrap_or_default())?;
        let mut entry = Self { spec, options, source: None };
        if entry.is_bind() {
            entry.source = Some(entry.open_source(bundle)?);
        }
        Ok(entry)
    }

    /// Whether the entry binds an existing file or directory.
    pub(crate) fn is_bind(&self) -> bool {
        self.options.bind || self.kind() == "bind"
    }

    /// The file system type, empty when not given.
    pub(crate) fn kind(&self) -> &str {
        self.spec.typ().as_deref().unwrap_or_default()
    }

    fn open_source(&self, bundle: &Path) -> Result<OwnedFd> {
        let source = self.spec.source().as_deref().unwrap_or(Path::new(""));
        let source = bundle.join(source);
        let tree =
            clone_tree(CWD, &source, self.options.recursive_bind).map_err(|errno| self.failed(errno))?;
        self.apply_options(tree.as_fd()).map_err(|errno| self.failed(errno))?;
        if self.options.idmap {
            idmap::apply(tree.as_fd(), self.spec, self.options.recursive_idmap)?;
        }
        Ok(tree)
    }

    fn apply_options(&self, tree: BorrowedFd<'_>) -> Result<(), Errno> {
        let options = &self.options;
        set_attributes(tree, false, options.set, options.clear)?;
        set_attributes(tree, true, options.recursive_set, options.recursive_clear)
    }

    /// Attaches the mount below `root`.
    pub(crate) fn mount(&self, root: BorrowedFd<'_>) -> Result<()> {
        let (tree, target) = match &self.source {
            Some(tree) => {
                let target = self.bind_target(root, tree.as_fd()).map_err(|errno| self.failed(errno))?;
                (None, target)
            }
            None => {
                let (target, mode) = self.fs_target(root)?;
                (Some(self.make_fs(mode).or_else(|error| self.host_sysfs().ok_or(error))?), target)
            }
        };
        let tree = tree.as_ref().or(self.source.as_ref()).map(AsFd::as_fd);
        let tree = tree.ok_or_else(|| Error::Init("mount without source".into()))?;
        attach(tree, target.as_fd()).map_err(|errno| {
            // move_mount calls a directory on a file (or the reverse) just invalid.
            let differ = errno == Errno::INVAL && paths::is_dir(tree) != paths::is_dir(&target);
            self.attach_failed(if differ { Errno::NOTDIR } else { errno }, target.as_fd())
        })?;
        for (propagation, recursive) in &self.options.propagation {
            set_propagation(tree, *recursive, *propagation).map_err(|errno| self.failed(errno))?;
        }
        Ok(())
    }

    fn bind_target(&self, root: BorrowedFd<'_>, tree: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        if paths::is_dir(tree)? {
            paths::make_dir(root, self.spec.destination(), 0o755)
        } else {
            paths::make_file(root, self.spec.destination(), 0o755)
        }
    }

    /// The directory to mount on, and its mode if it was there before.
    fn fs_target(&self, root: BorrowedFd<'_>) -> Result<(OwnedFd, Option<u32>)> {
        let destination = self.spec.destination();
        let mut flags = OFlags::PATH;
        if matches!(self.kind(), "proc" | "sysfs") {
            // A link in the image's place of /proc would make every later check look at something else.
            flags |= OFlags::NOFOLLOW;
        }
        match paths::open(root, destination, flags, Mode::empty()) {
            Ok(target) => {
                let stat = rustix::fs::fstat(&target).map_err(|errno| self.failed(errno))?;
                if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir() {
                    return Err(self.failed(Errno::NOTDIR));
                }
                Ok((target, Some(stat.st_mode & 0o7777)))
            }
            Err(Errno::NOENT) => {
                let target = paths::make_dir(root, destination, 0o755).map_err(|errno| self.failed(errno))?;
                Ok((target, None))
            }
            Err(errno) => Err(self.failed(errno)),
        }
    }

    /// Makes a new file system instance. A tmpfs takes over the mode of the directory it covers.
    fn make_fs(&self, covered_mode: Option<u32>) -> Result<OwnedFd> {
        let kind = self.kind();
        let context =
            rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(|errno| self.failed(errno))?;
        self.configure_fs(context.as_fd(), covered_mode).map_err(|errno| {
            let log = context_log(context.as_fd());
            if log.is_empty() {
                self.failed(errno)
            } else {
                self.failed_text(&format!("{}: {log}", errno_text(errno)))
            }
        })?;
        let mut attributes = self.options.attributes();
        if self.is_dev() {
            // Devices and links still have to be made there.
            attributes &= !attr::ATTR_RDONLY;
        }
        let attributes = MountAttrFlags::from_bits_retain(attributes as u32);
        rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(|errno| self.failed(errno))
    }

    /// sysfs can only be made by the owner of the network namespace; without that the host's is all there is to show.
    fn host_sysfs(&self) -> Option<OwnedFd> {
        if self.kind() != "sysfs" {
            return None;
        }
        let tree = clone_tree(CWD, Path::new("/sys"), true).ok()?;
        set_attributes(tree.as_fd(), false, self.options.set, 0).ok()?;
        Some(tree)
    }

    fn configure_fs(&self, context: BorrowedFd<'_>, covered_mode: Option<u32>) -> Result<(), Errno> {
        use rustix::mount::{fsconfig_create, fsconfig_set_flag, fsconfig_set_string};
        if let Some(source) = self.spec.source() {
            fsconfig_set_string(context, "source", source)?;
        }
        let options = &self.options;
        if options.read_only() && self.kind() != "tmpfs" {
            fsconfig_set_flag(context, "ro")?;
        }
        for flag in &options.super_flags {
            fsconfig_set_flag(context, flag.as_str())?;
        }
        let has_mode = options.data.iter().any(|(key, _)| key == "mode");
        if let (Some(mode), "tmpfs", false) = (covered_mode, self.kind(), has_mode) {
            fsconfig_set_string(context, "mode", format!("{mode:o}"))?;
        }
        for (key, value) in &options.data {
            match value {
                Some(value) => fsconfig_set_string(context, key.as_str(), value.as_str())?,
                None => fsconfig_set_flag(context, key.as_str())?,
            }
        }
        fsconfig_create(context)
    }

    /// The entry for `/dev` itself.
    pub(crate) fn is_dev(&self) -> bool {
        paths::normal(self.spec.destination()) == Path::new("/dev")
    }

    fn source_text(&self) -> String {
        self.spec.source().as_deref().unwrap_or(Path::new("")).display().to_string()
    }

    fn failed(&self, errno: Errno) -> Error {
        self.failed_text(&errno_text(errno))
    }

    fn failed_text(&self, text: &str) -> Error {
        let destination = self.spec.destination().display();
        Error::Init(format!("error mounting {:?} to rootfs at \"{destination}\": {text}", self.source_text()))
    }

    /// The kernel's refusal to attach, in the form engines look for.
    fn attach_failed(&self, errno: Errno, target: BorrowedFd<'_>) -> Error {
        let flags = match (self.options.recursive_bind, self.is_bind()) {
            (true, _) => "MS_BIND|MS_REC",
            (false, true) => "MS_BIND",
            (false, false) => "0x0",
        };
        self.failed_text(&format!(
            "mount src={}, dst={}, dstFd=/proc/thread-self/fd/{}, flags={flags}: {}",
            self.source_text(),
            self.spec.destination().display(),
            target.as_raw_fd(),
            errno_text(errno)
        ))
    }
}

/// Makes the container's view of some paths empty: a directory gets an empty read-only tmpfs, a file `/dev/null`.
pub(crate) fn mask_paths(root: BorrowedFd<'_>, masked: &[String]) -> Result<()> {
    let mut null = None;
    let mut empty: Option<OwnedFd> = None;
    for path in masked {
        let target = match paths::open_path(root, Path::new(path)) {
            Ok(target) => target,
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            Err(errno) => return Err(errno).init(|| format!("mask path {path:?}")),
        };
        let context = || format!("mask path {path:?}");
        let cover = match (paths::is_dir(&target).init(context)?, &empty) {
            // Only a mount that is attached can be copied (before Linux 6.15): the first one is used itself.
            (true, None) => empty_tmpfs().init(context)?,
            (true, Some(first)) => clone_tree(first.as_fd(), Path::new(""), false).init(context)?,
            (false, _) => {
                let null: &OwnedFd = match &null {
                    Some(null) => null,
                    None => null.insert(open_null(root)?),
                };
                clone_tree(null.as_fd(), Path::new(""), false).init(context)?
            }
        };
        attach(cover.as_fd(), target.as_fd()).init(context)?;
        if empty.is_none() && paths::is_dir(&cover).init(context)? {
            empty = Some(cover);
        }
    }
    Ok(())
}

fn empty_tmpfs() -> Result<OwnedFd, Errno> {
    use rustix::mount::{fsconfig_create, fsconfig_set_flag, fsconfig_set_string};
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "source", "tmpfs")?;
    fsconfig_set_string(context.as_fd(), "nr_inodes", "1")?;
    fsconfig_set_string(context.as_fd(), "size", "4k")?;
    fsconfig_set_flag(context.as_fd(), "ro")?;
    fsconfig_create(context.as_fd())?;
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY)
}

/// The container's `/dev/null`, checked to be the real device: what an image puts there would uncover host files.
fn open_null(root: BorrowedFd<'_>) -> Result<OwnedFd> {
    let null = paths::open(root, Path::new("/dev/null"), OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())
        .init(|| "open /dev/null".into())?;
    let stat = rustix::fs::fstat(&null).init(|| "stat /dev/null".into())?;
    let is_device = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_char_device();
    if is_device && stat.st_rdev == rustix::fs::makedev(1, 3) {
        return Ok(null);
    }
    Err(Error::Init("can't mask paths: /dev/null is not the null device".into()))
}

/// Makes existing paths read-only by binding them over themselves.
pub(crate) fn readonly_paths(root: BorrowedFd<'_>, paths: &[String]) -> Result<()> {
    for path in paths {
        let result = match paths::open_path(root, Path::new(path)) {
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            Err(errno) => Err(errno),
            Ok(target) => clone_tree(target.as_fd(), Path::new(""), true).and_then(|tree| {
                set_attributes(tree.as_fd(), false, attr::ATTR_RDONLY, 0)?;
                attach(tree.as_fd(), target.as_fd())
            }),
        };
        result.init(|| format!("make path {path:?} read-only"))?;
    }
    Ok(())
}
