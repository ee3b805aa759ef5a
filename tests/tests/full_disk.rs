//! An engine whose data root has no room left.

#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use wharf_tests::{Archive, Registry, SmallDisk, TestDaemon, until};

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(step).take(length).collect()
}

#[test]
fn a_pull_that_does_not_fit_says_so_and_gives_the_space_back() {
    let mut daemon = TestDaemon::start("full");
    let registry = Registry::start(&daemon.folder);
    let large = registry.push(&Archive::busybox_with("large", &noise(40 << 20)), "large:1");
    let small = registry.push(&Archive::busybox("small"), "small:1");
    daemon.stop();
    let disk = SmallDisk::mount(&daemon.data(), 24);
    daemon.launch();
    let before = disk.used();
    for _ in 0..2 {
        let output = daemon.wharf(&["pull", &large]);
        assert_eq!(output.code, 1, "{}", output.stdout);
        assert!(output.stderr.contains("no space left on device"), "{}", output.stderr);
        let given_back = || disk.used() < before + 2048;
        assert!(until(Duration::from_secs(20), given_back), "{} KB of {before}", disk.used());
        assert_eq!(daemon.run(&["images", "-q"]), "");
    }
    // There is room for what fits, at once.
    daemon.run(&["pull", &small]);
    assert_eq!(daemon.run(&["images", "--format", "{{.Repository}}"]), small.trim_end_matches(":1"));
    daemon.stop();
}

#[test]
fn a_load_that_does_not_fit_says_so_and_gives_the_space_back() {
    let mut daemon = TestDaemon::start("fullload");
    let file = |name: &str, content: &[u8]| {
        let path = daemon.folder.join(format!("{name}.tar"));
        std::fs::write(&path, Archive::busybox_with(name, content).to_tar(&format!("{name}:1"))).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (large, small) = (file("large", &noise(40 << 20)), file("small", b""));
    daemon.stop();
    let disk = SmallDisk::mount(&daemon.data(), 24);
    daemon.launch();
    let before = disk.used();
    for _ in 0..2 {
        let output = daemon.wharf(&["load", "-i", &large]);
        assert_eq!(output.code, 1, "{}", output.stdout);
        assert!(output.stderr.contains("no space left on device"), "{}", output.stderr);
        let given_back = || disk.used() < before + 2048;
        assert!(until(Duration::from_secs(20), given_back), "{} KB of {before}", disk.used());
        assert_eq!(daemon.run(&["images", "-aq"]), "");
    }
    daemon.run(&["load", "-q", "-i", &small]);
    assert_eq!(daemon.run(&["run", "--rm", "small:1"]), "small");
    daemon.stop();
}
