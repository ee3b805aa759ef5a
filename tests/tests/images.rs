//! Images: made of containers and archives, listed, removed, saved and loaded.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use wharf_tests::{Output, TestDaemon, until, write_tar};

/// A value out of an image's `inspect`.
fn image(daemon: &TestDaemon, name: &str, template: &str) -> String {
    daemon.run(&["image", "inspect", "-f", template, name])
}

#[test]
fn commit_keeps_files_configuration_and_history() {
    let daemon = TestDaemon::start("commit");
    let script = "rm /bin/vi; rm -r /tmp; mkdir /tmp; echo x >/tmp/x; ln /tmp/x /tmp/y; mknod /nul c 1 3; echo v >/vol/f";
    daemon.run(&[
        "run", "--name", "c1", "-v", "/vol", "-l", "x=y", "-e", "FOO=bar", "busybox", "sh", "-c", script,
    ]);
    let changes = ["-c", "ENV A=b", "-c", "CMD cat /tmp/y", "-c", "LABEL x=z"];
    let id = daemon.run(&[&["commit", "-a", "me", "-m", "why"], &changes[..], &["c1", "new:1"]].concat());
    assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
    let config = image(&daemon, "new:1", "{{json .Config.Env}} {{json .Config.Cmd}} {{json .Config.Labels}}");
    assert_eq!(config, r#"["FOO=bar","A=b"] ["/bin/sh","-c","cat /tmp/y"] {"x":"z"}"#);
    assert_eq!(image(&daemon, "new:1", "{{.Author}} {{.Comment}} {{len .RootFS.Layers}}"), "me why 2");
    assert_eq!(image(&daemon, "new:1", "{{.Parent}}"), image(&daemon, "busybox", "{{.Id}}"));
    let history = daemon.run(&["history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", "new:1"]);
    assert_eq!(history.lines().next().unwrap(), format!("sh -c {script}|why"));
    assert_eq!(daemon.run(&["run", "--rm", "new:1"]), "x");
    let check = "test ! -e /bin/vi && test -c /nul && test ! -e /vol/f && test -d /vol && stat -c %h /tmp/x";
    assert_eq!(daemon.run(&["run", "--rm", "new:1", "sh", "-c", check]), "2");
    // Nothing changed, no layer.
    daemon.run(&["create", "--name", "c2", "busybox"]);
    daemon.run(&["commit", "c2", "same"]);
    assert_eq!(image(&daemon, "same", "{{len .RootFS.Layers}}"), "1");
}

#[test]
fn commit_freezes_what_runs_and_refuses_what_it_cannot_do() {
    let daemon = TestDaemon::start("commitrun");
    daemon.run(&["run", "-d", "--name", "busy", "busybox", "sh", "-c", "echo one >/f; exec sleep 1000"]);
    let since = daemon.run(&["info", "-f", "{{.SystemTime}}"]);
    daemon.run(&["commit", "busy", "frozen:1"]);
    daemon.run(&["commit", "--pause=false", "busy"]);
    assert_eq!(daemon.run(&["inspect", "-f", "{{.State.Status}}", "busy"]), "running");
    daemon.run(&["pause", "busy"]);
    daemon.run(&["commit", "busy"]);
    assert_eq!(daemon.run(&["inspect", "-f", "{{.State.Status}}", "busy"]), "paused");
    let until = daemon.run(&["info", "-f", "{{.SystemTime}}"]);
    let events = daemon.run(&["events", "--since", &since, "--until", &until, "--format", "{{.Action}}"]);
    assert_eq!(
        events.lines().collect::<Vec<_>>(),
        ["pause", "tag", "commit", "unpause", "commit", "pause", "commit"]
    );
    for (args, message) in [
        (&["commit", "nosuch"][..], "Error response from daemon: No such container: nosuch"),
        (&["commit", "-c", "RUN x", "busy"], "Error response from daemon: RUN is not a valid change command"),
        (
            &["commit", "-c", "SHELL [\"x\"]", "busy"],
            "Error response from daemon: SHELL is not a valid change command",
        ),
        (
            &["commit", "busy", "UPPER"],
            "invalid reference format: repository name (library/UPPER) must be lowercase",
        ),
    ] {
        let output = daemon.wharf(args);
        assert_eq!((output.code, output.stderr.trim_end()), (1, message));
    }
}

#[test]
fn volumes_of_other_containers() {
    let daemon = TestDaemon::start("volsfrom");
    let script = "echo a >/anon/f; echo n >/named/f";
    daemon.run(&[
        "run",
        "--name",
        "data",
        "-v",
        "/anon",
        "-v",
        "named:/named",
        "busybox",
        "sh",
        "-c",
        script,
    ]);
    daemon.run(&["run", "--name", "again", "--volumes-from", "data", "busybox", "true"]);
    let from = ["run", "--rm", "--volumes-from", "again", "-v", "other:/named", "busybox"];
    assert_eq!(daemon.run(&[&from[..], &["sh", "-c", "cat /anon/f; ls /named"]].concat()), "a");
    let read_only =
        daemon.wharf(&["run", "--rm", "--volumes-from", "data:ro", "busybox", "touch", "/anon/g"]);
    assert_eq!((read_only.code, read_only.stderr.trim()), (1, "touch: /anon/g: Read-only file system"));
    let users = daemon.wharf(&["volume", "rm", "named"]);
    assert!(users.code == 1 && users.stderr.matches(", ").count() == 1, "{users:?}");
    for (value, message) in [("nosuch", "No such container: nosuch"), ("data:bad", "invalid mode: bad")] {
        let refused = daemon.wharf(&["create", "--volumes-from", value, "busybox"]);
        assert!(refused.code == 125 || refused.code == 1, "{refused:?}");
        assert!(refused.stderr.contains(message), "{refused:?}");
    }
}

/// Bytes of everything below a folder.
fn bytes_in(folder: &Path) -> u64 {
    let output = Command::new("du").args(["-s", "-B1"]).arg(folder).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn pruning_everything_leaves_next_to_nothing() {
    let daemon = TestDaemon::start("pruneall");
    daemon.run(&[
        "run",
        "--name",
        "c1",
        "-v",
        "/v",
        "busybox",
        "dd",
        "if=/dev/urandom",
        "of=/f",
        "bs=1M",
        "count=8",
    ]);
    daemon.run(&["run", "--rm", "-v", "kept:/v", "busybox", "true"]);
    for number in 0..60 {
        let label = format!("LABEL number={number}");
        daemon.run(&["commit", "-c", &label, "c1", &format!("many:{number}")]);
    }
    assert!(bytes_in(&daemon.data()) > 8 << 20);
    // What is told is what is there: one layer of the image, one of all the commits.
    let usage = daemon.run(&["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}"]);
    assert!(usage.starts_with("Images 61 1\nContainers 1 0\nLocal Volumes 2 1\n"), "{usage}");
    daemon.run(&["system", "prune", "-af", "--volumes"]);
    daemon.run(&["volume", "prune", "-af"]);
    let small = || bytes_in(&daemon.data()) <= 2 << 20;
    assert!(until(Duration::from_secs(20), small), "{} bytes", bytes_in(&daemon.data()));
    assert_eq!(daemon.run(&["images", "-aq"]), "");
    assert_eq!(daemon.run(&["system", "check"]), "No problems found");
}

#[test]
fn a_removal_frees_the_disk_by_itself() {
    let daemon = TestDaemon::start("rmifree");
    let before = bytes_in(&daemon.data());
    assert!(before > 1 << 20);
    let removed = daemon.run(&["rmi", "busybox"]);
    assert!(removed.starts_with("Untagged: busybox:latest\nDeleted: sha256:"), "{removed}");
    assert!(until(Duration::from_secs(20), || bytes_in(&daemon.data()) < 1 << 20));
}

#[test]
fn check_finds_and_mends() {
    let daemon = TestDaemon::start("syscheck");
    daemon.run(&["create", "--name", "c1", "-v", "data:/data", "busybox"]);
    assert_eq!(daemon.run(&["system", "check"]), "No problems found");
    let folder = |path: &str| daemon.data().join(path);
    fs::create_dir_all(folder("volumes/found/_data")).unwrap();
    fs::write(folder("volumes/found/_data/f"), "precious").unwrap();
    fs::remove_dir_all(folder("volumes/data/_data")).unwrap();
    fs::create_dir(folder("snapshots/stray")).unwrap();
    let found = daemon.wharf(&["system", "check"]);
    assert_eq!((found.code, found.stderr.trim()), (1, "problems found: 3, mended: 0"));
    for what in
        ["volume data: its folder is missing", "volumes/found: no volume", "snapshots/stray: no layer"]
    {
        assert!(found.stdout.contains(what), "{what} in {}", found.stdout);
    }
    let mended = daemon.run(&["system", "check", "--repair"]);
    assert!(mended.ends_with("Problems found: 3, all mended"), "{mended}");
    assert_eq!(daemon.run(&["system", "check"]), "No problems found");
    assert_eq!(daemon.run(&["run", "--rm", "-v", "found:/v", "busybox", "cat", "/v/f"]), "precious");
    // A layer that is not what it was is told, and kept as long as a container is made of it.
    let layer = fs::read_dir(folder("snapshots")).unwrap().map(|entry| entry.unwrap().path());
    let layer = layer.into_iter().find(|path| path.join("recipe").exists()).unwrap();
    fs::write(layer.join("diff/etc/passwd"), "other").unwrap();
    let damaged = daemon.wharf(&["system", "check", "--repair"]);
    assert!(damaged.code == 1 && damaged.stdout.contains("is damaged"), "{damaged:?}");
    daemon.run(&["rm", "c1"]);
    daemon.run(&["system", "check", "--repair"]);
    assert_eq!(daemon.run(&["images", "-aq"]), "");
}

/// Feeds a command from memory.
fn feed(daemon: &TestDaemon, args: &[&str], input: &[u8]) -> Output {
    let mut child = daemon
        .command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that refuses early does not read to the end.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap().into()
}

fn save(daemon: &TestDaemon, names: &[&str]) -> Vec<u8> {
    let output = daemon.command(&[&["save"], names].concat()).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn archives_carry_images_whole() {
    let (from, to) = (TestDaemon::start("savefrom"), TestDaemon::start("saveto"));
    from.run(&["run", "--name", "c1", "busybox", "sh", "-c", "echo 1 >/1"]);
    from.run(&["commit", "-c", "ENV A=1", "c1", "one:1"]);
    from.run(&["tag", "one:1", "one:2"]);
    let archive = save(&from, &["one", "busybox"]);
    let names: Vec<String> = tar::Archive::new(archive.as_slice())
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    for name in ["oci-layout", "index.json", "manifest.json", "repositories"] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
    }
    to.run(&["rmi", "busybox"]);
    let loaded = feed(&to, &["load"], &archive).ok();
    assert_eq!(loaded, "Loaded image: one:1\nLoaded image: one:2\nLoaded image: busybox:latest");
    let about = "{{.Id}} {{.RepoTags}} {{.RootFS.Layers}} {{.Config.Env}} {{.Size}}";
    assert_eq!(image(&to, "one:1", about), image(&from, "one:1", about));
    assert_eq!(to.run(&["run", "--rm", "one:2", "cat", "/1"]), "1");
    assert!(save(&to, &["one", "busybox"]) == archive, "the same images, the same archive");
    let other = feed(&to, &["load", "--platform", "linux/s390x"], &archive);
    assert!(other.code == 0 && other.stdout == "\n", "nothing to load is no mistake: {other:?}");
    let none = to.wharf(&["save", "--platform", "linux/s390x", "one:1"]);
    assert_eq!(
        none.stderr.trim(),
        "Error response from daemon: no suitable export target found for platform linux/s390x"
    );
}

#[test]
fn bad_archives_change_nothing() {
    let daemon = TestDaemon::start("badload");
    let archive = save(&daemon, &["busybox"]);
    let before = (daemon.run(&["images", "-aq", "--no-trunc"]), bytes_in(&daemon.data().join("snapshots")));
    let id = image(&daemon, "busybox", "{{.Id}}");
    let config = format!("blobs/sha256/{}", id.trim_start_matches("sha256:"));
    let manifest = |config: &str, layer: &str| {
        format!(r#"[{{"Config":"{config}","RepoTags":["evil:1"],"Layers":["{layer}"]}}]"#).into_bytes()
    };
    let hostile: [(&str, Vec<u8>); 6] = [
        ("cut", archive[..archive.len() / 2].to_vec()),
        ("noise", (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
        ("no index", write_tar(&[("x", b"y", 0o644)])),
        (
            "a path outside",
            write_tar(&[("manifest.json", &manifest("../../etc/passwd", "/etc/shadow"), 0o644)]),
        ),
        (
            "no such layer",
            write_tar(&[("manifest.json", &manifest(&config, "l"), 0o644), (&config, b"{}", 0o644)]),
        ),
        ("not JSON", write_tar(&[("manifest.json", b"[[[[", 0o644)])),
    ];
    for (what, archive) in hostile {
        let refused = feed(&daemon, &["load"], &archive);
        assert!(refused.code == 1 && !refused.stderr.trim().is_empty(), "{what}: {refused:?}");
    }
    // The right documents around another layer.
    let mut swapped = archive.clone();
    let at = swapped.windows(9).position(|window| window == b"root:x:0:").unwrap();
    swapped[at] = b'R';
    daemon.run(&["rmi", "busybox"]);
    let refused = feed(&daemon, &["load"], &swapped);
    assert!(refused.code == 1 && refused.stderr.contains("diffID"), "{refused:?}");
    assert_eq!(daemon.run(&["images", "-aq"]), "");
    feed(&daemon, &["load"], &archive).ok();
    assert_eq!(daemon.run(&["images", "-aq", "--no-trunc"]), before.0);
    assert_eq!(daemon.run(&["system", "check"]), "No problems found");
    assert!(until(Duration::from_secs(20), || bytes_in(&daemon.data().join("snapshots"))
        <= before.1 + (64 << 10)));
}

#[test]
fn a_killed_load_leaves_nothing_half_visible() {
    let mut daemon = TestDaemon::start("killload");
    let script = "for i in 1 2 3; do dd if=/dev/urandom of=/f$i bs=1M count=8 2>/dev/null; done";
    daemon.run(&["run", "--name", "c1", "busybox", "sh", "-c", script]);
    daemon.run(&["commit", "c1", "big:1"]);
    let archive = save(&daemon, &["big:1"]);
    daemon.run(&["rm", "c1"]);
    daemon.run(&["rmi", "big:1", "busybox"]);
    for part in [2, 3] {
        let mut load = daemon.command(&["load"]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut input = load.stdin.take().unwrap();
        input.write_all(&archive[..archive.len() / part]).unwrap();
        daemon.kill();
        drop(input);
        load.wait().unwrap();
        daemon.launch();
        assert_eq!(daemon.run(&["images", "-aq"]), "");
        assert_eq!(daemon.run(&["system", "check"]), "No problems found");
    }
    // Killed while the layers are stored: all of the image, or nothing.
    let path = daemon.folder.join("big.tar");
    fs::write(&path, &archive).unwrap();
    for delay in [20, 60, 120] {
        let mut load = daemon.command(&["load", "-q", "-i", path.to_str().unwrap()]);
        let mut load = load.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        daemon.kill();
        load.wait().unwrap();
        daemon.launch();
        assert_eq!(daemon.run(&["system", "check"]), "No problems found");
        if !daemon.run(&["images", "-q", "big:1"]).is_empty() {
            assert_eq!(daemon.run(&["run", "--rm", "big:1", "ls", "/f3"]), "/f3");
            daemon.run(&["rmi", "big:1"]);
        }
    }
    daemon.run(&["load", "-q", "-i", path.to_str().unwrap()]);
    assert_eq!(daemon.run(&["run", "--rm", "big:1", "ls", "/f3"]), "/f3");
}

#[test]
fn images_are_exchanged_with_the_reference_engine() {
    let Ok(peer) = std::env::var("PEER_HOST") else {
        eprintln!("PEER_HOST names no reference engine, nothing to exchange with");
        return;
    };
    let daemon = TestDaemon::start("exchange");
    let theirs = |args: &[&str]| {
        let mut command = daemon.command(args);
        command.env("DOCKER_HOST", &peer);
        command
    };
    daemon.run(&[
        "run",
        "--name",
        "c1",
        "busybox",
        "sh",
        "-c",
        "rm /bin/vi; rm -r /tmp; mkdir /tmp; ln /etc/passwd /l",
    ]);
    let name = format!("wharf-exchange-{}:1", std::process::id());
    daemon.run(&["commit", "-a", "me", "-c", "ENV A=1", "c1", &name]);
    let about = "{{.Id}} {{.RootFS.Layers}} {{.Config.Env}} {{.Author}} {{.Size}}";
    let ours = image(&daemon, &name, about);
    let archive = daemon.folder.join("ours.tar");
    fs::write(&archive, save(&daemon, &[&name])).unwrap();
    let loaded: Output = theirs(&["load", "-q", "-i", archive.to_str().unwrap()]).output().unwrap().into();
    assert_eq!(loaded.ok(), format!("Loaded image: {name}"));
    let seen: Output = theirs(&["image", "inspect", "-f", about, &name]).output().unwrap().into();
    assert_eq!(seen.ok(), ours);
    let back = theirs(&["save", &name]).output().unwrap();
    let removed: Output = theirs(&["rmi", &name]).output().unwrap().into();
    removed.ok();
    daemon.run(&["rm", "c1"]);
    daemon.run(&["rmi", &name]);
    assert_eq!(feed(&daemon, &["load", "-q"], &back.stdout).ok(), format!("Loaded image: {name}"));
    assert_eq!(image(&daemon, &name, about), ours);
    assert_eq!(daemon.run(&["run", "--rm", &name, "stat", "-c", "%h", "/l"]), "2");
}

/// A small file system of its own over a folder.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: PathBuf, size: &str) -> SmallDisk {
        let options = format!("size={size},mode=711");
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&folder).status();
        assert!(status.unwrap().success());
        SmallDisk(folder)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Also while an engine still uses it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_told_and_nothing_stays() {
    let mut daemon = TestDaemon::start("fulldisk");
    let busybox = save(&daemon, &["busybox"]);
    let archives = [11, 14].map(|megabytes: usize| {
        let name = format!("big:{megabytes}");
        let count = format!("count={megabytes}");
        daemon.run(&["run", "--name", "big", "busybox", "dd", "if=/dev/urandom", "of=/f", "bs=1M", &count]);
        daemon.run(&["commit", "big", &name]);
        daemon.run(&["rm", "big"]);
        save(&daemon, &[&name])
    });
    daemon.stop();
    let disk = SmallDisk::mount(daemon.data(), "12m");
    daemon.launch();
    feed(&daemon, &["load"], &busybox).ok();
    let sound = |what: &str| {
        assert_eq!(daemon.run(&["images", "-a", "--format", "{{.Repository}}"]), "busybox", "{what}");
        // Layers that did arrive go a moment later.
        let in_order = || daemon.wharf(&["system", "check"]).stdout.trim() == "No problems found";
        assert!(until(Duration::from_secs(20), in_order), "{what}: {:?}", daemon.wharf(&["system", "check"]));
    };
    // The first fits but for its end, the second is larger than the whole disk.
    for archive in archives {
        let refused = feed(&daemon, &["load"], &archive);
        assert!(refused.code == 1 && refused.stderr.contains("no space left on device"), "{refused:?}");
        sound("load");
    }
    daemon.run(&["run", "--name", "big", "busybox", "dd", "if=/dev/urandom", "of=/f", "bs=1M", "count=6"]);
    let refused = daemon.wharf(&["commit", "big", "more"]);
    assert!(refused.code == 1 && refused.stderr.contains("no space left on device"), "{refused:?}");
    sound("commit");
    // There is room again.
    daemon.run(&["rm", "big"]);
    daemon.run(&["run", "--name", "small", "busybox", "touch", "/f"]);
    daemon.run(&["commit", "small", "more"]);
    daemon.stop();
    drop(disk);
}
