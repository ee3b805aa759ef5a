//! Docker's own command line drives the engine.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{fs, process::Command, thread, time::Duration};

use wharf_tests::{Archive, Output, Pty, Registry, TestDaemon, until};

struct Docker(TestDaemon);

impl Docker {
    fn start(name: &str) -> Docker {
        let version = Command::new("docker").arg("--version").output();
        let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        assert!(
            version.is_ok_and(|version| version.starts_with("Docker version")),
            "these tests need Docker's command line: the Debian package docker-cli (before Debian 13: docker.io)"
        );
        Docker(TestDaemon::start(name))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(args).env("DOCKER_HOST", self.0.host()).env("DOCKER_CONFIG", &self.0.folder);
        command.stdin(std::process::Stdio::null());
        command
    }

    fn docker(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap().into()
    }

    /// Runs a command that must succeed; returns its trimmed output.
    fn run(&self, args: &[&str]) -> String {
        let output = self.docker(args);
        assert_eq!(output.code, 0, "docker {args:?}: {} {}", output.stdout, output.stderr);
        output.stdout.trim_end().to_owned()
    }

    fn terminal(&self, args: &[&str]) -> Pty {
        Pty::spawn(&self.command(args))
    }
}

#[test]
fn version_and_info_name_the_engine() {
    let docker = Docker::start("dversion");
    assert_eq!(docker.run(&["version", "-f", "{{.Server.Os}} {{.Server.MinAPIVersion}}"]), "linux 1.24");
    assert!(docker.run(&["version"]).contains("Server: wharf"));
    assert_eq!(docker.run(&["info", "-f", "{{.Images}} {{.Containers}} {{.OSType}}"]), "1 0 linux");
}

