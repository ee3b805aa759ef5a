//! The life of containers through the command line.

#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use wharf_tests::{TestDaemon, until};

#[test]
fn run_passes_output_and_exit_code() {
    let daemon = TestDaemon::start("run");
    let output = daemon.wharf(&["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str(), output.code), ("out\n", "err\n", 7));
    assert_eq!(daemon.run(&["ps", "-aq"]), "");
    assert!(until(Duration::from_secs(5), || daemon.leftovers().is_empty()), "{:?}", daemon.leftovers());
}

#[test]
fn a_container_lives_from_create_to_removal() {
    let daemon = TestDaemon::start("life");
    let id =
        daemon.run(&["create", "--name", "box", "-e", "A=b", "busybox", "sh", "-c", "echo $A; sleep 1000"]);
    assert_eq!(daemon.run(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]), "box created");
    daemon.run(&["start", "box"]);
    assert!(until(Duration::from_secs(5), || daemon.run(&["logs", "box"]) == "b"));
    assert_eq!(daemon.run(&["inspect", "-f", "{{.Id}} {{.State.Running}}", "box"]), format!("{id} true"));
    assert_eq!(daemon.run(&["exec", "box", "sh", "-c", "echo $A$HOSTNAME"]), format!("b{}", &id[..12]));
    daemon.run(&["stop", "-t", "0", "box"]);
    assert_eq!(daemon.run(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "box"]), "exited 137");
    daemon.run(&["rename", "box", "crate"]);
    daemon.run(&["rm", "crate"]);
    assert_eq!(daemon.run(&["ps", "-aq"]), "");
}

#[test]
fn changes_stay_in_the_containers_layer() {
    let daemon = TestDaemon::start("layer");
    daemon.run(&["run", "--name", "aa", "busybox", "sh", "-c", "echo one >/x; rm -f /etc/group"]);
    assert_eq!(daemon.wharf(&["run", "--rm", "busybox", "cat", "/x"]).code, 1);
    daemon.run(&["run", "--rm", "busybox", "test", "-e", "/etc/group"]);
    assert_eq!(daemon.run(&["start", "-a", "aa"]), "");
}

#[test]
fn output_is_complete_whatever_its_size() {
    let daemon = TestDaemon::start("bulk");
    let output = daemon.wharf(&["run", "--rm", "busybox", "seq", "1", "200000"]);
    assert_eq!(output.stdout.lines().count(), 200_000);
    assert!(output.stdout.ends_with("\n200000\n"));
}

#[test]
fn several_engines_live_side_by_side() {
    let (one, two) = (TestDaemon::start("sideone"), TestDaemon::start("sidetwo"));
    one.run(&["run", "-d", "--name", "same", "busybox", "sleep", "1000"]);
    two.run(&["run", "-d", "--name", "same", "busybox", "sleep", "1000"]);
    assert_eq!(one.run(&["ps", "-q"]).lines().count(), 1);
    assert_eq!(two.run(&["ps", "-q"]).lines().count(), 1);
}
