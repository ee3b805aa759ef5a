//! What is refused, in Docker's words and with its exit codes, and leaves nothing behind.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{fs, net::TcpListener, process::Command, time::Duration};

use wharf_tests::{TestDaemon, until, write_tar};

fn fails(daemon: &TestDaemon, args: &[&str], code: i32, words: &str) {
    let output = daemon.wharf(args);
    assert_eq!(output.code, code, "{args:?}: {} {}", output.stdout, output.stderr);
    assert!(output.stderr.contains(words), "{args:?}: expected {words:?} in {:?}", output.stderr);
}

#[test]
fn refusals_of_run_leave_nothing_behind() {
    let daemon = TestDaemon::start("badrun");
    let run = |args: &[&str], code, words| fails(&daemon, &[&["run", "--rm"], args].concat(), code, words);
    run(&["busybox", "nosuchcmd"], 127, "exec: \"nosuchcmd\": executable file not found in $PATH");
    run(&["busybox", "/etc/passwd"], 126, "permission denied");
    run(&["busybox", "/nosuch"], 127, "no such file or directory");
    run(&["--pull", "never", "nosuch/image"], 125, "No such image: nosuch/image:latest");
    run(&["busybox:bad:tag"], 125, "invalid reference format");
    run(&["--name", "x", "busybox"], 125, "Invalid container name (x)");
    run(
        &["-u", "nosuch", "busybox", "true"],
        125,
        "unable to find user nosuch: no matching entries in passwd file",
    );
    run(&["-m", "1m", "busybox"], 125, "Minimum memory limit allowed is 6MB");
    run(&["--nosuchflag", "busybox"], 125, "unknown flag: --nosuchflag");
    run(&["--network", "nosuchnet", "busybox", "true"], 125, "network nosuchnet not found");
    run(&["-v", "/a:relative", "busybox"], 125, "mount path must be absolute");
    run(&["--log-opt", "max-size=x", "busybox", "true"], 125, "invalid size: 'x'");
    run(&["--entrypoint", "", "busybox"], 125, "no command specified");
    assert_eq!(daemon.run(&["ps", "-aq"]), "");
    assert!(until(Duration::from_secs(5), || daemon.leftovers().is_empty()), "{:?}", daemon.leftovers());
}

#[test]
fn names_and_ports_conflict() {
    let daemon = TestDaemon::start("conflict");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    daemon.run(&["create", "--name", "one", "busybox", "true"]);
    fails(&daemon, &["create", "--name", "one", "busybox"], 1, "is already in use by container");
    let publish = format!("127.0.0.1:{port}:80");
    fails(&daemon, &["run", "--rm", "-p", &publish, "busybox", "true"], 125, "address already in use");
    drop(taken);
    daemon.run(&["run", "-d", "--name", "holder", "-p", &publish, "busybox", "sleep", "1000"]);
    fails(&daemon, &["run", "--rm", "-p", &publish, "busybox", "true"], 125, "port is already allocated");
    daemon.run(&["rm", "-f", "holder"]);
    daemon.run(&["run", "--rm", "-p", &publish, "busybox", "true"]);
}

#[test]
fn archives_that_are_none_or_hostile_are_refused() {
    let daemon = TestDaemon::start("archive");
    let import = |name: &str, data: &[u8]| {
        let path = daemon.folder.join(name);
        fs::write(&path, data).unwrap();
        daemon.wharf(&["import", path.to_str().unwrap(), "hostile"])
    };
    let output = import("junk.tar", b"junk\n");
    assert!(output.code != 0 && output.stderr.contains("unexpected EOF"), "{output:?}");
    let mut climbing = write_tar(&[("xx/escaped", b"no", 0o644)]);
    climbing[..2].copy_from_slice(b"..");
    fix_checksum(&mut climbing);
    let output = import("climb.tar", &climbing);
    assert_ne!(output.code, 0, "{output:?}");
    let mut cut = write_tar(&[("file", &[7; 4096], 0o644)]);
    cut.truncate(2000);
    assert_ne!(import("cut.tar", &cut).code, 0);
    assert!(!daemon.data().join("escaped").exists());
    assert_eq!(daemon.run(&["images", "-q", "hostile"]), "");
}

/// Recomputes the checksum of the first header after a change.
fn fix_checksum(tar: &mut [u8]) {
    tar[148..156].fill(b' ');
    let sum: u32 = tar[..512].iter().map(|byte| u32::from(*byte)).sum();
    tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[test]
fn without_an_engine_or_permission_the_client_says_so() {
    let daemon = TestDaemon::start("absent");
    let output =
        daemon.command(&["ps"]).env("DOCKER_HOST", "unix:///nonexistent/wharf.sock").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("Cannot connect to the Docker daemon at unix:///nonexistent/wharf.sock. Is the docker daemon running?"), "{words}");
    let program = daemon.command(&["ps"]).get_program().to_owned();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"])
        .arg(program)
        .args(["-H", &daemon.host(), "ps"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("permission denied while trying to connect to"), "{words}");
}
