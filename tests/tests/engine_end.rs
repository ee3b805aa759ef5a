//! What becomes of containers when the engine ends in good order.

#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use wharf_tests::{TestDaemon, until};

/// Says goodbye and ends with 3 when it is asked to end.
const POLITE: &str = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done";

fn state(daemon: &TestDaemon, name: &str) -> String {
    daemon.run(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name])
}

#[test]
fn an_engine_that_is_told_to_end_stops_containers() {
    let mut daemon = TestDaemon::start("endstop");
    for (name, policy) in
        [("plain", "no"), ("always", "always"), ("unless", "unless-stopped"), ("failed", "on-failure")]
    {
        daemon.run(&["run", "-d", "--name", name, "--restart", policy, "busybox", "sh", "-c", POLITE]);
        assert!(until(Duration::from_secs(10), || daemon.run(&["logs", name]) == "up"));
    }
    daemon.run(&["run", "-d", "--name", "deaf", "--stop-timeout", "0", "busybox", "sleep", "1000"]);
    daemon.run(&["run", "-d", "--name", "frozen", "busybox", "sh", "-c", POLITE]);
    assert!(until(Duration::from_secs(10), || daemon.run(&["logs", "frozen"]) == "up"));
    daemon.run(&["pause", "frozen"]);
    daemon.run(&["run", "-d", "--rm", "--name", "brief", "busybox", "sh", "-c", POLITE]);
    assert!(until(Duration::from_secs(10), || daemon.run(&["logs", "brief"]) == "up"));
    daemon.stop();
    assert!(!daemon.log().contains("ERROR"), "{}", daemon.log());
    daemon.launch();
    assert_eq!(state(&daemon, "plain"), "exited 3");
    assert_eq!(daemon.run(&["logs", "plain"]), "up\nbye");
    assert_eq!(state(&daemon, "deaf"), "exited 137");
    assert_eq!(state(&daemon, "frozen"), "exited 3");
    for name in ["always", "unless", "failed"] {
        assert!(until(Duration::from_secs(10), || state(&daemon, name) == "running 0"), "{name}");
    }
    assert!(until(Duration::from_secs(10), || daemon.wharf(&["inspect", "brief"]).code == 1));
}

#[test]
fn live_restore_leaves_containers_alone() {
    let mut daemon = TestDaemon::start("endlive");
    daemon.configure(r#"{"live-restore": true}"#);
    daemon.run(&["run", "-d", "--name", "aa", "busybox", "sh", "-c", POLITE]);
    let pid = daemon.run(&["inspect", "-f", "{{.State.Pid}}", "aa"]);
    daemon.stop();
    daemon.launch();
    assert_eq!(
        daemon.run(&["inspect", "-f", "{{.State.Status}} {{.State.Pid}}", "aa"]),
        format!("running {pid}")
    );
    assert_eq!(daemon.run(&["info", "-f", "{{.LiveRestoreEnabled}}"]), "true");
}

#[test]
fn an_upgrade_is_not_noticed_by_containers() {
    let daemon = TestDaemon::start("endup");
    daemon.run(&["run", "-d", "--name", "aa", "busybox", "sh", "-c", POLITE]);
    let pid = daemon.run(&["inspect", "-f", "{{.State.Pid}}", "aa"]);
    let engine = Pid::from_raw(i32::try_from(daemon.pid()).unwrap()).unwrap();
    kill_process(engine, Signal::USR2).unwrap();
    let ready = || daemon.log().matches("the engine is ready").count() == 2;
    assert!(until(Duration::from_secs(20), ready), "{}", daemon.log());
    assert_eq!(
        daemon.run(&["inspect", "-f", "{{.State.Status}} {{.State.Pid}}", "aa"]),
        format!("running {pid}")
    );
    assert_eq!(daemon.run(&["exec", "aa", "echo", "usable"]), "usable");
    daemon.run(&["run", "--rm", "busybox", "true"]);
}

#[test]
fn the_local_log_driver_keeps_compressed_files() {
    let daemon = TestDaemon::start("loclog");
    let local = ["run", "--name", "aa", "--log-driver", "local", "--log-opt", "max-size=100k", "busybox"];
    daemon.run(&[&local[..], &["seq", "1", "20000"]].concat());
    assert_eq!(daemon.run(&["inspect", "-f", "{{.HostConfig.LogConfig.Type}} {{.LogPath}}", "aa"]), "local");
    let lines = daemon.run(&["logs", "aa"]);
    assert!(lines.ends_with("\n19999\n20000"), "the newest lines are there");
    assert!(lines.lines().count() < 20_000, "old lines were dropped");
    let id = daemon.run(&["inspect", "-f", "{{.Id}}", "aa"]);
    let folder = daemon.data().join("containers").join(id).join("local-logs");
    assert!(folder.join("container.log.1.gz").exists());
    let refused = daemon.wharf(&["create", "--log-driver", "local", "--log-opt", "tag=x", "busybox"]);
    assert_eq!(refused.stderr, "Error response from daemon: unknown log opt 'tag' for log driver local\n");
}
