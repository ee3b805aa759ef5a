//! Contexts and sources that come from repositories, the web or standard input, and key agents.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use wharf_tests::{Output, TestDaemon, Web, free_port, until, write_tar};

fn git(folder: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main"]).args(args);
    command.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "n").env(format!("GIT_{who}_EMAIL"), "n@e.org");
    }
    Output::from(command.output().expect("the tests need git")).ok()
}

/// A repository with two commits, of which the first has the tag `v1`, and a branch `side`; ready for plain files over
/// HTTP. Returns the hash of the first commit.
fn repository(folder: &Path, name: &str) -> String {
    let work = folder.join(format!("{name}-work"));
    fs::create_dir_all(work.join("sub")).unwrap();
    git(&work, &["init", "-q"]);
    let write = |path: &str, text: &str| fs::write(work.join(path), text).unwrap();
    write("Dockerfile", "FROM busybox\nCOPY . /all\n");
    write("sub/Dockerfile", "FROM busybox\nCOPY f /f\nRUN cat /f\n");
    write("sub/f", "one\n");
    write("run.sh", "#!/bin/sh\n");
    std::os::unix::fs::symlink("sub/f", work.join("link")).unwrap();
    git(&work, &["add", "."]);
    git(&work, &["update-index", "--chmod=+x", "run.sh"]);
    git(&work, &["commit", "-qm", "one"]);
    git(&work, &["tag", "-a", "-m", "x", "v1"]);
    let first = git(&work, &["rev-parse", "HEAD"]);
    git(&work, &["checkout", "-q", "-b", "side"]);
    write("sub/f", "side\n");
    git(&work, &["commit", "-qam", "side"]);
    git(&work, &["checkout", "-q", "main"]);
    write("sub/f", "two\n");
    git(&work, &["commit", "-qam", "two"]);
    bare(folder, name);
    first
}

fn bare(folder: &Path, name: &str) {
    git(folder, &["clone", "-q", "--bare", &format!("{name}-work"), &format!("{name}.git")]);
    git(&folder.join(format!("{name}.git")), &["update-server-info"]);
}

fn build(daemon: &TestDaemon, args: &[&str]) -> Output {
    daemon.wharf(&[&["build", "--progress", "plain"], args].concat())
}

fn built(daemon: &TestDaemon, args: &[&str]) -> Output {
    let output = build(daemon, args);
    assert_eq!(output.code, 0, "{}\n{}", output.stderr, daemon.log());
    output
}

fn refused(output: Output, reason: &str) {
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(output.stderr.contains(reason), "{reason:?} in {}", output.stderr);
}

fn dockerfile(daemon: &TestDaemon, text: &str) -> PathBuf {
    let folder = daemon.folder.join("context");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("Dockerfile"), text).unwrap();
    folder
}

/// Nothing of a build's own is left in the engine's folder.
fn temp_is_empty(daemon: &TestDaemon) -> bool {
    let entries = fs::read_dir(daemon.data().join("build/temp"));
    entries.map_or(0, Iterator::count) == 0
}

struct GitDaemon(Child, u16);

impl GitDaemon {
    fn serve(folder: &Path) -> Self {
        let port = free_port();
        let program = Path::new(&git(folder, &["--exec-path"])).join("git-daemon");
        let mut command = Command::new(program);
        command.args(["--export-all", "--reuseaddr", "--listen=127.0.0.1", &format!("--port={port}")]);
        command.arg(format!("--base-path={}", folder.display())).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        assert!(until(Duration::from_secs(10), || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()));
        Self(child, port)
    }
}

