//! The death of the engine while images come and go: what is there afterwards is whole, and nothing else is left.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{fs, process::Child, thread, time::Duration};

use wharf_tests::{Archive, Registry, TestDaemon, until};

const ROUNDS: u64 = 30;

/// Numbers without a pattern, the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Bytes that differ by image, so that each has a layer of its own.
fn filler(seed: u64) -> Vec<u8> {
    let mut dice = Dice(seed);
    (0..256 << 10).map(|_| dice.below(256) as u8).collect()
}

#[test]
fn an_engine_that_is_killed_at_any_moment_has_whole_images_only() {
    let mut daemon = TestDaemon::start("crashimg");
    let registry = Registry::start(&daemon.folder);
    let pulled: Vec<String> = (0..3)
        .map(|n| registry.push(&Archive::busybox_with("whole", &filler(n)), &format!("pulled:{n}")))
        .collect();
    let archive = daemon.folder.join("loaded.tar");
    fs::write(&archive, Archive::busybox_with("whole", &filler(9)).to_tar("loaded:1")).unwrap();
    daemon.run(&["run", "--name", "kept", "busybox", "sh", "-c", "echo kept >/file"]);
    let mut dice = Dice(7);
    for round in 0..ROUNDS {
        let target = format!("committed:{round}");
        let archive = archive.to_str().unwrap();
        let image = pulled[dice.below(3) as usize].as_str();
        let verbs: [&[&str]; 6] = [
            &["pull", "-q", image],
            &["load", "-q", "-i", archive],
            &["rmi", "-f", image, "loaded:1"],
            &["image", "prune", "-af"],
            &["commit", "kept", &target],
            &["pull", "-q", &pulled[0]],
        ];
        let start = |verb: u64| daemon.command(verbs[verb as usize]).spawn().unwrap();
        let clients: Vec<Child> = (0..3).map(|_| start(dice.below(6))).collect();
        // Any moment is as good: there is no event to wait for.
        thread::sleep(Duration::from_millis(dice.below(400)));
        daemon.kill();
        for mut client in clients {
            client.wait().unwrap();
        }
        daemon.launch();
        let check = daemon.wharf(&["system", "check"]);
        assert_eq!(check.code, 0, "round {round}: {}\n{}", check.stdout, daemon.log());
        let names = daemon.run(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
        for name in names.lines().filter(|name| name.contains("/pulled:") || name.starts_with("loaded:")) {
            assert_eq!(daemon.run(&["run", "--rm", name]), "whole", "round {round}: {name}");
        }
    }
    let temporary = daemon.folder.join("file");
    daemon.run(&["cp", "kept:/file", temporary.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(temporary).unwrap(), "kept\n");
    daemon.run(&["rm", "kept"]);
    daemon.run(&["system", "prune", "-af", "--volumes"]);
    for folder in ["snapshots", "content", "trash"] {
        // The layer of the mount points of containers stays.
        let left = || fs::read_dir(daemon.data().join(folder)).unwrap().count();
        assert!(
            until(Duration::from_secs(20), || left() <= usize::from(folder == "snapshots")),
            "{folder}: {}",
            left()
        );
    }
}
