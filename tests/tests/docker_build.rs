//! `docker build` of Docker's own command line and buildx, unchanged, against this engine. Needs a Docker installation to
//! take them from (`ORACLE`).

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use wharf_tests::{Oracle, Output, TestDaemon, until};

/// The command line, the engine, and a folder with a build context.
struct Docker {
    program: PathBuf,
    daemon: TestDaemon,
    context: PathBuf,
}

const DOCKERFILE: &str = "\
# a stage
FROM busybox AS base
ARG WHAT=nothing
RUN echo \"$WHAT\" >/what
FROM base
COPY . /app
CMD cat /what /app/in
";

impl Docker {
    fn start(name: &str) -> Option<Docker> {
        let _ = Oracle::find(name)?;
        let program = std::env::var_os("ORACLE").unwrap().into();
        let daemon = TestDaemon::start(name);
        let context = daemon.folder.join("context");
        fs::create_dir_all(context.join("folder")).unwrap();
        fs::write(context.join("Dockerfile"), DOCKERFILE).unwrap();
        fs::write(context.join(".dockerignore"), "drop*\n!dropnot\n").unwrap();
        for file in ["in", "drop", "dropnot", "folder/deep"] {
            fs::write(context.join(file), format!("{file}\n")).unwrap();
        }
        Some(Docker { program, daemon, context })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("docker").args(args).env("DOCKER_HOST", self.daemon.host());
        command.current_dir(&self.context).stdin(Stdio::null());
        command
    }

    fn docker(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap().into()
    }

    fn run(&self, args: &[&str]) -> String {
        let output = self.docker(args);
        assert_eq!(output.code, 0, "docker {args:?}: {} {}", output.stdout, output.stderr);
        output.stdout.trim_end().to_owned()
    }

    /// Builds with something on standard input.
    fn with_stdin(&self, args: &[&str], input: &std::path::Path) -> String {
        let input = fs::File::open(input).unwrap();
        Output::from(self.command(args).stdin(input).output().unwrap()).ok()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.context.join(name), text).unwrap();
    }
}

