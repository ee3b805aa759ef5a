//! Pushing to a real registry.

#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Command;

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
