//! The death of the engine: nothing of a container may notice.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{fs, time::Duration};

use wharf_tests::{TestDaemon, until};

const CONTAINERS: usize = 10;
const ROUNDS: usize = 20;

/// Ten containers write numbered lines while the engine is killed and started again, twenty times. Some end while
/// it is away.
#[test]
fn killing_the_engine_loses_no_line_and_no_exit_code() {
    let mut daemon = TestDaemon::start("kill");
    let names: Vec<_> = (0..CONTAINERS).map(|n| format!("w{n}")).collect();
    for name in &names {
        let script = "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo line $i; usleep 2000; done; echo last $i; exit 33";
        daemon.run(&["run", "-d", "--name", name, "busybox", "sh", "-c", script]);
    }
    for round in 0..ROUNDS {
        let brief = format!("brief{round}");
        daemon.run(&["run", "-d", "--name", &brief, "busybox", "sh", "-c", "sleep 0.2; exit 5"]);
        daemon.kill();
        // Let the brief one end while nobody is there to hear of it.
        std::thread::sleep(Duration::from_millis(300));
        daemon.launch();
        let format = "{{.State.Status}} {{.State.ExitCode}}";
        // On a busy machine it may still have been running when the engine came back.
        let ended = || daemon.run(&["inspect", "-f", format, &brief]) == "exited 5";
        assert!(until(Duration::from_secs(10), ended), "round {round}");
        let running = daemon.run(&["ps", "--format", "{{.Names}}"]);
        assert_eq!(running.lines().count(), CONTAINERS, "round {round}: {running}");
        let name = &names[round % CONTAINERS];
        assert_eq!(daemon.run(&["exec", name, "echo", "here"]), "here");
    }
    for name in &names {
        // The container may end, and all that runs in it, before `touch` has.
        daemon.wharf(&["exec", name, "touch", "/stop"]);
    }
    for name in &names {
        assert_eq!(daemon.run(&["wait", name]), "33");
        let log = daemon.run(&["logs", name]);
        let lines: Vec<_> = log.lines().collect();
        let last: usize = lines.last().unwrap().strip_prefix("last ").unwrap().parse().unwrap();
        assert_eq!(lines.len(), last + 1, "{name}: lines are missing or doubled");
        for (index, line) in lines[..last].iter().enumerate() {
            assert_eq!(*line, format!("line {}", index + 1), "{name}");
        }
    }
}

#[test]
fn an_adopted_container_can_be_attached_followed_and_stopped() {
    let mut daemon = TestDaemon::start("adopt");
    daemon.run(&[
        "run",
        "-d",
        "--name",
        "aa",
        "busybox",
        "sh",
        "-c",
        "trap 'echo bye; exit 3' TERM; while :; do echo tick; sleep 0.1; done",
    ]);
    daemon.kill();
    daemon.launch();
    let mut attached =
        daemon.command(&["attach", "--no-stdin", "aa"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let followed =
        daemon.command(&["logs", "-f", "aa"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(400));
    daemon.run(&["stop", "aa"]);
    assert_eq!(attached.wait().unwrap().code(), Some(3));
    let followed = String::from_utf8(followed.wait_with_output().unwrap().stdout).unwrap();
    assert!(followed.contains("tick\n") && followed.ends_with("bye\n"), "{followed}");
    assert_eq!(daemon.run(&["inspect", "-f", "{{.State.ExitCode}}", "aa"]), "3");
}

#[test]
fn what_a_crash_leaves_is_swept() {
    let mut daemon = TestDaemon::start("sweep");
    daemon.run(&["create", "--name", "kept", "busybox", "true"]);
    daemon.kill();
    // As left by an engine that died between making a folder and its row.
    let orphan = "0".repeat(63) + "a";
    fs::create_dir_all(daemon.data().join("containers").join(&orphan)).unwrap();
    fs::create_dir_all(daemon.folder.join("exec/monitors").join(&orphan)).unwrap();
    daemon.launch();
    assert!(until(Duration::from_secs(5), || !daemon.leftovers().iter().any(|left| left.contains(&orphan))));
    assert_eq!(daemon.run(&["ps", "-a", "--format", "{{.Names}}"]), "kept");
}

#[test]
fn always_comes_back_after_the_engine_and_unless_stopped_stays_stopped() {
    let mut daemon = TestDaemon::start("policy");
    daemon.run(&["run", "-d", "--name", "always", "--restart", "always", "busybox", "sleep", "1000"]);
    daemon.run(&["run", "-d", "--name", "unless", "--restart", "unless-stopped", "busybox", "sleep", "1000"]);
    daemon.run(&["stop", "-t", "0", "always", "unless"]);
    daemon.stop();
    daemon.launch();
    let state = |name: &str| daemon.run(&["inspect", "-f", "{{.State.Status}}", name]);
    assert!(until(Duration::from_secs(5), || state("always") == "running"));
    assert_eq!(state("unless"), "exited");
}
