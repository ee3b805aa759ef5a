//! Containers through the runtime's command line, as an engine would use it. Needs root.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use expect_test::expect;
use serde_json::json;
use support::Bundle;

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "timed out: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn exit_codes_and_output() {
    let mut bundle = Bundle::new("exit");
    bundle.script("echo out; echo err >&2; exit 7");
    let run = bundle.run();
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (7, "out\n", "err\n"));
    bundle.script("(exec sh -c 'kill -9 $$'); exit $?");
    assert_eq!(bundle.run().code, 137);
    bundle.assert_clean();
}

#[test]
fn the_file_system_is_what_docker_gives() {
    let mut bundle = Bundle::new("fs");
    bundle.script(
        "while read a b c d mount options e type rest; do case $mount in /sys/fs/cgroup/*) ;;
           /) echo $mount;; *) echo $mount $options $type;; esac; done < /proc/self/mountinfo
         ls /dev",
    );
    let run = bundle.run();
    // Paths that only some kernels have are masked too.
    let optional = [
        "/proc/asound",
        "/proc/kcore",
        "/proc/latency_stats",
        "/proc/scsi",
        "/proc/acpi",
        "/proc/interrupts",
    ];
    let others = [
        "/proc/timer_list",
        "/proc/keys",
        "/sys/firmware",
        "/sys/devices/virtual/powercap",
        "core",
        "/proc/sysrq",
    ];
    let lines =
        run.out.lines().filter(|line| !optional.iter().chain(&others).any(|path| line.starts_with(path)));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    expect![[r#"
        /
        /proc rw,nosuid,nodev,noexec,relatime proc
        /dev rw,nosuid tmpfs
        /dev/pts rw,nosuid,noexec,relatime devpts
        /sys ro,nosuid,nodev,noexec,relatime sysfs
        /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime tmpfs
        /dev/mqueue rw,nosuid,nodev,noexec,relatime mqueue
        /dev/shm rw,nosuid,nodev,noexec,relatime tmpfs
        /proc/bus ro,nosuid,nodev,noexec,relatime proc
        /proc/fs ro,nosuid,nodev,noexec,relatime proc
        /proc/irq ro,nosuid,nodev,noexec,relatime proc
        /proc/sys ro,nosuid,nodev,noexec,relatime proc
        fd
        full
        mqueue
        null
        ptmx
        pts
        random
        shm
        stderr
        stdin
        stdout
        tty
        urandom
        zero
    "#]]
    .assert_eq(&text.replace(
        "/sys/fs/cgroup ro,nosuid,nodev,noexec,relatime cgroup2",
        "/sys/fs/cgroup rw,nosuid,nodev,noexec,relatime tmpfs",
    ));
}

#[test]
fn missing_programs_and_wrong_requests_are_told_in_runcs_words() {
    let mut bundle = Bundle::new("errors");
    fs::write(bundle.rootfs().join("etc/plain"), "").unwrap();
    let init = "runc run failed: unable to start container process: error during container init: ";
    let cases = [
        (json!(["nosuch"]), "exec: \"nosuch\": executable file not found in $PATH"),
        (json!(["/nosuch"]), "exec: \"/nosuch\": stat /nosuch: no such file or directory"),
        (json!(["/etc"]), "exec: \"/etc\": is a directory: permission denied"),
        (json!(["/etc/plain"]), "exec: \"/etc/plain\": permission denied"),
    ];
    for (args, text) in cases {
        bundle.spec["process"]["args"] = args;
        let run = bundle.run();
        assert_eq!((run.code, run.err), (1, format!("{init}{text}\n")));
    }
    bundle.script("true");
    bundle.mounts().push(
        json!({"destination": "/etc", "type": "bind", "source": "/etc/hostname", "options": ["rbind"]}),
    );
    assert!(bundle.run().err.ends_with("flags=MS_BIND|MS_REC: not a directory\n"));
    bundle.mounts().pop();
    bundle.spec["process"]["rlimits"] = json!([{"type": "RLIMIT_NICE", "soft": 50, "hard": 40}]);
    assert_eq!(
        bundle.run().err,
        format!(
            "{init}error setting rlimits for ready process: error setting rlimit type 13: invalid argument\n"
        )
    );
    bundle.assert_clean();
}

#[test]
fn a_program_the_kernel_refuses_is_the_containers_failure() {
    let mut bundle = Bundle::new("format");
    let path = bundle.rootfs().join("garbage");
    fs::write(&path, "garbage\n").unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    bundle.spec["process"]["args"] = json!(["/garbage"]);
    let run = bundle.run();
    assert_eq!((run.code, run.err.as_str()), (255, "exec /garbage: exec format error\n"));
}

#[test]
fn users_and_capabilities() {
    let mut bundle = Bundle::new("user");
    bundle.script("id; echo $HOME; grep -E 'Cap(Prm|Eff|Bnd|Amb)|Groups' /proc/self/status; touch /dev/stdout && echo ok");
    let root = bundle.run().out;
    expect![[r#"
        uid=0(root) gid=0 groups=0
        /root
        Groups:	0 
        CapPrm:	00000000a80425fb
        CapEff:	00000000a80425fb
        CapBnd:	00000000a80425fb
        CapAmb:	0000000000000000
        ok
    "#]]
    .assert_eq(&root);
    bundle.spec["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [5, 6]});
    bundle.spec["process"]["capabilities"]["inheritable"] = json!(["CAP_CHOWN"]);
    bundle.spec["process"]["capabilities"]["ambient"] = json!(["CAP_CHOWN"]);
    let user = bundle.run().out;
    expect![[r#"
        uid=1000(u) gid=1000 groups=5,6
        /home/u
        Groups:	5 6 
        CapPrm:	0000000000000001
        CapEff:	0000000000000001
        CapBnd:	00000000a80425fb
        CapAmb:	0000000000000001
        ok
    "#]]
    .assert_eq(&user);
}

#[test]
fn capabilities_the_host_lacks_are_dropped_silently() {
    let mut bundle = Bundle::new("allcaps");
    let all: Vec<String> =
        wharf_runtime::capability_names(u64::MAX).iter().map(|name| format!("CAP_{name}")).collect();
    for set in ["bounding", "effective", "permitted"] {
        bundle.spec["process"]["capabilities"][set] = json!(all);
    }
    bundle.script("grep CapEff /proc/self/status");
    let mine = fs::read_to_string("/proc/self/status").unwrap();
    let mine = mine.lines().find(|line| line.starts_with("CapEff")).unwrap();
    assert_eq!(bundle.run().out.trim(), mine);
}

#[test]
fn the_filter_confines() {
    let mut bundle = Bundle::new("seccomp");
    // All capabilities in the sets, but the filter is that of a container without them.
    for set in ["bounding", "effective", "permitted"] {
        bundle.spec["process"]["capabilities"][set].as_array_mut().unwrap().push(json!("CAP_SYS_ADMIN"));
    }
    bundle
        .script("grep Seccomp: /proc/self/status; mount -t tmpfs x /etc || unshare -m true || echo refused");
    let run = bundle.run();
    assert_eq!(run.out, "Seccomp:\t2\nrefused\n", "{}", run.err);
    bundle.spec["process"]["noNewPrivileges"] = json!(true);
    bundle.script("grep -E 'Seccomp:|NoNewPrivs' /proc/self/status");
    assert_eq!(bundle.run().out, "NoNewPrivs:\t1\nSeccomp:\t2\n");
    bundle.spec["linux"]["seccomp"] = json!(null);
    bundle.script("mount -t tmpfs x /etc && echo mounted");
    assert_eq!(bundle.run().out, "mounted\n");
}

#[test]
fn life_of_a_container() {
    let mut bundle = Bundle::new("life");
    bundle.script("echo started; sleep 1000");
    let (id, path) = (bundle.id().to_owned(), bundle.path().to_str().unwrap().to_owned());
    let pid_file = bundle.path().join("pid");
    let log = fs::File::create(bundle.path().join("log")).unwrap();
    let create = ["create", "--bundle", &path, "--pid-file", pid_file.to_str().unwrap(), &id];
    assert!(bundle.command(&create).stdout(log).status().unwrap().success());
    assert_eq!(bundle.state()["status"], "created");
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), bundle.pid().to_string());
    let again = bundle.runtime(&create);
    assert_eq!(again.err, "runc create failed: container with given ID already exists\n");
    assert_eq!(bundle.log(), "");

    assert_eq!(bundle.runtime(&["start", &id]).code, 0);
    wait_for("start", || bundle.log() == "started\n");
    assert_eq!(bundle.state()["status"], "running");
    assert_eq!(bundle.runtime(&["start", &id]).err, "cannot start an already running container\n");
    assert_eq!(bundle.runtime(&["list", "--quiet"]).out, format!("{id}\n"));

    assert_eq!(bundle.runtime(&["pause", &id]).code, 0);
    assert_eq!(bundle.state()["status"], "paused");
    let refused = bundle.exec(&["true"]);
    assert_eq!(
        (refused.code, refused.err.as_str()),
        (255, "exec failed: cannot exec in a paused container (use --ignore-paused to override)\n")
    );
    assert_eq!(bundle.runtime(&["resume", &id]).code, 0);
    let delete = bundle.runtime(&["delete", &id]);
    assert_eq!((delete.code, bundle.state()["status"].as_str()), (1, Some("running")));

    assert_eq!(bundle.runtime(&["kill", &id, "KILL"]).code, 0);
    wait_for("kill", || bundle.state()["status"] == "stopped");
    assert_eq!(bundle.runtime(&["kill", &id]).err, "container not running\n");
    assert_eq!(bundle.runtime(&["delete", &id]).code, 0);
    assert_eq!(bundle.runtime(&["state", &id]).err, "container does not exist\n");
    bundle.assert_clean();
}

#[test]
fn deleting_a_created_container_ends_it() {
    let mut bundle = Bundle::new("created");
    bundle.script("sleep 1000");
    let args = ["create", "--bundle", bundle.path().to_str().unwrap(), bundle.id()];
    assert!(bundle.command(&args).stdout(std::process::Stdio::null()).status().unwrap().success());
    let stat = format!("/proc/{}/stat", bundle.pid());
    assert_eq!(bundle.runtime(&["delete", bundle.id()]).code, 0);
    // Whoever adopted it may not have reaped it yet.
    assert!(fs::read_to_string(stat).map_or(true, |text| text.contains(") Z ")));
    bundle.assert_clean();
}

#[test]
fn further_processes() {
    let mut bundle = Bundle::new("exec");
    bundle.script("sleep 1000");
    assert_eq!(bundle.start().code, 0, "{}", bundle.log());
    let comm = format!("/proc/{}/comm", bundle.pid());
    wait_for("the program", || fs::read_to_string(&comm).unwrap() == "sleep\n");
    let exec = bundle.exec(&[
        "sh",
        "-c",
        "hostname; grep -E 'Seccomp:|CapEff|NSpid' /proc/self/status; cat /proc/1/comm; exit 9",
    ]);
    assert_eq!((exec.code, exec.err.as_str()), (9, ""));
    let lines: Vec<&str> = exec.out.lines().collect();
    assert_eq!(lines[0], "box");
    assert!(
        lines.contains(&"CapEff:\t00000000a80425fb")
            && lines.contains(&"Seccomp:\t2")
            && lines.contains(&"sleep")
    );
    // The same control groups and namespaces as the first process.
    let own =
        bundle.exec(&["sh", "-c", "cat /proc/self/cgroup; readlink /proc/self/ns/mnt /proc/self/ns/net"]).out;
    let host = fs::read_to_string(format!("/proc/{}/cgroup", bundle.pid())).unwrap();
    assert!(own.starts_with(&host), "{own}{host}");

    let user = bundle.runtime(&[
        "exec",
        "--user",
        "1000:7",
        "--cwd",
        "/etc",
        "--env",
        "A=b",
        bundle.id(),
        "sh",
        "-c",
        "id; pwd; echo $A",
    ]);
    assert_eq!(user.out, "uid=1000(u) gid=7 groups=0\n/etc\nb\n");
    let failures = [
        (
            &["nosuch"][..],
            "exec failed: unable to start container process: exec: \"nosuch\": executable file not found in $PATH\n",
        ),
        (
            &["/etc"],
            "exec failed: unable to start container process: exec: \"/etc\": is a directory: permission denied\n",
        ),
    ];
    for (args, text) in failures {
        let exec = bundle.exec(args);
        assert_eq!((exec.code, exec.err.as_str()), (255, text));
    }
    let relative = bundle.runtime(&["exec", "--cwd", "rel", bundle.id(), "true"]);
    assert_eq!(relative.err, "exec failed: Cwd must be an absolute path\n");
    let tty = bundle.runtime(&["exec", "--tty", bundle.id(), "sh", "-c", "tty"]);
    assert_eq!(tty.out, "/dev/pts/0\r\n");
    let listed = bundle.runtime(&["ps", "--format", "json", bundle.id()]).out;
    assert_eq!(serde_json::from_str::<Vec<i64>>(&listed).unwrap(), [bundle.pid()]);
}

#[test]
fn the_terminal_goes_to_the_console_socket() {
    let mut bundle = Bundle::new("tty");
    bundle.script("tty; stty size; stat -c %t:%T /dev/console; read line; echo got $line");
    bundle.spec["process"]["terminal"] = json!(true);
    bundle.spec["process"]["consoleSize"] = json!({"height": 33, "width": 77});
    let socket = bundle.path().join("console");
    let listener = UnixListener::bind(&socket).unwrap();
    let (id, path) = (bundle.id().to_owned(), bundle.path().to_str().unwrap().to_owned());
    let run = bundle.runtime(&["run", "-d", "--console-socket", socket.to_str().unwrap(), "-b", &path, &id]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let (stream, _) = listener.accept().unwrap();
    let (_, fds) = wharf_sys::socket::recv_fds(stream.as_fd(), &mut [0; 64]).unwrap();
    let mut master = fs::File::from(fds.into_iter().next().unwrap());
    master.write_all(b"hello\n").unwrap();
    let mut text = String::new();
    // The other side's end shows as an input error.
    let mut buffer = [0; 256];
    while let Ok(length @ 1..) = master.read(&mut buffer) {
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    let expected = ["/dev/pts/0", "33 77", "88:0", "got hello"];
    assert!(expected.iter().all(|line| text.lines().any(|have| have == *line)), "{text}");
    let no_socket = bundle.runtime(&["run", "-d", "-b", &path, "other"]);
    assert_eq!(
        no_socket.err,
        "runc run failed: cannot allocate tty if runc will detach without setting console socket\n"
    );
}

#[test]
fn limits_hold() {
    let mut bundle = Bundle::new("limits");
    bundle.spec["linux"]["resources"]["memory"] = json!({"limit": 16 << 20, "swap": 16 << 20});
    bundle.spec["linux"]["resources"]["pids"] = json!({"limit": 20});
    bundle.spec["linux"]["resources"]["cpu"] = json!({"quota": 50000, "period": 100_000, "shares": 512});
    bundle.spec["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
    bundle.spec["process"]["oomScoreAdj"] = json!(500);
    bundle
        .script("ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj; for i in $(seq 30); do sleep 5 & done");
    let run = bundle.run();
    assert!(run.out.starts_with("100\n200\n500\n"), "{}", run.out);
    assert!(run.err.contains("can't fork"), "{}", run.err);
    bundle.script("head -c 100000000 /dev/zero | tail > /dev/null; echo $?");
    assert_eq!(bundle.run().out, "137\n");

    bundle.script("sleep 1000");
    bundle.start();
    let read = |name: &str, file: &str| {
        let dir = bundle
            .cgroups()
            .into_iter()
            .find(|dir| dir.to_str().unwrap().contains(name) && dir.join(file).exists());
        fs::read_to_string(dir.unwrap().join(file)).unwrap().trim().to_owned()
    };
    let unified = fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap();
    if unified {
        assert_eq!(read("", "cpu.max"), "50000 100000");
        bundle.runtime(&["update", "--memory", "32m", "--memory-swap", "32m", bundle.id()]);
        assert_eq!(read("", "memory.max"), "33554432");
    } else {
        assert_eq!(
            (read("cpu", "cpu.cfs_quota_us"), read("cpu", "cpu.shares")),
            ("50000".into(), "512".into())
        );
        let update = bundle.runtime(&["update", "--memory", "32m", "--memory-swap", "32m", bundle.id()]);
        assert_eq!((update.code, update.err.as_str()), (0, ""));
        assert_eq!(read("memory", "memory.limit_in_bytes"), "33554432");
    }
}

#[test]
fn devices_are_forbidden() {
    let mut bundle = Bundle::new("devices");
    bundle
        .script("mknod /kmsg c 1 11 && echo made; cat /kmsg; cat /dev/null && echo null; echo x > /dev/full");
    let run = bundle.run();
    assert_eq!(run.out, "made\nnull\n");
    assert!(run.err.contains("can't open '/kmsg': Operation not permitted"), "{}", run.err);
    assert!(run.err.contains("No space left"), "{}", run.err);
}

#[test]
fn descriptors_do_not_leak() {
    let mut bundle = Bundle::new("fds");
    bundle.script("ls -l /proc/self/fd | wc -l; cat <&3");
    let (read, write) = std::io::pipe().unwrap();
    (&write).write_all(b"passed").unwrap();
    drop(write);
    let args = ["run", "--preserve-fds", "1", "--bundle", bundle.path().to_str().unwrap(), bundle.id()];
    // A shell opens 3 to be passed on, and 4 and 5 which must not be.
    let mut command = std::process::Command::new("sh");
    let inner = bundle.command(&args);
    command
        .arg("-c")
        .arg("exec \"$0\" \"$@\" 3<&0 4</etc/passwd 5</ 0</dev/null")
        .arg(inner.get_program())
        .args(inner.get_args());
    let output = command.stdin(read).output().unwrap();
    // Header line, 0 to 3, and the one ls itself opens.
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "6\npassed",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_runtimes_binary_cannot_be_written() {
    let mut bundle = Bundle::new("binary");
    bundle.script("sleep 1000");
    let args = ["create", "--bundle", bundle.path().to_str().unwrap(), bundle.id()];
    assert!(bundle.command(&args).stdout(std::process::Stdio::null()).status().unwrap().success());
    // The created container's process still is the runtime; a container could reach it like this.
    let link = format!("/proc/{}/exe", bundle.pid());
    let error = fs::OpenOptions::new().write(true).truncate(true).open(link).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(30), "{error}");
}

#[test]
fn user_namespaces() {
    let mut bundle = Bundle::new("userns");
    bundle.spec["linux"]["sysctl"] = json!(null);
    let map = json!([{"containerID": 0, "hostID": 200_000, "size": 65536}]);
    bundle.spec["linux"]["uidMappings"] = map.clone();
    bundle.spec["linux"]["gidMappings"] = map;
    bundle.namespaces().push(json!({"type": "user"}));
    // Mount points are made by the mapped root.
    std::os::unix::fs::chown(bundle.rootfs(), Some(200_000), Some(200_000)).unwrap();
    bundle.script("id -u; cat /proc/self/uid_map; cat /dev/null; ls -dln /dev/null /dev/shm; sleep 1000");
    assert_eq!(bundle.start().code, 0, "{}", bundle.log());
    wait_for("output", || bundle.log().contains("/dev/shm"));
    assert!(bundle.log().starts_with("0\n         0     200000      65536\n"), "{}", bundle.log());
    let status = fs::read_to_string(format!("/proc/{}/status", bundle.pid())).unwrap();
    assert!(status.contains("Uid:\t200000\t200000"), "{status}");
    assert_eq!(
        bundle.exec(&["sh", "-c", "id -u; cat /proc/self/uid_map"]).out,
        "0\n         0     200000      65536\n"
    );

    // Another container joins all of its namespaces but the mounts.
    let mut other = Bundle::new("userns-join");
    std::os::unix::fs::chown(other.rootfs(), Some(200_000), Some(200_000)).unwrap();
    other.spec["linux"]["sysctl"] = json!(null);
    other.spec["hostname"] = json!(null);
    let pid = bundle.pid();
    let kinds = ["user", "pid", "net", "ipc", "uts"];
    let joined = kinds.map(
        |kind| json!({"type": kind.replace("net", "network"), "path": format!("/proc/{pid}/ns/{kind}")}),
    );
    *other.namespaces() = joined.to_vec();
    other.namespaces().push(json!({"type": "mount"}));
    other.script("hostname; cat /proc/1/comm; readlink -n /proc/self/ns/net; cat /proc/self/uid_map");
    let run = other.run();
    let net = fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    assert_eq!(
        run.out,
        format!("box\nsleep\n{}         0     200000      65536\n", net.display()),
        "{}",
        run.err
    );
}

#[test]
fn hooks_run_in_order_and_place() {
    let mut bundle = Bundle::new("hooks");
    let log = bundle.path().join("hooks.log");
    let hook = |name: &str| {
        let script = format!(
            "read -r state; echo \"{name} $(echo \"$state\" | grep -o '\"status\":\"[a-z]*\"' | cut -d: -f2) $VAR\" >> {}",
            log.display()
        );
        json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["VAR=x", "PATH=/bin:/usr/bin"]}])
    };
    bundle.spec["hooks"] = json!({
        "prestart": hook("prestart"), "createRuntime": hook("createRuntime"), "createContainer": hook("createContainer"),
        "poststart": hook("poststart"), "poststop": hook("poststop"),
        "startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "echo inside > /etc/hook"]}],
    });
    bundle.script("cat /etc/hook");
    let run = bundle.run();
    assert_eq!((run.out.as_str(), run.err.as_str()), ("inside\n", ""));
    expect![[r#"
        prestart "creating" x
        createRuntime "creating" x
        createContainer "creating" x
        poststart "running" x
        poststop "stopped" x
    "#]]
    .assert_eq(&fs::read_to_string(&log).unwrap());
    bundle.spec["hooks"] =
        json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "echo no >&2; exit 3"]}]});
    let failed = bundle.run();
    assert!(
        failed.err.contains("error running createRuntime hook #0: exit status: 3")
            && failed.err.contains("stderr: no"),
        "{}",
        failed.err
    );
    bundle.assert_clean();
}

#[test]
fn images_cannot_lead_mounts_out_of_the_root() {
    let mut bundle = Bundle::new("links");
    let outside = bundle.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, bundle.rootfs().join("data")).unwrap();
    symlink("../../../../../../../../../../..", bundle.rootfs().join("up")).unwrap();
    for destination in ["/data/mount", "/up/deep"] {
        bundle.mounts().push(json!({"destination": destination, "type": "tmpfs", "source": "tmpfs"}));
    }
    bundle.script("grep -c -e outside -e /deep /proc/self/mountinfo");
    let run = bundle.run();
    assert_eq!(run.out, "2\n", "{}", run.err);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    // The kernel's files must be where everybody looks for them.
    fs::remove_dir(bundle.rootfs().join("proc")).unwrap();
    symlink("/etc", bundle.rootfs().join("proc")).unwrap();
    assert!(bundle.run().err.contains("error mounting \"proc\" to rootfs at \"/proc\": not a directory"));
}

