//! What a container sees, what it may do, and what it may not.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{fs, os::unix::fs::MetadataExt, path::Path, time::Duration};

use wharf_tests::{Output, TestDaemon, binary, sha256, until};

fn shell(daemon: &TestDaemon, options: &[&str], script: &str) -> Output {
    daemon.wharf(&[&["run", "--rm"], options, &["busybox", "sh", "-c", script]].concat())
}

#[test]
fn bind_mounts_of_folders_and_files() {
    let daemon = TestDaemon::start("bind");
    let folder = daemon.folder.join("bound");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("file"), "outside\n").unwrap();
    let folder = folder.to_str().unwrap();
    let bind = format!("{folder}:/x");
    assert_eq!(shell(&daemon, &["-v", &bind], "cat /x/file; echo inside >/x/new").ok(), "outside");
    assert_eq!(fs::read_to_string(format!("{folder}/new")).unwrap(), "inside\n");
    let output = shell(&daemon, &["-v", &format!("{bind}:ro")], "cat /x/file; echo no >/x/refused");
    assert_eq!(output.stdout, "outside\n");
    assert!(output.stderr.contains("Read-only file system"), "{}", output.stderr);
    assert!(!Path::new(&format!("{folder}/refused")).exists());
    let mount = format!("type=bind,src={folder}/file,dst=/single,readonly");
    let output = shell(&daemon, &["--mount", &mount], "cat /single; ls /x; echo no >/single");
    assert_eq!(output.stdout, "outside\n");
    assert!(output.stderr.contains("/single: Read-only file system"), "{}", output.stderr);
}

#[test]
fn a_missing_source_is_made_by_volume_and_refused_by_mount() {
    let daemon = TestDaemon::start("source");
    let missing = daemon.folder.join("missing/deep");
    let source = missing.to_str().unwrap();
    let output = shell(&daemon, &["--mount", &format!("type=bind,src={source},dst=/x")], "true");
    assert_eq!(output.code, 125);
    let words = "invalid mount config for type \"bind\": bind source path does not exist";
    assert!(output.stderr.contains(words), "{}", output.stderr);
    assert!(!missing.exists());
    assert_eq!(shell(&daemon, &["-v", &format!("{source}:/x")], "ls -A /x").ok(), "");
    assert!(missing.is_dir());
}

#[test]
fn volumes_outlive_containers() {
    let daemon = TestDaemon::start("volume");
    assert_eq!(
        shell(&daemon, &["-v", "data:/etc"], "cat /etc/group; echo kept >/etc/kept").ok().lines().count(),
        2
    );
    assert_eq!(
        shell(&daemon, &["-v", "data:/x:ro"], "cat /x/kept; test -e /x/passwd && echo copied").ok(),
        "kept\ncopied"
    );
    assert_eq!(daemon.run(&["volume", "ls", "-q"]), "data");
    assert_eq!(shell(&daemon, &["-v", "/anonymous"], "echo x >/anonymous/x").ok(), "");
    assert_eq!(daemon.run(&["volume", "ls", "-q"]), "data", "--rm removes volumes without a name");
    daemon.run(&["create", "--name", "user", "-v", "data:/x", "busybox"]);
    let output = daemon.wharf(&["volume", "rm", "data"]);
    assert!(output.code == 1 && output.stderr.contains("volume is in use"), "{output:?}");
    daemon.run(&["rm", "user"]);
    daemon.run(&["volume", "rm", "data"]);
    assert_eq!(fs::read_dir(daemon.data().join("volumes")).unwrap().count(), 0);
}

#[test]
fn a_read_only_root_leaves_tmpfs_writable() {
    let daemon = TestDaemon::start("readonly");
    let script = "echo x >/tmp/x && cat /tmp/x; dd if=/dev/zero of=/tmp/big bs=1M count=2 2>/dev/null || echo full; \
                  echo x >/x";
    let output = shell(&daemon, &["--read-only", "--tmpfs", "/tmp:size=1m"], script);
    assert_eq!(output.stdout, "x\nfull\n");
    assert!(output.stderr.contains("/x: Read-only file system"), "{}", output.stderr);
    let options = shell(&daemon, &["--tmpfs", "/run"], "grep ' /run tmpfs ' /proc/mounts").ok();
    for option in ["nosuid", "nodev", "noexec"] {
        assert!(options.contains(option), "{options}");
    }
}