impl Drop for GitDaemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn contexts_come_from_repositories() {
    let daemon = TestDaemon::start("gitctx");
    let first = repository(&daemon.folder, "app");
    let web = Web::serve(&daemon.folder);
    let served = GitDaemon::serve(&daemon.folder);
    let http = format!("http://{}/app.git", web.address);
    let smart = format!("git://127.0.0.1:{}/app.git", served.1);
    let content = |name: &str| daemon.run(&["run", "--rm", name, "cat", "/f"]);
    for url in [&http, &smart] {
        let output = built(&daemon, &["-t", "a", &format!("{url}#v1:sub")]);
        assert!(
            output.stderr.contains(&format!("[internal] load git source {url}#v1:sub\n")),
            "{}",
            output.stderr
        );
        assert_eq!(content("a"), "one");
        built(&daemon, &["-t", "b", &format!("{url}#:sub")]);
        assert_eq!(content("b"), "two");
        built(&daemon, &["-t", "c", &format!("{url}?branch=side&subdir=sub")]);
        assert_eq!(content("c"), "side");
        built(&daemon, &["-t", "d", &format!("{url}#{first}:sub")]);
        assert_eq!(content("d"), "one");
        refused(build(&daemon, &[&format!("{url}#nope")]), "repository does not contain ref nope");
        refused(build(&daemon, &[&format!("{url}#-x")]), "invalid git ref \"-x\"");
        refused(build(&daemon, &[&format!("{url}#main:none")]), "subdir not found or not a directory: none");
        refused(build(&daemon, &[&format!("{url}#main:link")]), "subdir not found or not a directory: link");
        refused(build(&daemon, &[&format!("{url}?foo=1")]), "unexpected query \"foo\"");
    }
    let again = built(&daemon, &[&format!("{http}#v1:sub")]);
    assert_eq!(again.stderr.matches(" CACHED").count(), 2, "{}", again.stderr);
    built(&daemon, &["-t", "all", "-f", "Dockerfile", &http]);
    assert_eq!(
        daemon.run(&[
            "run",
            "--rm",
            "all",
            "sh",
            "-c",
            "cd /all; ls -A; stat -c '%a %u:%g' run.sh sub/f sub; cat link"
        ]),
        "Dockerfile\nlink\nrun.sh\nsub\n755 0:0\n644 0:0\n755 0:0\ntwo"
    );
    refused(build(&daemon, &["http://127.0.0.1:1/x.git"]), "git stderr:\n");
    assert!(temp_is_empty(&daemon));
    // The classic protocol.
    let mut stream = UnixStream::connect(daemon.folder.join("wharf.sock")).unwrap();
    write!(
        stream,
        "POST /v1.51/build?t=classic&remote={http}%23side:sub HTTP/1.0\r\nContent-Length: 0\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("Successfully tagged classic:latest"), "{answer}");
    assert_eq!(content("classic"), "side");
}

#[test]
fn repositories_are_added() {
    let daemon = TestDaemon::start("gitadd");
    let first = repository(&daemon.folder, "app");
    repository(&daemon.folder, "lib");
    let web = Web::serve(&daemon.folder);
    let url = format!("http://{}/app.git", web.address);
    let work = daemon.folder.join("app-work");
    git(&work, &["submodule", "--quiet", "add", "../lib.git", "lib"]);
    git(&work, &["commit", "-qm", "with lib"]);
    fs::remove_dir_all(daemon.folder.join("app.git")).unwrap();
    bare(&daemon.folder, "app");
    let text = format!(
        "FROM busybox\nADD {url} /new/\nADD --checksum={first} {url}#v1 /old/\nADD {url}#side:sub /sub/\n\
         ADD --keep-git-dir=true {url} /kept/\nADD {url}?submodules=false /alone/\n"
    );
    let folder = dockerfile(&daemon, &text);
    let folder = folder.to_str().unwrap();
    built(&daemon, &["-t", "a", folder]);
    let script = "cat /new/sub/f /new/lib/sub/f /old/sub/f /sub/f; ls -A /new /new/lib /sub /alone/lib; \
                  cat /kept/.git/config | grep url; cat /kept/.git/HEAD; ls /kept/.git | grep -c HEAD";
    let head = git(&work, &["rev-parse", "HEAD"]);
    assert_eq!(
        daemon.run(&["run", "--rm", "a", "sh", "-c", script]),
        format!(
            "two\ntwo\none\nside\n/alone/lib:\n\n/new:\n.gitmodules\nDockerfile\nlib\nlink\nrun.sh\nsub\n\n/new/lib:\nDockerfile\n\
             link\nrun.sh\nsub\n\n/sub:\nDockerfile\nf\n\turl = {url}\n\turl = http://{}/lib.git\n{head}\n1",
            web.address
        )
    );
    let again = built(&daemon, &["-t", "a", folder]);
    assert_eq!(again.stderr.matches(" CACHED").count(), 5, "{}", again.stderr);
    let wrong = format!("FROM busybox\nADD --checksum={} {url}#v1 /x/\n", "0".repeat(40));
    dockerfile(&daemon, &wrong);
    refused(
        build(&daemon, &[folder]),
        &format!("expected checksum to match {}, got {first}", "0".repeat(40)),
    );
    // Files of this host are no repository, not even for a repository that says so.
    dockerfile(&daemon, &format!("FROM busybox\nADD file://{}/lib.git /x/\n", daemon.folder.display()));
    refused(build(&daemon, &[folder]), "not found");
    git(
        &work,
        &[
            "config",
            "-f",
            ".gitmodules",
            "submodule.lib.url",
            &format!("file://{}/lib.git", daemon.folder.display()),
        ],
    );
    git(&work, &["commit", "-qam", "hostile"]);
    fs::remove_dir_all(daemon.folder.join("app.git")).unwrap();
    bare(&daemon.folder, "app");
    dockerfile(&daemon, &format!("FROM busybox\nADD {url} /x/\n"));
    refused(build(&daemon, &[folder]), "transport 'file' not allowed");
    assert!(temp_is_empty(&daemon));
}

#[test]
fn secrets_let_into_repositories() {
    let daemon = TestDaemon::start("gitauth");
    repository(&daemon.folder, "app");
    // base64 of x-access-token:TOKEN-OF-MINE
    let basic = "Authorization: basic eC1hY2Nlc3MtdG9rZW46VE9LRU4tT0YtTUlORQ==";
    let web = Web::serve_to(&daemon.folder, basic);
    let url = format!("http://{}/app.git#:sub", web.address);
    refused(build(&daemon, &[&url]), "git stderr:\n");
    let token = daemon.folder.join("token");
    fs::write(&token, "TOKEN-OF-MINE\n").unwrap();
    let secret = format!("id=GIT_AUTH_TOKEN,src={}", token.display());
    let output = built(&daemon, &["-t", "a", "--secret", &secret, &url]);
    assert!(!output.stderr.contains("TOKEN-OF") && !daemon.log().contains("TOKEN-OF"));
    assert!(web.requests().iter().any(|line| line.eq_ignore_ascii_case(basic)));
    let secret = format!("id=GIT_AUTH_TOKEN.other.example,src={}", token.display());
    refused(build(&daemon, &["--secret", &secret, &url]), "git stderr:\n");
}

#[test]
fn a_client_that_goes_away_ends_its_clone() {
    let daemon = TestDaemon::start("gitgone");
    // Somebody who never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x.git", listener.local_addr().unwrap());
    let mut command = daemon.command(&["build", &url]);
    let mut client = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let held = listener.accept().unwrap();
    assert!(!temp_is_empty(&daemon));
    client.kill().unwrap();
    client.wait().unwrap();
    assert!(until(Duration::from_secs(20), || temp_is_empty(&daemon)));
    drop(held);
}

#[test]
fn contexts_come_from_the_web() {
    let daemon = TestDaemon::start("webctx");
    let folder = daemon.folder.join("web");
    fs::create_dir_all(&folder).unwrap();
    let tar = write_tar(&[("Dockerfile", b"FROM busybox\nCOPY f /f\n", 0o644), ("f", b"content\n", 0o644)]);
    fs::write(folder.join("plain"), &tar).unwrap();
    let script = "import bz2, gzip, lzma, sys\nd = open('plain', 'rb').read()\nfor n, m in [('gz', gzip), ('bz2', bz2), ('xz', \
                  lzma)]:\n  open(n, 'wb').write(m.compress(d))";
    let packed = Command::new("python3").args(["-c", script]).current_dir(&folder).status().unwrap();
    assert!(packed.success());
    // Longer than what is looked at, with a character across the end of that.
    let text = format!("#{}é{}\nFROM busybox\nRUN echo alone >/f\n", "x".repeat(510), "y".repeat(600));
    fs::write(folder.join("Dockerfile"), text).unwrap();
    let web = Web::serve(&folder);
    for name in ["plain", "gz", "bz2", "xz"] {
        let output = built(&daemon, &["-t", "web", &format!("http://{}/{name}", web.address)]);
        assert!(output.stderr.contains("[internal] load remote build context\n"), "{}", output.stderr);
        assert_eq!(daemon.run(&["run", "--rm", "web", "cat", "/f"]), "content");
        let mut command = daemon.command(&["build", "-q", "-t", "stdin", "-"]);
        command.stdin(fs::File::open(folder.join(name)).unwrap());
        Output::from(command.output().unwrap()).ok();
        assert_eq!(daemon.run(&["run", "--rm", "stdin", "cat", "/f"]), "content");
    }
    built(&daemon, &["-t", "alone", &format!("http://{}/Dockerfile", web.address)]);
    assert_eq!(daemon.run(&["run", "--rm", "alone", "cat", "/f"]), "alone");
    let mut command = daemon.command(&["build", "-q", "-t", "text", "-"]);
    command.stdin(fs::File::open(folder.join("Dockerfile")).unwrap());
    Output::from(command.output().unwrap()).ok();
    refused(build(&daemon, &[&format!("http://{}/none", web.address)]), "404");
}

/// Asks the agent for its keys and prints the answer.
const ASK: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(void) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char *path = getenv("SSH_AUTH_SOCK"), answer[4096];
    int s = socket(AF_UNIX, SOCK_STREAM, 0), got, all = 0;
    if (!path) return 2;
    strcpy(to.sun_path, path);
    if (connect(s, (void *)&to, sizeof to)) return 3;
    if (write(s, "\0\0\0\1\13", 5) != 5) return 4;
    while (all < 9 && (got = read(s, answer + all, sizeof answer - all)) > 0) all += got;
    printf("%s has %d keys\n", path, answer[8]);
    return fwrite(answer, 1, all, stdout) != all;
}
"#;

