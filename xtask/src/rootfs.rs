//! A root file system of a static busybox, for measurements.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::run;

/// Makes the tree in `folder` and its archive at `tar`.
///
/// # Errors
/// busybox-static is not installed, or the file system refuses.
pub(crate) fn write_tar(folder: &Path, tar: &Path) -> Result<()> {
    let busybox = fs::canonicalize("/bin/busybox").context("busybox-static is not installed")?;
    for name in ["bin", "etc", "proc", "sys", "dev", "tmp", "root"] {
        fs::create_dir_all(folder.join(name))?;
    }
    fs::copy(&busybox, folder.join("bin/busybox"))?;
    let applets = Command::new(&busybox).arg("--list").output()?;
    for applet in String::from_utf8(applets.stdout)?.lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", folder.join("bin").join(applet))?;
    }
    fs::write(folder.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    let (folder, tar) = (folder.to_string_lossy(), tar.to_string_lossy());
    run("tar", ["-C", &*folder, "-cf", &*tar, "."])
}