#[test]
fn init_reaps_and_passes_the_exit_code() {
    let daemon = TestDaemon::start("reaper");
    let script = "(sleep 0.1 &); sleep 0.6; cat /proc/[0-9]*/stat; cat /proc/1/comm; exit 7";
    let output = shell(&daemon, &["--init"], script);
    assert_eq!(output.code, 7);
    assert!(output.stdout.ends_with("docker-init\n"), "{}", output.stdout);
    assert!(!output.stdout.contains("(sleep) Z"), "{}", output.stdout);
    daemon.run(&["run", "-d", "--name", "box", "--init", "busybox", "sleep", "1000"]);
    daemon.run(&["stop", "-t", "15", "box"]);
    // Without it, the first process would ignore the signal and be killed: 137.
    assert_eq!(daemon.run(&["inspect", "-f", "{{.State.ExitCode}}", "box"]), "143");
}

#[test]
fn limits_are_those_of_the_cgroup() {
    let daemon = TestDaemon::start("limits");
    let memory =
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max";
    assert_eq!(shell(&daemon, &["-m", "64m"], memory).ok(), "67108864");
    let pids = "cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max";
    assert_eq!(shell(&daemon, &["--pids-limit", "9"], pids).ok(), "9");
    let output = shell(&daemon, &["--pids-limit", "9"], "for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done");
    assert!(output.code == 2 && output.stderr.contains("can't fork"), "{output:?}");
    let id = daemon.run(&["run", "-d", "-m", "32m", "--memory-swap", "32m", "busybox", "tail", "/dev/zero"]);
    assert_eq!(daemon.run(&["wait", &id]), "137");
    let state = || daemon.run(&["inspect", "-f", "{{.State.OOMKilled}}", &id]);
    assert!(until(Duration::from_secs(5), || state() == "true"), "{}", state());
    let limits = shell(
        &daemon,
        &["--ulimit", "nofile=100:200", "--ulimit", "core=0"],
        "ulimit -Sn; ulimit -Hn; ulimit -c",
    );
    assert_eq!(limits.ok(), "100\n200\n0");
}

#[test]
fn users_and_groups() {
    let daemon = TestDaemon::start("users");
    let id = |user: &str, more: &[&str]| shell(&daemon, &[&["-u", user], more].concat(), "id").ok();
    assert_eq!(id("app", &[]), "uid=1000(app) gid=1000(app) groups=1000(app)");
    assert_eq!(id("1234:567", &[]), "uid=1234 gid=567 groups=567");
    assert_eq!(id("app:root", &["--group-add", "77"]), "uid=1000(app) gid=0(root) groups=0(root),77");
    let output = shell(&daemon, &["-u", "app"], "echo x >/srv/x; grep CapEff /proc/self/status");
    assert_eq!(output.stdout, "CapEff:\t0000000000000000\n");
    assert!(output.stderr.contains("Permission denied"), "{}", output.stderr);
}

#[test]
fn capabilities_are_dockers() {
    let daemon = TestDaemon::start("caps");
    let effective = |options: &[&str]| shell(&daemon, options, "grep CapEff /proc/self/status").ok();
    assert_eq!(effective(&[]), "CapEff:\t00000000a80425fb");
    assert_eq!(effective(&["--cap-add", "SYS_TIME"]), "CapEff:\t00000000aa0425fb");
    assert_eq!(effective(&["--cap-drop", "ALL", "--cap-add", "CHOWN"]), "CapEff:\t0000000000000001");
    let output = shell(&daemon, &["--cap-drop", "CHOWN"], "chown 1 /srv");
    assert!(output.code == 1 && output.stderr.contains("Operation not permitted"), "{output:?}");
    assert_eq!(shell(&daemon, &[], "chown 1 /srv").code, 0);
    let forbidden =
        ["mount -t tmpfs none /srv", "unshare -U true", "mknod /srv/x b 254 0 && cat /srv/x", "hostname x"];
    for command in forbidden {
        let output = shell(&daemon, &[], command);
        assert!(output.code != 0, "{command}: {output:?}");
        let words = ["permission denied", "Operation not permitted"];
        assert!(words.iter().any(|words| output.stderr.contains(words)), "{command}: {}", output.stderr);
    }
}

