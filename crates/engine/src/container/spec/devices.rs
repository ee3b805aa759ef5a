//! Device nodes: those of `--device`, and all of the host's for `--privileged`.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use rustix::fs::{major, minor};
use wharf_oci::runtime::{LinuxDevice, LinuxDeviceBuilder, LinuxDeviceType};

use crate::{Error, Result};

/// Describes the device node `host_path` under the name `container_path`. A folder stands for all nodes in it.
///
/// # Errors
/// The path does not exist or is no device, in Docker's words.
pub(crate) fn host_device(host_path: &str, container_path: &str) -> Result<Vec<LinuxDevice>> {
    let path = Path::new(host_path);
    let failed = |words: &str| {
        Error::system(format!(
            "error gathering device information while adding custom device {host_path:?}: {words}"
        ))
    };
    let metadata = fs::metadata(path).map_err(|error| failed(&crate::error::io_words(&error)))?;
    if metadata.is_dir() {
        let mut found = Vec::new();
        collect(path, Path::new(container_path), &mut found).map_err(|error| failed(&error.to_string()))?;
        return Ok(found);
    }
    let device =
        describe(&metadata, PathBuf::from(container_path)).ok_or_else(|| failed("not a device node"))?;
    Ok(vec![device])
}

/// All device nodes of the host, except the terminals and what every container has anyway.
///
/// # Errors
/// `/dev` cannot be read.
pub(crate) fn host_devices() -> io::Result<Vec<LinuxDevice>> {
    let mut found = Vec::new();
    collect(Path::new("/dev"), Path::new("/dev"), &mut found)?;
    Ok(found)
}

fn collect(folder: &Path, inside: &Path, found: &mut Vec<LinuxDevice>) -> io::Result<()> {
    // Made anew in every container.
    const OWN: [&str; 10] =
        ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console", "ptmx", "core"];
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if OWN.iter().any(|own| name == *own) {
            continue;
        }
        let Ok(metadata) = fs::symlink_metadata(entry.path()) else { continue };
        if metadata.is_dir() {
            collect(&entry.path(), &inside.join(&name), found)?;
        } else if let Some(device) = describe(&metadata, inside.join(&name)) {
            found.push(device);
        }
    }
    Ok(())
}

fn describe(metadata: &fs::Metadata, path: PathBuf) -> Option<LinuxDevice> {
    let kind = metadata.file_type();
    let typ = match (kind.is_char_device(), kind.is_block_device()) {
        (true, _) => LinuxDeviceType::C,
        (_, true) => LinuxDeviceType::B,
        _ => return None,
    };
    LinuxDeviceBuilder::default()
        .path(path)
        .typ(typ)
        .major(i64::from(major(metadata.rdev())))
        .minor(i64::from(minor(metadata.rdev())))
        .file_mode(metadata.mode() & 0o7777)
        .uid(metadata.uid())
        .gid(metadata.gid())
        .build()
        .ok()
}
