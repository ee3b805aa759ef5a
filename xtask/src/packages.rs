//! What the tests use besides Rust: real peers and small tools, all from Debian.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Result, bail};

use crate::run;

/// Debian packages and a file that tells whether each is installed.
const PACKAGES: &[(&str, &str)] = &[
    ("busybox-static", "/bin/busybox"),
    ("chromium-headless-shell", "/usr/bin/chromium-headless-shell"),
    ("crun", "/usr/bin/crun"),
    ("debootstrap", "/usr/sbin/debootstrap"),
    ("docker-registry", "/usr/bin/docker-registry"),
    ("e2fsprogs", "/sbin/mkfs.ext4"),
    ("gcc", "/usr/bin/cc"),
    ("iproute2", "/sbin/ip"),
    ("nftables", "/usr/sbin/nft"),
    ("openssh-client", "/usr/bin/ssh-agent"),
    ("openssl", "/usr/bin/openssl"),
    ("python3", "/usr/bin/python3"),
    ("python3-docker", "/usr/lib/python3/dist-packages/docker/__init__.py"),
    ("skopeo", "/usr/bin/skopeo"),
];

/// Installs what is missing.
///
/// # Errors
/// Something is missing and cannot be installed here.
pub(crate) fn install() -> Result<()> {
    let mut missing: Vec<_> =
        PACKAGES.iter().filter(|(_, file)| !Path::new(file).exists()).map(|(package, _)| *package).collect();
    if !has("git") {
        missing.push("git");
    }
    let client = has("docker");
    if missing.is_empty() && client {
        return Ok(());
    }
    if !Path::new("/usr/bin/apt-get").exists() {
        if !client {
            missing.push("docker-cli");
        }
        bail!("the tests need {}: install them with your package manager", missing.join(", "));
    }
    apt(&["update", "-qq"])?;
    if !client {
        missing.push(client_package());
    }
    apt(&[&["install", "-y", "-qq", "--no-install-recommends"], missing.as_slice()].concat())
}

/// The package of Docker's command line: its own since Debian 13, before it came with the engine.
fn client_package() -> &'static str {
    let mut command = Command::new("apt-cache");
    command.args(["show", "docker-cli"]).stdout(Stdio::null()).stderr(Stdio::null());
    if command.status().is_ok_and(|status| status.success()) { "docker-cli" } else { "docker.io" }
}

fn apt(args: &[&str]) -> Result<()> {
    let as_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    // The run level keeps services from starting that come with a package: the tests start their own.
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
