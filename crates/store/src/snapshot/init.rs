//! The init layer: files and mount points that every container has, whatever its image holds.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::trash::{random_name, remove_tree};
use crate::{Error, Result, Store};

/// Name of its folder beside the layers'; with a version, because layers in use are never changed.
pub(crate) const NAME: &str = "init-1";

/// The init layer's files: one for all containers, unlike Docker's, which makes one for each.
pub(crate) fn diff(store: &Store) -> PathBuf {
    store.snapshots_dir().join(NAME).join("diff")
}

/// Makes the layer if it is not there.
pub(crate) fn ensure(store: &Store) -> Result<()> {
    let target = store.snapshots_dir().join(NAME);
    if target.is_dir() {
        return Ok(());
    }
    let temp = store.snapshots_dir().join(format!("tmp-{}", random_name()?));
    let made = build(&temp).and_then(|()| std::fs::rename(&temp, &target));
    made.map_err(|source| {
        let _ = remove_tree(&temp);
        Error::io("create", &target, source)
    })
}

fn build(layer: &Path) -> std::io::Result<()> {
    let root = layer.join("diff");
    for (path, mode) in [
        ("", 0o755),
        ("dev", 0o755),
        ("dev/pts", 0o755),
        ("dev/shm", 0o755),
        ("etc", 0o755),
        ("proc", 0o755),
        ("sys", 0o755),
    ] {
        let path = root.join(path);
        DirBuilder::new().recursive(true).mode(mode).create(&path)?;
        // The process's umask may have taken bits away.
        std::fs::set_permissions(&path, Permissions::from_mode(mode))?;
    }
    for file in [".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf"] {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(root.join(file))?;
        file.set_permissions(Permissions::from_mode(0o755))?;
    }
    symlink("/proc/mounts", root.join("etc/mtab"))
}