#[test]
fn run_passes_streams_and_exit_code() {
    let docker = Docker::start("drun");
    let output = docker.docker(&["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str(), output.code), ("out\n", "err\n", 7));
    let input = docker.0.folder.join("input");
    let text: String = (0..20_000).map(|line| format!("{line}\n")).collect();
    fs::write(&input, &text).unwrap();
    let mut command = docker.command(&["run", "--rm", "-i", "busybox", "cat"]);
    let output: Output = command.stdin(fs::File::open(input).unwrap()).output().unwrap().into();
    assert!(output.ok() == text.trim_end(), "standard input comes back whole");
    assert_eq!(docker.docker(&["run", "--rm", "busybox", "nosuch"]).code, 127);
    assert_eq!(docker.run(&["ps", "-aq"]), "");
}

#[test]
fn containers_are_listed_inspected_and_stopped() {
    let docker = Docker::start("dlife");
    let id =
        docker.run(&["run", "-d", "--name", "box", "-e", "A=b", "-l", "k=v", "busybox", "sleep", "1000"]);
    assert_eq!(
        docker.run(&["ps", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}"]),
        format!("{id} box running")
    );
    assert_eq!(docker.run(&["ps", "-q", "-f", "label=k=v"]), &id[..12]);
    let format = "{{.Id}} {{.State.Running}} {{index .Config.Env 0}} {{index .Config.Labels \"k\"}}";
    assert_eq!(docker.run(&["inspect", "-f", format, "box"]), format!("{id} true A=b v"));
    assert_eq!(docker.run(&["top", "box", "-o", "pid,args"]).lines().count(), 2);
    assert_eq!(docker.run(&["stop", "-t", "0", "box"]), "box");
    assert_eq!(docker.run(&["wait", "box"]), "137");
    assert_eq!(docker.run(&["rm", "box"]), "box");
    let output = docker.docker(&["inspect", "box"]);
    assert!(output.code == 1 && output.stderr.to_lowercase().contains("no such object: box"), "{output:?}");
}

#[test]
fn logs_follow_until_the_end() {
    let docker = Docker::start("dlogs");
    let script = "mkfifo /srv/go; echo one; read x </srv/go; echo two >&2";
    docker.run(&["run", "-d", "--name", "box", "busybox", "sh", "-c", script]);
    assert!(until(Duration::from_secs(5), || docker.run(&["logs", "box"]) == "one"));
    let mut follow = docker.command(&["logs", "-f", "box"]);
    let follow = thread::spawn(move || Output::from(follow.output().unwrap()));
    thread::sleep(Duration::from_millis(300));
    assert!(!follow.is_finished(), "it waits for more");
    // The container may end, and all that runs in it, before this has.
    docker.docker(&["exec", "box", "sh", "-c", "echo >/srv/go"]);
    let output = follow.join().unwrap();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("one\n", "two\n"));
}

#[test]
fn run_on_a_terminal() {
    let docker = Docker::start("dtty");
    let mut terminal = docker.terminal(&["run", "--rm", "-it", "--name", "box", "busybox", "sh"]);
    terminal.expect("# ");
    terminal.send("tty; echo $((6*7))\n");
    terminal.expect("/dev/pts/0");
    terminal.expect("\r\n42\r\n");
    let sized = until(Duration::from_secs(5), || {
        docker.run(&["exec", "box", "stty", "-F", "/dev/pts/0", "size"]) == "24 80"
    });
    assert!(sized, "the terminal has the size of the client's");
    terminal.resize(30, 100);
    let sized = until(Duration::from_secs(5), || {
        docker.run(&["exec", "box", "stty", "-F", "/dev/pts/0", "size"]) == "30 100"
    });
    assert!(sized, "the size follows");
    terminal.send("exit 7\n");
    assert_eq!(terminal.wait(), 7);
    assert!(until(Duration::from_secs(5), || docker.run(&["ps", "-aq"]).is_empty()));
}

#[test]
fn exec_on_a_terminal() {
    let docker = Docker::start("dexec");
    docker.run(&["run", "-d", "--name", "box", "busybox", "sleep", "1000"]);
    let mut terminal = docker.terminal(&["exec", "-it", "-e", "A=b", "box", "sh"]);
    terminal.expect("# ");
    terminal.send("echo =$A=; test -t 0 && exit 3\n");
    terminal.expect("\r\n=b=\r\n");
    assert_eq!(terminal.wait(), 3);
    assert_eq!(docker.run(&["ps", "--format", "{{.Names}}"]), "box", "the container goes on");
}

#[test]
fn keys_detach_from_a_terminal_and_attach_comes_back() {
    let docker = Docker::start("ddetach");
    let mut terminal = docker.terminal(&["run", "-it", "--name", "box", "busybox", "sh"]);
    terminal.expect("# ");
    terminal.send("A=remembered\n");
    terminal.expect("# ");
    terminal.send("\x10\x11");
    assert_eq!(terminal.wait(), 0);
    assert_eq!(docker.run(&["inspect", "-f", "{{.State.Running}}", "box"]), "true");
    let mut terminal = docker.terminal(&["attach", "box"]);
    terminal.send("echo =$A=\n");
    terminal.expect("=remembered=");
    terminal.send("\x10\x11");
    terminal.wait();
    assert_eq!(docker.run(&["inspect", "-f", "{{.State.Running}}", "box"]), "true");
    let mut terminal = docker.terminal(&["attach", "--detach-keys", "ctrl-x,x", "box"]);
    terminal.send("echo =again=\n");
    terminal.expect("\r\n=again=\r\n");
    terminal.send("\x18x");
    terminal.wait();
    assert_eq!(docker.run(&["inspect", "-f", "{{.State.Running}}", "box"]), "true");
    let mut terminal = docker.terminal(&["attach", "box"]);
    terminal.send("exit 5\n");
    assert_eq!(terminal.wait(), 5);
}

#[test]
fn images_come_from_a_registry_and_from_archives() {
    let docker = Docker::start("dimages");
    let registry = Registry::start(&docker.0.folder);
    let image = Archive::busybox("from a registry");
    let name = registry.push(&image, "group/greeting:v1");
    let output = docker.run(&["pull", &name]);
    assert!(
        output.contains("Pull complete") && output.contains("Status: Downloaded newer image"),
        "{output}"
    );
    assert_eq!(docker.run(&["run", "--rm", &name]), "from a registry");
    assert!(docker.run(&["pull", &name]).contains("Status: Image is up to date"));
    docker.run(&["rmi", &name]);
    let archive = docker.0.folder.join("image.tar");
    fs::write(&archive, Archive::busybox("from an archive").to_tar("greeting:loaded")).unwrap();
    assert_eq!(docker.run(&["load", "-i", archive.to_str().unwrap()]), "Loaded image: greeting:loaded");
    assert_eq!(docker.run(&["run", "--rm", "greeting:loaded"]), "from an archive");
    let list = docker.run(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    let mut list: Vec<_> = list.lines().collect();
    list.sort_unstable();
    assert_eq!(list, ["busybox:latest", "greeting:loaded"]);
}
