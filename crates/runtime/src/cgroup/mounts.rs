//! What a container sees at `/sys/fs/cgroup`.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use wharf_sys::Errno;
use wharf_sys::mount as attr;

use super::{Cgroup, Version};
use crate::error::{Context, Result};
use crate::mount_options::MountOptions;
use crate::paths;
use crate::rootfs::{attach, clone_tree, set_attributes};

/// Mounts the hierarchies below `destination`. With `own_namespace` they are mounted anew and show the container's group as
/// their root, otherwise the group's directories are bound.
pub(crate) fn mount(
    cgroup: Option<&Cgroup>,
    root: BorrowedFd<'_>,
    destination: &Path,
    options: &MountOptions,
    own_namespace: bool,
) -> Result<()> {
    let target =
        paths::make_dir(root, destination, 0o755).init(|| format!("mkdir {}", destination.display()))?;
    let Some(cgroup) = cgroup else { return Ok(()) };
    let result = match cgroup.version {
        Version::V2 => mount_v2(cgroup, target.as_fd(), options, own_namespace),
        Version::V1 | Version::Hybrid => mount_v1(cgroup, target.as_fd(), options, own_namespace),
    };
    result.init(|| format!("error mounting \"cgroup\" to rootfs at \"{}\"", destination.display()))
}

fn new_fs(kind: &str, settings: &[(&str, &str)], attributes: u64) -> Result<std::os::fd::OwnedFd, Errno> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in settings {
        if value.is_empty() {
            rustix::mount::fsconfig_set_flag(context.as_fd(), *key)?;
        } else {
            rustix::mount::fsconfig_set_string(context.as_fd(), *key, *value)?;
        }
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::from_bits_retain(attributes as u32);
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

fn mount_v2(
    cgroup: &Cgroup,
    target: BorrowedFd<'_>,
    options: &MountOptions,
    own_namespace: bool,
) -> Result<(), Errno> {
    let fresh = new_fs("cgroup2", &[("source", "cgroup")], options.attributes());
    let tree = match (fresh, &cgroup.unified) {
        (Ok(tree), _) => tree,
        // Not allowed in a user namespace without a cgroup namespace of its own.
        (Err(Errno::PERM | Errno::BUSY), Some(dir)) => {
            let dir = if own_namespace { Path::new("/sys/fs/cgroup") } else { dir };
            let tree = clone_tree(CWD, dir, false)?;
            set_attributes(tree.as_fd(), false, options.attributes(), 0)?;
            tree
        }
        (Err(errno), _) => return Err(errno),
    };
    attach(tree.as_fd(), target)
}

/// A tmpfs with one directory per hierarchy, and links for controllers that share one.
fn mount_v1(
    cgroup: &Cgroup,
    target: BorrowedFd<'_>,
    options: &MountOptions,
    own_namespace: bool,
) -> Result<(), Errno> {
    let plain = options.attributes() & !attr::ATTR_RDONLY;
    let top = new_fs("tmpfs", &[("source", "tmpfs"), ("mode", "755")], plain)?;
    attach(top.as_fd(), target)?;
    for hierarchy in &cgroup.v1 {
        let list = hierarchy.controllers.join(",");
        let name = list.strip_prefix("name=").unwrap_or(&list);
        rustix::fs::mkdirat(&top, name, Mode::from_raw_mode(0o755))?;
        let place = paths::open_path(top.as_fd(), Path::new(name))?;
        let tree = if own_namespace {
            let settings: Vec<(&str, &str)> = if list.starts_with("name=") {
                vec![("source", "cgroup"), ("none", ""), ("name", name)]
            } else {
                [("source", "cgroup")]
                    .into_iter()
                    .chain(hierarchy.controllers.iter().map(|c| (c.as_str(), "")))
                    .collect()
            };
            new_fs("cgroup", &settings, options.attributes())?
        } else {
            let tree = clone_tree(CWD, &hierarchy.mount_point, false)?;
            set_attributes(tree.as_fd(), false, options.attributes(), 0)?;
            tree
        };
        attach(tree.as_fd(), place.as_fd())?;
        if hierarchy.controllers.len() > 1 {
            for controller in &hierarchy.controllers {
                rustix::fs::symlinkat(name, &top, controller.as_str())?;
            }
        }
    }
    set_attributes(top.as_fd(), false, options.attributes() & plain, 0)
}