#[test]
fn a_folder_is_built() {
    let Some(docker) = Docker::start("dkbuild") else { return };
    let output =
        docker.docker(&["build", "--progress", "plain", "-t", "made", "--build-arg", "WHAT=that", "."]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    for line in [
        "[internal] load build definition from Dockerfile",
        "[internal] load .dockerignore",
        "[internal] load metadata for docker.io/library/busybox:latest",
        "[internal] load build context",
        "[base 2/2] RUN echo \"that\" >/what",
        "[stage-1 1/1] COPY . /app",
        "naming to docker.io/library/made done",
        "1 warning found",
        "JSONArgsRecommended: JSON arguments recommended for CMD",
    ] {
        assert!(output.stderr.contains(line), "{line} in {}", output.stderr);
    }
    assert_eq!(docker.run(&["run", "--rm", "made"]), "that\nin");
    let listing = docker.run(&["run", "--rm", "made", "ls", "/app"]);
    assert_eq!(listing.lines().collect::<Vec<_>>(), ["Dockerfile", "dropnot", "folder", "in"]);

    let id = docker.run(&["inspect", "-f", "{{.Id}}", "made"]);
    let (iid, metadata) = ("iid", "metadata.json");
    let args = [
        "build",
        "-q",
        "-t",
        "made:2",
        "--build-arg",
        "WHAT=that",
        "--iidfile",
        iid,
        "--metadata-file",
        metadata,
        ".",
    ];
    assert_eq!(docker.run(&args), id, "known from before");
    assert_eq!(fs::read_to_string(docker.context.join(iid)).unwrap(), id);
    let metadata = fs::read_to_string(docker.context.join(metadata)).unwrap();
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    assert_eq!(metadata["containerimage.digest"], id);
    assert_eq!(metadata["image.name"], "docker.io/library/made:2");

    // A changed file is noticed.
    docker.write("in", "changed\n");
    docker.run(&["build", "-q", "-t", "made", "."]);
    assert_eq!(docker.run(&["run", "--rm", "made"]), "nothing\nchanged");
}

#[test]
fn other_contexts() {
    let Some(docker) = Docker::start("dkctx") else { return };
    docker.write("Stdin", "FROM busybox\nRUN echo from stdin >/x\nCMD [\"cat\", \"/x\"]\n");
    let id = docker.with_stdin(&["build", "-q", "-"], &docker.context.join("Stdin"));
    assert_eq!(docker.run(&["run", "--rm", &id]), "from stdin");
    let id = docker.with_stdin(&["build", "-q", "-f", "-", "."], &docker.context.join("Stdin"));
    assert_eq!(docker.run(&["run", "--rm", &id]), "from stdin");

    let tar = docker.daemon.folder.join("context.tgz");
    let status = Command::new("tar").arg("-C").arg(&docker.context).arg("-czf").arg(&tar).arg(".").status();
    assert!(status.unwrap().success());
    let id = docker.with_stdin(&["build", "-q", "-"], &tar);
    assert_eq!(docker.run(&["run", "--rm", &id]), "nothing\nin");

    docker.write("Named", "FROM given\nCOPY --from=other deep /deep\nCMD [\"cat\", \"/deep\"]\n");
    let contexts = ["--build-context", "other=folder", "--build-context", "given=docker-image://busybox"];
    let id = docker.run(&[&["build", "-q", "-f", "Named"], &contexts[..], &["."]].concat());
    assert_eq!(docker.run(&["run", "--rm", &id]), "folder/deep");

    docker.write(
        "Secret",
        "FROM busybox\nRUN --mount=type=secret,id=s cp /run/secrets/s /s && cat /etc/hosts >/hosts\n",
    );
    let flags = ["--secret", "id=s,src=in", "--add-host", "some:1.2.3.4"];
    let id = docker.run(&[&["build", "-q", "-f", "Secret"], &flags[..], &["."]].concat());
    assert!(docker.run(&["run", "--rm", &id, "cat", "/s", "/hosts"]).starts_with("in\n"));
}

#[test]
fn outputs_go_to_the_client() {
    let Some(docker) = Docker::start("dkout") else { return };
    docker.run(&["build", "-q", "-o", "../out", "."]);
    let out = docker.daemon.folder.join("out");
    assert_eq!(fs::read_to_string(out.join("app/folder/deep")).unwrap(), "folder/deep\n");
    assert!(out.join("bin/sh").is_symlink() && !out.join("app/drop").exists());
    docker.run(&["build", "-q", "-o", "type=tar,dest=../out.tar", "."]);
    let tar = fs::File::open(docker.daemon.folder.join("out.tar")).unwrap();
    let mut tar = tar::Archive::new(tar);
    let paths: Vec<_> =
        tar.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
    assert!(paths.iter().any(|path| path == "app/folder/deep"), "{paths:?}");
    assert_eq!(docker.run(&["images", "-q", "--filter", "dangling=true"]), "", "no image is made");
}

#[test]
fn failures_show_the_dockerfile() {
    let Some(docker) = Docker::start("dkfail") else { return };
    docker.write("Bad", "FROM busybox\nRUN echo out; exit 3\n");
    let output = docker.docker(&["build", "--progress", "plain", "-f", "Bad", "."]);
    let expected = "\
------
Bad:2
--------------------
   1 |     FROM busybox
   2 | >>> RUN echo out; exit 3
   3 |     
--------------------
ERROR: failed to build: failed to solve: process \"/bin/sh -c echo out; exit 3\" did not complete successfully: exit \
                    code: 3";
    assert!(output.code == 1 && output.stderr.contains(expected), "{}", output.stderr);
    for (text, expected) in [
        ("FROM busybox\nRUNX\n", "dockerfile parse error on line 2: unknown instruction: RUNX"),
        ("FROM busybox\nCOPY none /\n", "\"/none\": not found"),
        ("# syntax=example/other\nFROM busybox\n", "frontend example/other: only Dockerfiles are supported"),
    ] {
        docker.write("Bad", text);
        let output = docker.docker(&["build", "-q", "-f", "Bad", "."]);
        assert!(output.code == 1 && output.stderr.contains(expected), "{expected}: {}", output.stderr);
    }
    let output = docker.docker(&["build", "--check", "."]);
    assert!(output.stdout.contains("Check complete, 1 warning has been found!"), "{output:?}");
    assert_eq!(output.code, 1);
    let targets = docker.run(&["build", "--call", "targets", "."]);
    assert!(targets.contains("base") && targets.contains("(default)"), "{targets}");
}

#[test]
fn an_interrupt_ends_the_build() {
    let Some(docker) = Docker::start("dkint") else { return };
    docker.write("Long", "FROM busybox\nRUN echo begun && sleep 1000\n");
    let child =
        docker.command(&["build", "--progress", "plain", "-f", "Long", "."]).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    let mut shown = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.ends_with("begun\n") || line.contains("RUN") {
        line.clear();
        assert_ne!(std::io::BufRead::read_line(&mut shown, &mut line).unwrap(), 0, "the step does not begin");
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut shown, &mut rest).unwrap();
    assert!(rest.contains("context canceled"), "{rest}");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let idle = || docker.run(&["builder", "prune", "-af"]).contains("Total:");
    assert!(until(Duration::from_secs(20), idle));
}

#[test]
fn the_cache_is_shown_and_pruned() {
    let Some(docker) = Docker::start("dkcache") else { return };
    docker.run(&["build", "-q", "."]);
    assert!(docker.run(&["buildx", "inspect"]).contains("BuildKit version: v"));
    assert!(docker.run(&["buildx", "ls"]).contains("running"));
    assert!(docker.run(&["buildx", "du", "--verbose"]).contains("COPY . /app"));
    docker.run(&["buildx", "prune", "-af"]);
    assert!(docker.run(&["buildx", "du"]).contains("Total:\t\t0B"));
    docker.write(
        "compose.yaml",
        "services:\n  one:\n    build: .\n  two:\n    build:\n      context: .\n      target: base\n",
    );
    docker.run(&["compose", "-p", "wharfdk", "build", "-q"]);
    assert_eq!(docker.run(&["images", "-q", "--filter", "reference=wharfdk-*"]).lines().count(), 2);
}
