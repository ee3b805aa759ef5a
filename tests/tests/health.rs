//! Health checks: probes, what their results make of a container, and what clients see of them.

#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use wharf_tests::{TestDaemon, until};

const SOON: Duration = Duration::from_secs(10);

fn health(daemon: &TestDaemon, name: &str) -> String {
    daemon.run(&["inspect", "-f", "{{with .State.Health}}{{.Status}}{{else}}none{{end}}", name])
}

#[test]
fn probes_decide_about_the_health() {
    let mut daemon = TestDaemon::start("health");
    let check = "test -e /ok && echo fine";
    daemon.run(&[
        "run",
        "-d",
        "--name",
        "box",
        "--health-cmd",
        check,
        "--health-interval",
        "200ms",
        "--health-retries",
        "2",
        "busybox",
        "sh",
        "-c",
        "touch /ok; exec sleep 1000",
    ]);
    assert!(until(SOON, || health(&daemon, "box") == "healthy"));
    let last = "{{.State.Health.FailingStreak}} {{(index .State.Health.Log 0).Output}}{{json .ExecIDs}}";
    assert_eq!(daemon.run(&["inspect", "-f", last, "box"]), "0 fine\nnull");
    assert!(daemon.run(&["ps", "--format", "{{.Status}}"]).ends_with(" (healthy)"));

    daemon.kill();
    daemon.launch();
    assert_eq!(health(&daemon, "box"), "healthy");
    daemon.run(&["exec", "box", "rm", "/ok"]);
    assert!(until(SOON, || health(&daemon, "box") == "unhealthy"));
    assert_eq!(daemon.run(&["ps", "--filter", "health=unhealthy", "--format", "{{.Names}}"]), "box");
    assert_eq!(daemon.run(&["ps", "-q", "--filter", "health=healthy"]), "");
    let events = daemon.run(&[
        "events",
        "--since",
        "1m",
        "--until",
        "0s",
        "--filter",
        "event=health_status",
        "--format",
        "{{.Action}}",
    ]);
    assert_eq!(events, "health_status: unhealthy");
    daemon.run(&["restart", "-t", "0", "box"]);
    assert!(until(SOON, || health(&daemon, "box") == "healthy"));
    daemon.run(&["rm", "-f", "box"]);
    assert!(until(SOON, || daemon.leftovers().is_empty()), "{:?}", daemon.leftovers());
}

#[test]
fn a_probe_that_takes_too_long_has_failed() {
    let daemon = TestDaemon::start("healthlate");
    daemon.run(&[
        "run",
        "-d",
        "--name",
        "late",
        "--health-cmd",
        "echo begun; exec sleep 1000",
        "--health-interval",
        "100ms",
        "--health-timeout",
        "300ms",
        "--health-retries",
        "1",
        "busybox",
        "sleep",
        "1000",
    ]);
    assert!(until(SOON, || health(&daemon, "late") == "unhealthy"));
    let log = "{{with index .State.Health.Log 0}}{{.ExitCode}} {{.Output}}{{end}}";
    let words = daemon.run(&["inspect", "-f", log, "late"]);
    assert_eq!(words, "-1 Health check exceeded timeout (300ms): begun");
    // At most the probe that runs now is there; those that ran out of time were killed.
    let probes = daemon.run(&["exec", "late", "ps", "-o", "args"]);
    assert!(probes.lines().filter(|line| line.contains("sleep 1000")).count() <= 2, "{probes}");
}

#[test]
fn a_check_can_be_switched_off() {
    let daemon = TestDaemon::start("healthoff");
    daemon.run(&["run", "-d", "--name", "off", "--no-healthcheck", "busybox", "sleep", "1000"]);
    assert_eq!(daemon.run(&["inspect", "-f", "{{json .Config.Healthcheck}}", "off"]), r#"{"Test":["NONE"]}"#);
    assert_eq!(health(&daemon, "off"), "none");
    assert_eq!(daemon.run(&["ps", "-q", "--filter", "health=none"]).lines().count(), 1);
}
