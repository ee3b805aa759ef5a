//! Pushing to a real registry.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::mpsc::{self, Sender},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use wharf_tests::{Archive, Registry, TestDaemon, http_get};

/// Lines that say how a layer came to be in the registry.
fn placed(output: &str) -> Vec<&str> {
    let lines = output.lines().filter_map(|line| line.split_once(": ").filter(|(id, _)| id.len() == 12));
    lines.map(|(_, status)| status).filter(|status| !matches!(*status, "Preparing" | "Waiting")).collect()
}

fn digest_in(output: &str) -> &str {
    let line = output.lines().find(|line| line.contains(": digest: ")).expect(output);
    line.split(' ').nth(2).unwrap()
}

#[test]
fn what_is_pushed_is_what_a_registry_has() {
    let daemon = TestDaemon::start("push");
    let registry = Registry::start(&daemon.folder);
    let one = format!("{}/group/one:v1", registry.address);
    daemon.run(&["tag", "busybox", &one]);
    let output = daemon.run(&["push", &one]);
    let first = format!("The push refers to repository [{}/group/one]\n", registry.address);
    assert!(output.starts_with(&first), "{output}");
    assert_eq!(placed(&output), ["Pushed"]);
    let digest = digest_in(&output).to_owned();
    assert_eq!(registry.digest(&one), digest);
    assert!(output.ends_with(" size: 527") || output.ends_with(" size: 528"), "{output}");
    let by_digest = format!("{}/group/one@{digest}", registry.address);
    assert_eq!(daemon.run(&["inspect", "-f", "{{index .RepoDigests 0}}", &one]), by_digest);
    // Another tool reads it back, every digest verified.
    let copy = format!("dir:{}", daemon.folder.join("copy").display());
    let mut skopeo = Command::new("skopeo");
    skopeo.args([
        "--insecure-policy",
        "copy",
        "-q",
        "--src-tls-verify=false",
        &format!("docker://{one}"),
        &copy,
    ]);
    assert!(skopeo.status().unwrap().success());

    // Known layers are not sent again, also not under another name or after the image was gone.
    assert_eq!(placed(&daemon.run(&["push", &one])), ["Layer already exists"]);
    let two = format!("{}/two:latest", registry.address);
    daemon.run(&["tag", &one, &two]);
    let output = daemon.run(&["push", two.trim_end_matches(":latest")]);
    assert!(output.starts_with("Using default tag: latest\n"), "{output}");
    assert_eq!((placed(&output), digest_in(&output)), (vec!["Mounted from group/one"], &*digest));
    daemon.run(&["rmi", "busybox", &one, &two]);
    assert!(daemon.run(&["pull", &by_digest]).contains("Pull complete"));
    let id = daemon.run(&["inspect", "-f", "{{.Id}}", &by_digest]);
    let three = format!("{}/three:1", registry.address);
    daemon.run(&["tag", &by_digest, &three]);
    assert_eq!(digest_in(&daemon.run(&["push", &three])), digest);
    daemon.run(&["rmi", "-f", &id]);
    assert!(daemon.run(&["pull", &three]).contains(&format!("Digest: {digest}")));
    assert_eq!(daemon.run(&["inspect", "-f", "{{.Id}}", &three]), id);
    assert_eq!(daemon.run(&["run", "--rm", &three, "echo", "back"]), "back");
}

