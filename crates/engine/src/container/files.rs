//! The files the engine makes for every run: `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// Writes `text` to `folder/name` in place: the file is bind-mounted into the container, so its inode must stay.
///
/// # Errors
/// The file system's refusal, naming the file.
pub(super) fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, text).map_err(|error| Error::io("open", &path, error))?;
    Ok(path)
}

/// Writes `/etc/resolv.conf` unless the user has edited what was generated before.
///
/// # Errors
/// The file system's refusal, naming the file.
pub(super) fn write_resolv_conf(folder: &Path, text: &str) -> Result<PathBuf> {
    let path = folder.join("resolv.conf");
    let hash = folder.join("resolv.conf.hash");
    let digest = |text: &[u8]| wharf_oci::Digest::sha256(text).to_string();
    let generated = fs::read_to_string(&hash).ok();
    let edited = match (fs::read(&path), generated) {
        (Ok(present), Some(generated)) => digest(&present) != generated,
        _ => false,
    };
    if !edited {
        write(folder, "resolv.conf", text)?;
        write(folder, "resolv.conf.hash", &digest(text.as_bytes()))?;
    }
    Ok(path)
}

/// Reads a file of the host; a missing one is empty.
///
/// # Errors
/// Any other failure to read it.
pub(super) fn read_host(path: &str) -> io::Result<String> {
    match fs::read(path) {
        Ok(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}