#[test]
fn read_only_roots_and_binds() {
    let mut bundle = Bundle::new("readonly");
    bundle.spec["root"]["readonly"] = json!(true);
    let source = bundle.path().join("shared");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "content\n").unwrap();
    let source = source.to_str().unwrap().to_owned();
    bundle.mounts().push(
        json!({"destination": "/rw/dir", "type": "bind", "source": source, "options": ["rbind", "rprivate"]}),
    );
    bundle.mounts().push(json!({"destination": "/ro/file", "type": "bind", "source": format!("{source}/file"), "options": ["bind", "ro"]}));
    bundle.script("touch /x || touch /ro/file || cat /ro/file; echo new > /rw/dir/new; echo x > /proc/sys/kernel/domainname");
    let run = bundle.run();
    assert_eq!(run.out, "content\n", "{}", run.err);
    assert_eq!(run.err.matches("Read-only file system").count(), 3, "{}", run.err);
    assert_eq!(fs::read_to_string(format!("{source}/new")).unwrap(), "new\n");
}

#[test]
fn shared_binds_reach_the_host_and_nothing_else_does() {
    let mut bundle = Bundle::new("shared");
    let source = bundle.path().join("shared");
    fs::create_dir(&source).unwrap();
    bundle.spec["linux"]["seccomp"] = json!(null);
    bundle.spec["linux"]["rootfsPropagation"] = json!("rshared");
    for set in ["bounding", "effective", "permitted"] {
        bundle.spec["process"]["capabilities"][set].as_array_mut().unwrap().push(json!("CAP_SYS_ADMIN"));
    }
    bundle.mounts().push(
        json!({"destination": "/data", "type": "bind", "source": source, "options": ["rbind", "rshared"]}),
    );
    bundle.script("mkdir /data/in && mount -t tmpfs inner /data/in; mkdir /own; mount -t tmpfs own /own");
    let run = bundle.command(&["run", "--bundle", bundle.path().to_str().unwrap(), bundle.id()]);
    // A mount namespace of the test's own plays the host, its mounts shared like systemd does it.
    let mut host = std::process::Command::new("unshare");
    host.args(["--mount", "--propagation", "shared", "sh", "-c"]);
    host.arg("mount --bind \"$DIR\" \"$DIR\" && \"$0\" \"$@\" && grep -e inner -e own -e rootfs /proc/self/mountinfo");
    host.env("DIR", &source).arg(run.get_program()).args(run.get_args());
    let output = host.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let only_inner = text.lines().all(|line| line.contains("/shared/in "));
    assert!(only_inner && !text.is_empty(), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn id_mapped_binds() {
    let mut bundle = Bundle::new("idmap");
    let source = bundle.path().join("shared");
    fs::create_dir(&source).unwrap();
    std::os::unix::fs::chown(&source, Some(7), Some(8)).unwrap();
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    bundle
        .mounts()
        .push(json!({"destination": "/data", "type": "bind", "source": source, "options": ["bind", "idmap"],
        "uidMappings": map, "gidMappings": map}));
    bundle.script("stat -c %u:%g /data");
    let run = bundle.run();
    assert_eq!(run.out, "100007:100008\n", "{}", run.err);
}

#[test]
fn overlay_roots_leave_no_mount() {
    use wharf_runtime::RootFs;
    // The layers' order and the writable layer, through the library in a process of its own.
    let bundle = Bundle::new("overlay");
    let layer = |name: &str| {
        let dir = bundle.path().join(name);
        fs::create_dir(&dir).unwrap();
        dir
    };
    let (top, upper, work) = (layer("top"), layer("upper"), layer("work"));
    fs::write(top.join("hello"), "from top\n").unwrap();
    let rootfs = RootFs::Overlay {
        lower: vec![top, bundle.rootfs()],
        upper: Some(upper.clone()),
        work: Some(work),
        options: Vec::new(),
    };
    let text = serde_json::to_string(&rootfs).unwrap();
    assert_eq!(serde_json::from_str::<RootFs>(&text).unwrap(), rootfs);
    let mut spec = bundle.spec.clone();
    spec["process"]["args"] = json!(["sh", "-c", "cat /hello; echo changed > /new"]);
    let spec = serde_json::from_value(spec).unwrap();
    let (read, write) = std::io::pipe().unwrap();
    let null = || std::os::fd::OwnedFd::from(fs::File::open("/dev/null").unwrap());
    let stdio = wharf_runtime::Stdio::Fds { stdin: null(), stdout: write.into(), stderr: null() };
    let args = wharf_runtime::CreateArgs::new(bundle.id(), bundle.path(), &spec, &rootfs, stdio);
    let process = wharf_runtime::create(args).unwrap().start().unwrap();
    assert_eq!(wharf_runtime::wait(process.pidfd.as_fd()).unwrap(), 0);
    assert_eq!(std::io::read_to_string(read).unwrap(), "from top\n");
    assert_eq!(fs::read_to_string(upper.join("new")).unwrap(), "changed\n");
    let cgroup = process.cgroup.unwrap();
    assert!(cgroup.stats().unwrap().pids.current == 0);
    cgroup.delete().unwrap();
    bundle.assert_clean();
}

#[test]
fn an_abandoned_creation_leaves_nothing() {
    let bundle = Bundle::new("abandoned");
    let spec = serde_json::from_value(bundle.spec.clone()).unwrap();
    let rootfs = wharf_runtime::RootFs::Path(bundle.rootfs());
    let stdio = wharf_runtime::Stdio::Inherit;
    let args = wharf_runtime::CreateArgs::new(bundle.id(), bundle.path(), &spec, &rootfs, stdio);
    let mut created = wharf_runtime::create(args).unwrap();
    assert!(fs::exists(format!("/proc/{}/ns/net", created.pid())).unwrap());
    created.prepare().unwrap();
    drop(created);
    bundle.assert_clean();
}
