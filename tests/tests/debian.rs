//! A real distribution: Debian's base system, cached between runs.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::fs::{FlockOperation, flock};
use wharf_tests::TestDaemon;

/// The archive of the root file system; made by `debootstrap` if it is not in the cache.
fn debian() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache =
        cache.unwrap_or_else(|| PathBuf::from(env::var_os("HOME").expect("HOME is set")).join(".cache"));
    let folder = cache.join("wharf-tests");
    fs::create_dir_all(&folder).unwrap();
    let archive = folder.join("bookworm-minbase-python3.tar");
    let lock = fs::File::create(folder.join("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    if !archive.exists() {
        make(&archive);
    }
    archive
}

fn make(archive: &Path) {
    let folder = tempfile::tempdir_in(archive.parent().unwrap()).unwrap();
    let (root, part) = (folder.path().join("root"), folder.path().join("part.tar"));
    // Its own mount namespace: a failure midway leaves no mounts on the host.
    let mut command = Command::new("unshare");
    command
        .args(["-m", "debootstrap", "--variant=minbase", "--include=python3-minimal", "bookworm"])
        .arg(&root);
    let output = command.output().expect("the tests need unshare of util-linux");
    assert!(
        output.status.success(),
        "the tests need debootstrap and a Debian mirror:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let status = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&part).arg(".").status();
    assert!(status.unwrap().success());
    fs::rename(part, archive).unwrap();
}

#[test]
fn debian_runs_its_own_programs() {
    let archive = debian();
    let daemon = TestDaemon::start("debian");
    daemon.run(&["import", archive.to_str().unwrap(), "debian"]);
    let run = |command: &[&str]| daemon.run(&[&["run", "--rm", "debian"], command].concat());
    assert!(run(&["bash", "-c", "echo $BASH_VERSION"]).starts_with("5."));
    assert!(run(&["apt-get", "--version"]).starts_with("apt 2."));
    assert_eq!(run(&["python3", "-c", "print(6*7)"]), "42");
    let user = ["bash", "-c", "useradd -m someone && su someone -c 'echo $(id -un) $HOME'"];
    assert_eq!(run(&user), "someone /home/someone");
    assert_eq!(run(&["dpkg", "--audit"]), "");
    // Ownership, modes and links came over as they are in the archive.
    let stat = ["stat", "-c", "%a %U:%G %F", "/usr/bin/passwd", "/bin", "/tmp", "/etc/shadow"];
    let expected = "4755 root:root regular file\n777 root:root symbolic link\n1777 root:root directory\n\
                    640 root:shadow regular file";
    assert_eq!(run(&stat), expected);
}
