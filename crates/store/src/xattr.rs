//! Extended attributes of things that may be anything, by path and without following links.

use std::os::fd::AsFd;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

/// Name and value.
pub(crate) type Xattr = (Vec<u8>, Vec<u8>);

/// All attributes of a file ordered by name, but those by which overlayfs steers itself. A file system without any has none.
pub(crate) fn list(path: &[u8]) -> Result<Vec<Xattr>, Errno> {
    collect(
        |buffer| rustix::fs::llistxattr(path, buffer),
        |name, buffer| rustix::fs::lgetxattr(path, name, buffer),
    )
}

/// [`list`] of an open file, which is less work.
pub(crate) fn list_open(file: impl AsFd) -> Result<Vec<Xattr>, Errno> {
    let file = file.as_fd();
    collect(
        |buffer| rustix::fs::flistxattr(file, buffer),
        |name, buffer| rustix::fs::fgetxattr(file, name, buffer),
    )
}

fn collect(
    names: impl FnMut(&mut [u8]) -> Result<usize, Errno>,
    value: impl Fn(&[u8], &mut [u8]) -> Result<usize, Errno>,
) -> Result<Vec<Xattr>, Errno> {
    let names = match read(names) {
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for name in names.split(|&b| b == 0).filter(|name| !name.is_empty()) {
        if is_overlay(name) {
            continue;
        }
        match read(|buffer| value(name, buffer)) {
            Ok(value) => found.push((name.to_vec(), value)),
            // Removed meanwhile, or not for us to read.
            Err(Errno::NODATA | Errno::NOTSUP | Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    // The order the file system has them in is its own.
    found.sort_unstable();
    Ok(found)
}

/// The attribute `security.capability` of a file.
pub(crate) fn capability(path: &[u8]) -> Option<Vec<u8>> {
    read(|buffer| rustix::fs::lgetxattr(path, "security.capability", buffer)).ok()
}

/// Sets attributes; one the file system or the kernel does not want is left out.
pub(crate) fn set(path: &[u8], xattrs: &[Xattr]) -> Result<(), Errno> {
    for (name, value) in xattrs {
        match rustix::fs::lsetxattr(path, name.as_slice(), value, XattrFlags::empty()) {
            Ok(()) | Err(Errno::NOTSUP | Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Whether an attribute belongs to overlayfs.
pub(crate) fn is_overlay(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}

/// Calls with growing buffers until the value fits.
fn read(mut call: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; 256];
    loop {
        match call(&mut buffer) {
            Ok(len) => {
                buffer.truncate(len);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if buffer.len() < 1 << 17 => buffer.resize(buffer.len() * 4, 0),
            Err(errno) => return Err(errno),
        }
    }
}