#[test]
fn a_manifest_of_another_form_stays_as_it_is() {
    let daemon = TestDaemon::start("keep");
    let registry = Registry::start(&daemon.folder);
    let original = registry.push(&Archive::busybox("kept"), "from:1");
    let oci = format!("{}/oci:1", registry.address);
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["--insecure-policy", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false"]);
    skopeo.args(["--format", "oci"]);
    assert!(
        skopeo.args([format!("docker://{original}"), format!("docker://{oci}")]).status().unwrap().success()
    );
    daemon.run(&["pull", &oci]);
    let target = format!("{}/elsewhere/oci:2", registry.address);
    daemon.run(&["tag", &oci, &target]);
    let output = daemon.run(&["push", &target]);
    assert_eq!((placed(&output), digest_in(&output)), (vec!["Mounted from oci"], &*registry.digest(&oci)));
    // A registry that has none of it gets the same image in Docker's form.
    let other = Registry::start(&daemon.folder.join("other"));
    let target = format!("{}/cold:1", other.address);
    daemon.run(&["tag", &oci, &target]);
    let output = daemon.run(&["push", &target]);
    assert_eq!((placed(&output), digest_in(&output)), (vec!["Pushed"], &*other.digest(&target)));
    daemon.run(&["rmi", "-f", &oci]);
    daemon.run(&["pull", &target]);
    assert_eq!(daemon.run(&["run", "--rm", &target]), "kept");
}

#[test]
fn all_tags_at_once_and_quietly() {
    let daemon = TestDaemon::start("tags");
    let registry = Registry::start(&daemon.folder);
    let name = format!("{}/many", registry.address);
    for tag in ["a", "b", "c"] {
        daemon.run(&["tag", "busybox", &format!("{name}:{tag}")]);
    }
    assert_eq!(daemon.run(&["push", "-q", "-a", &name]), name);
    let body = http_get(&*registry.address, "/v2/many/tags/list").unwrap();
    let mut listed: Value = serde_json::from_str(&body).unwrap();
    listed["tags"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
    assert_eq!(listed["tags"], json!(["a", "b", "c"]));
    let output = daemon.wharf(&["push", "-a", &format!("{name}:a")]);
    assert_eq!((output.code, output.stderr.as_str()), (1, "tag can't be used with --all-tags/-a\n"));
}

#[test]
fn failures_come_in_the_stream() {
    let daemon = TestDaemon::start("pushbad");
    for name in ["127.0.0.1:1/none", "127.0.0.1:1/none:x"] {
        let output = daemon.wharf(&["push", name]);
        assert!(
            output.stdout.ends_with("The push refers to repository [127.0.0.1:1/none]\n"),
            "{}",
            output.stdout
        );
        let words = "An image does not exist locally with the tag: 127.0.0.1:1/none\n";
        assert_eq!((output.code, output.stderr.as_str()), (1, words));
    }
    daemon.run(&["tag", "busybox", "127.0.0.1:1/refused"]);
    let output = daemon.wharf(&["push", "127.0.0.1:1/refused"]);
    let words = "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused\n";
    assert_eq!((output.code, output.stderr.as_str()), (1, words));
    let output = daemon.wharf(&["push", "--platform", "linux/s390x", "127.0.0.1:1/refused"]);
    assert!(
        output.stderr.contains("does not match the specified platform (linux/s390x)"),
        "{}",
        output.stderr
    );
    assert!(!output.stdout.contains("The push refers"), "{}", output.stdout);
}

/// What a registry that takes uploads slowly has seen of one.
#[derive(Debug, PartialEq)]
enum Seen {
    Begun,
    Complete,
    Cut,
}

/// A registry that has nothing and takes a layer in pieces of 64 KiB, ten a second.
fn slow_registry(seen: Sender<Seen>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let seen = seen.clone();
            thread::spawn(move || take(stream, &seen));
        }
    });
    address
}

fn take(mut stream: TcpStream, seen: &Sender<Seen>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let method = head.split(' ').next().unwrap();
    if method == "PATCH" {
        let _ = seen.send(Seen::Begun);
        let (mut piece, mut last) = (vec![0; 64 << 10], Vec::new());
        let end = loop {
            match reader.read(&mut piece) {
                Ok(0) | Err(_) => break Seen::Cut,
                Ok(length) => last = [&last[last.len().saturating_sub(5)..], &piece[..length]].concat(),
            }
            if last.ends_with(b"0\r\n\r\n") {
                break Seen::Complete;
            }
            thread::sleep(Duration::from_millis(100));
        };
        let _ = seen.send(end);
        return Ok(());
    }
    let status = match method {
        "HEAD" => "404 Not Found",
        "POST" => "202 Accepted\r\nLocation: /v2/upload/1",
        _ => "200 OK",
    };
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
}

#[test]
fn a_client_that_goes_ends_its_push() {
    let daemon = TestDaemon::start("pushgone");
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    let filler: Vec<u8> = (0..8 << 20).map(|_| random()).collect();
    let archive = daemon.folder.join("image.tar");
    let (sender, seen) = mpsc::channel();
    let name = format!("{}/big:1", slow_registry(sender));
    fs::write(&archive, Archive::busybox_with("big", &filler).to_tar(&name)).unwrap();
    daemon.run(&["load", "-q", "-i", archive.to_str().unwrap()]);
    let mut client = daemon.command(&["push", &name]).spawn().unwrap();
    assert_eq!(seen.recv_timeout(Duration::from_secs(60)), Ok(Seen::Begun));
    client.kill().unwrap();
    client.wait().unwrap();
    assert_eq!(seen.recv_timeout(Duration::from_secs(60)), Ok(Seen::Cut));
    // The image is as it was, and nothing is held: it can go.
    daemon.run(&["rmi", &name]);
}
