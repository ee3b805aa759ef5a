//! What is left on the disk when nothing is wanted any more, and whether what is said of it is true.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{fs, os::unix::fs::MetadataExt, path::Path, time::Duration};

use serde_json::Value;
use wharf_tests::{Archive, TestDaemon, until};

/// Bytes of disk space below a folder, as `du` counts them.
fn disk_usage(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    let below = fs::read_dir(path).into_iter().flatten().flatten();
    metadata.blocks() * 512 + below.map(|entry| disk_usage(&entry.path())).sum::<u64>()
}

#[test]
fn nothing_is_left_of_what_is_pruned() {
    let daemon = TestDaemon::start("prune");
    let archive = daemon.folder.join("image.tar");
    fs::write(&archive, Archive::busybox_with("one", &vec![7; 5 << 20]).to_tar("one:1")).unwrap();
    daemon.run(&["load", "-q", "-i", archive.to_str().unwrap()]);
    let context = daemon.folder.join("context");
    fs::create_dir(&context).unwrap();
    let dockerfile =
        "FROM one:1\nRUN dd if=/dev/zero of=/big bs=1M count=4 && echo 1 >/etc/one\nVOLUME /data\n";
    fs::write(context.join("Dockerfile"), dockerfile).unwrap();
    daemon.run(&["build", "-q", "-t", "two:1", context.to_str().unwrap()]);
    daemon.run(&["run", "two:1", "dd", "if=/dev/zero", "of=/data/x", "bs=1M", "count=3"]);
    assert!(disk_usage(&daemon.data()) > 12 << 20);
    let said = daemon.run(&["system", "prune", "-af", "--volumes"]);
    for title in
        ["Deleted Containers:", "Deleted Volumes:", "Deleted Images:", "Deleted build cache objects:"]
    {
        assert!(said.contains(title), "{said}");
    }
    let left = || disk_usage(&daemon.data());
    assert!(until(Duration::from_secs(30), || left() <= 2 << 20), "{} bytes are left", left());
}

#[test]
fn sizes_are_those_of_the_disk() {
    let daemon = TestDaemon::start("dfsizes");
    let archive = daemon.folder.join("image.tar");
    let image = Archive::busybox_with("one", &vec![7; 12 << 20]);
    fs::write(&archive, image.to_tar("one:1")).unwrap();
    daemon.run(&["load", "-q", "-i", archive.to_str().unwrap()]);
    daemon.run(&["volume", "create", "data"]);
    let write = "dd if=/dev/zero of=/data/x bs=1M count=9 && dd if=/dev/zero of=/own bs=1M count=7";
    daemon.run(&["run", "--name", "writer", "-v", "data:/data", "one:1", "sh", "-c", write]);
    let usage: Value =
        serde_json::from_str(&daemon.run(&["system", "df", "-v", "--format", "json"])).unwrap();
    let bytes = |kind: &str, name: &str, field: &str| {
        let all = usage[kind].as_array().unwrap();
        let one = all.iter().find(|one| one.to_string().contains(&format!("\"{name}\""))).unwrap();
        let (text, unit) = {
            let text = one[field].as_str().unwrap().split(' ').next().unwrap();
            text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap())
        };
        text.parse::<f64>().unwrap()
            * match unit {
                "B" => 1.,
                "kB" => 1e3,
                "MB" => 1e6,
                _ => 1e9,
            }
    };
    let close = |said: f64, real: u64| {
        assert!((said - real as f64).abs() <= real as f64 / 100., "{said} is said and {real} is there");
    };
    close(bytes("Volumes", "data", "Size"), disk_usage(&daemon.data().join("volumes/data")));
    close(bytes("Containers", "writer", "Size"), 7 << 20);
    // All that the folders of layers and containers hold is what images and containers are said to have.
    let said = bytes("Images", "one", "Size")
        + bytes("Images", "busybox", "Size")
        + bytes("Containers", "writer", "Size");
    close(said, disk_usage(&daemon.data().join("snapshots")));
}
