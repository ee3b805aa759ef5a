//! What the tests use besides Rust: real peers and small tools, all from Debian.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Result, bail};

use crate::run;

/// Debian packages and a file that tells whether each is installed.
const PACKAGES: [(&str, &str); 9] = [
    ("busybox-static", "/bin/busybox"),
    ("crun", "/usr/bin/crun"),
    ("debootstrap", "/usr/sbin/debootstrap"),
    ("docker-registry", "/usr/bin/docker-registry"),
    ("gcc", "/usr/bin/cc"),
    ("iproute2", "/sbin/ip"),
    ("nftables", "/usr/sbin/nft"),
    ("python3", "/usr/bin/python3"),
    ("skopeo", "/usr/bin/skopeo"),
];

/// Installs what is missing.
///
/// # Errors
/// Something is missing and cannot be installed here.
pub(crate) fn install() -> Result<()> {
    let missing: Vec<_> =
        PACKAGES.iter().filter(|(_, file)| !Path::new(file).exists()).map(|(package, _)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("the tests need {}: install them with your package manager", missing.join(", "));
    }
    apt(&["update", "-qq"])?;
    apt(&[&["install", "-y", "-qq", "--no-install-recommends"], missing.as_slice()].concat())
}

fn apt(args: &[&str]) -> Result<()> {
    let as_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    // The run level keeps the registry's own service from starting: the tests start theirs.
    let words = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get"];
    if as_root {
        return run(words[0], words[1..].iter().chain(args));
    }
    run("sudo", words.iter().chain(args))
}

/// Whether `program` can be found and run.
pub(crate) fn has(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}
