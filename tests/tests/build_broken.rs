//! Builds that are broken off, and what they may take of the host.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use wharf_tests::{TestDaemon, until};

/// A step that is cached, and one that only ends when it is ended.
const ENDLESS: &str =
    "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid >/id\nRUN echo began; exec sleep 4321\n";

/// The kernel deletes links some time after their namespace.
fn nothing_left(daemon: &TestDaemon) {
    let gone = until(Duration::from_secs(20), || daemon.leftovers().is_empty());
    assert!(gone, "{:?}", daemon.leftovers());
}

/// Starts a build and waits until its last step runs.
fn begin(daemon: &TestDaemon) -> Child {
    let folder = daemon.context(ENDLESS, &[]);
    let mut client = daemon.command(&["build", "--progress", "plain", folder.to_str().unwrap()]);
    let mut client = client.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(client.stderr.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with(" began")));
    client
}

/// The step before is cached, and the same can be built to its end.
fn usable(daemon: &TestDaemon) {
    let folder = daemon.context(&ENDLESS.replace("exec sleep 4321", "true"), &[]);
    let built = daemon.build(&folder, &["-t", "again"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    assert_eq!(built.cached(), ["[2/3] RUN cat /proc/sys/kernel/random/uuid >/id"]);
    assert_eq!(daemon.run(&["run", "--rm", "again", "wc", "-l", "/id"]), "1 /id");
    assert_eq!(daemon.run(&["system", "check"]), "No problems found");
}

#[test]
fn an_interrupt_ends_a_build() {
    let daemon = TestDaemon::start("buildint");
    let mut client = begin(&daemon);
    kill_process(Pid::from_child(&client), Signal::INT).unwrap();
    assert!(!client.wait().unwrap().success());
    nothing_left(&daemon);
    usable(&daemon);
}

#[test]
fn a_build_ends_with_its_engine() {
    let mut daemon = TestDaemon::start("buildkill");
    let mut client = begin(&daemon);
    daemon.kill();
    assert!(!client.wait().unwrap().success());
    daemon.launch();
    nothing_left(&daemon);
    let temporary = daemon.data().join("build/temp");
    assert_eq!(fs::read_dir(temporary).into_iter().flatten().count(), 0);
    usable(&daemon);
}

#[test]
fn a_large_context_takes_little_memory() {
    let daemon = TestDaemon::start("buildmemory");
    let folder = daemon.context("FROM busybox\nCOPY . /all/\n", &[]);
    let mut random = fs::File::open("/dev/urandom").unwrap().take(16 << 20);
    let mut block = Vec::new();
    random.read_to_end(&mut block).unwrap();
    for number in 0..8 {
        let mut file = fs::File::create(folder.join(format!("large-{number}"))).unwrap();
        file.write_all(&block).unwrap();
        // Each is another file.
        file.write_all(&[number]).unwrap();
    }
    for number in 0..2000 {
        fs::write(folder.join(format!("small-{number}")), [0; 100]).unwrap();
    }
    let most = || {
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = most();
    let built = daemon.build(&folder, &["-t", "large"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    let more = (most() - before) / 1024;
    assert!(more < 48, "the engine took {more} MiB more for 128 MiB of files");
}

#[test]
fn names_in_contexts_may_be_strange() {
    use std::os::unix::ffi::OsStrExt;
    let daemon = TestDaemon::start("buildnames");
    let folder =
        daemon.context("FROM busybox\nCOPY . /all/\nRUN ls -b /all | wc -l; ls /all/-n\n", &[("-n", "")]);
    for name in ["new\nline", "tab\t", "quote\"", "back\\slash", "*", "[a]", "$x", "ü", " ", "#", "--flag=x"]
    {
        fs::write(folder.join(name), "").unwrap();
    }
    fs::write(folder.join("l".repeat(255)), "").unwrap();
    std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap();
    let deep = folder.join(vec!["d".repeat(200); 15].join("/"));
    fs::create_dir_all(deep).unwrap();
    let built = daemon.build(&folder, &["-t", "names"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    assert!(built.stderr.contains("/all/-n"), "{}", built.stderr);
    let count = "cd /all; find . -mindepth 1 -maxdepth 1 -print0 | tr -dc '\\000' | wc -c";
    assert_eq!(daemon.run(&["run", "--rm", "names", "sh", "-c", count]), "15");
    fs::write(folder.join(std::ffi::OsStr::from_bytes(b"not \xff text")), "").unwrap();
    let refused = daemon.build(&folder, &[]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("in the context is not UTF-8"), "{}", refused.stderr);
}