#[test]
fn no_descriptor_of_the_host_leaks_into_a_container() {
    let daemon = TestDaemon::start("leak");
    // The fourth is the one by which `ls` reads the folder.
    let own = "0\n1\n2\n3";
    assert_eq!(daemon.run(&["run", "--rm", "busybox", "ls", "/proc/self/fd"]), own);
    assert_eq!(daemon.run(&["run", "--rm", "-i", "busybox", "ls", "/proc/self/fd"]), own);
    let terminal = daemon.run(&["run", "--rm", "-t", "busybox", "ls", "/proc/self/fd"]);
    assert_eq!(terminal.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    // The reaper has a descriptor of its own, for signals.
    let script = "for fd in /proc/1/fd/*; do readlink $fd; done";
    let reapers = shell(&daemon, &["--init"], script).ok();
    let own_of_reaper =
        |file: &str| file == "/dev/null" || file.starts_with("pipe:") || file == "anon_inode:[signalfd]";
    assert!(reapers.lines().count() >= 3 && reapers.lines().all(own_of_reaper), "{reapers}");
    daemon.run(&["run", "-d", "--name", "box", "busybox", "sleep", "1000"]);
    assert_eq!(daemon.run(&["exec", "box", "ls", "/proc/self/fd"]), own);
    assert_eq!(daemon.run(&["exec", "box", "ls", "/proc/1/fd"]), "0\n1\n2");
    let folder = daemon.folder.to_str().unwrap();
    let mounts = daemon.run(&["exec", "box", "cat", "/proc/self/mountinfo"]);
    let theirs = [" /etc/resolv.conf ", " /etc/hostname ", " /etc/hosts ", " / / "];
    let leaked = |line: &&str| line.contains(folder) && !theirs.iter().any(|path| line.contains(path));
    assert_eq!(mounts.lines().find(leaked), None);
}

#[test]
fn the_hosts_binary_cannot_be_written_from_inside() {
    let daemon = TestDaemon::start("binary");
    let identity = || {
        let meta = fs::metadata(binary()).unwrap();
        (meta.ino(), meta.size(), meta.mtime_nsec(), sha256(&fs::read(binary()).unwrap()))
    };
    let before = identity();
    // The reaper is the host's binary. "Text file busy" would only protect it as long as it runs; to truncate is
    // refused before that is looked at.
    let output = shell(&daemon, &["--init"], "echo overwritten >/proc/1/exe");
    assert_eq!(output.code, 1, "{output:?}");
    let words = ["Read-only file system", "Operation not permitted"];
    assert!(words.iter().any(|words| output.stderr.contains(words)), "{}", output.stderr);
    // A program that is started again from its own image while others try to write it.
    daemon.run(&["run", "-d", "--name", "box", "busybox", "sh", "-c", OVERWRITE]);
    for _ in 0..5 {
        daemon.wharf(&["exec", "box", "/proc/self/exe", "--version"]);
    }
    daemon.run(&["kill", "box"]);
    assert_eq!(identity(), before);
}

/// Writes to every program that is not the image's.
const OVERWRITE: &str = "while :; do for exe in /proc/[0-9]*/exe; do \
    case $(readlink $exe) in /bin/busybox) ;; *) (echo overwritten >>$exe) 2>/dev/null ;; esac; done; done";

#[test]
fn masked_and_read_only_paths() {
    let daemon = TestDaemon::start("masked");
    let script = "for f in kcore keys timer_list; do [ ! -e /proc/$f ] || [ -c /proc/$f ] || echo $f; done; \
                  ls -A /proc/acpi /proc/scsi /sys/firmware 2>/dev/null | grep -v :$ | grep .; \
                  for f in sys/kernel/core_pattern irq/default_smp_affinity sysrq-trigger; do \
                  [ ! -e /proc/$f ] || (echo x >/proc/$f) 2>/dev/null && [ -e /proc/$f ] && echo wrote $f; done; \
                  touch /sys/x 2>&1 | grep -o 'Read-only file system'";
    assert_eq!(shell(&daemon, &[], script).ok(), "Read-only file system");
    let output = shell(&daemon, &[], "echo x >/proc/sys/kernel/core_pattern");
    assert!(output.stderr.contains("Read-only file system"), "{}", output.stderr);
    // What is not masked can be read: the checks above see a real /proc.
    assert_eq!(
        shell(&daemon, &["--privileged"], "[ -c /proc/keys ] || wc -l </proc/sys/kernel/core_pattern").ok(),
        "1"
    );
}