#[test]
fn key_agents_are_lent() {
    let daemon = TestDaemon::start("sshagent");
    let text = "FROM busybox\nCOPY ask /ask\nRUN --mount=type=ssh,required /ask >/first\n\
        RUN --mount=type=ssh,id=other,target=/s,uid=7,gid=8,mode=0640 --mount=type=ssh \
        stat -c '%u:%g %a' /s >/second; /ask >>/second; ! test -e /run/buildkit/ssh_agent.2\n\
        RUN --mount=type=ssh,id=none test -z \"$SSH_AUTH_SOCK\"\n";
    let folder = dockerfile(&daemon, text);
    fs::write(daemon.folder.join("ask.c"), ASK).unwrap();
    let mut compile = Command::new("cc");
    compile.arg("-static").arg("-o").arg(folder.join("ask")).arg(daemon.folder.join("ask.c"));
    assert!(compile.status().unwrap().success());
    let key = daemon.folder.join("key");
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "comment-of-mine", "-f"]).arg(&key);
    assert!(keygen.status().expect("the tests need openssh-client").success());
    let socket = daemon.folder.join("agent");
    let mut agent =
        Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
    assert!(until(Duration::from_secs(10), || UnixStream::connect(&socket).is_ok()));
    let added = Command::new("ssh-add").arg("-q").arg(&key).env("SSH_AUTH_SOCK", &socket).status().unwrap();
    assert!(added.success());
    let mut command = daemon.command(&["build", "--progress", "plain", "-t", "a", "--ssh", "default"]);
    command.args(["--ssh", &format!("other={}", key.display())]).arg(&folder).env("SSH_AUTH_SOCK", &socket);
    let output = Output::from(command.output().unwrap());
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert_eq!(output.code, 0, "{}\n{}", output.stderr, daemon.log());
    let first = daemon.run(&["run", "--rm", "a", "cat", "/first"]);
    assert!(
        first.starts_with("/run/buildkit/ssh_agent.0 has 1 keys\n") && first.contains("comment-of-mine"),
        "{first}"
    );
    let second = daemon.run(&["run", "--rm", "a", "cat", "/second"]);
    assert!(second.starts_with("7:8 640\n/s has 1 keys\n") && second.contains("comment-of-mine"), "{second}");
    assert_eq!(daemon.run(&["run", "--rm", "a", "sh", "-c", "ls -d /s /run/buildkit 2>/dev/null; true"]), "");
    refused(
        build(&daemon, &["--no-cache", folder.to_str().unwrap()]),
        "no SSH key \"default\" forwarded from the client",
    );
    fs::write(&key, "no key").unwrap();
    refused(
        build(&daemon, &["--ssh", &format!("default={}", key.display()), folder.to_str().unwrap()]),
        "failed to convert agent config for ID: \"default\": failed to add ",
    );
}

#[test]
fn attestations_are_refused_when_they_are_wanted() {
    let daemon = TestDaemon::start("attest");
    let folder = dockerfile(&daemon, "FROM busybox\n");
    let folder = folder.to_str().unwrap();
    built(&daemon, &["--provenance=false", "--sbom=false", "--attest", "type=sbom,disabled=true", folder]);
    for flag in ["--provenance=true", "--provenance=mode=max", "--sbom=true", "--attest=type=sbom"] {
        let output = build(&daemon, &[flag, folder]);
        assert_eq!(
            output.stderr,
            "ERROR: failed to build: Attestation is not supported for the docker driver.\nSwitch to a different driver, or turn on \
             the containerd image store, and try again.\nLearn more at https://docs.docker.com/go/attestations/\n"
        );
    }
    assert_eq!(build(&daemon, &["--provenance=foo", folder]).stderr, "ERROR: invalid value foo\n");
}
