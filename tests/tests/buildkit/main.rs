//! BuildKit's protocol, spoken by a client of these tests' own.

#![allow(clippy::unwrap_used, missing_docs)]

mod client;
mod proto;
mod session;

use std::{fs, path::PathBuf, time::Duration};

use tonic::Code;
use wharf_tests::{TestDaemon, sha256, until};

use crate::{client::Client, session::Files};

fn socket(daemon: &TestDaemon) -> PathBuf {
    daemon.host().strip_prefix("unix://").unwrap().into()
}

/// Whether a process of this host has these arguments.
fn runs(arguments: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).any(|line| line.trim() == arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_becomes_an_image() {
    let daemon = TestDaemon::start("bkimage");
    let dockerfile = "FROM busybox\nCOPY . /app\nRUN --mount=type=secret,id=s cat /run/secrets/s /app/d/in\n";
    let files = Files::new(&[
        (".dockerignore", "drop"),
        ("Dockerfile", dockerfile),
        ("d/", ""),
        ("d/in", "contents of some length\n"),
        ("drop", "not wanted"),
        ("empty", ""),
    ]);
    let files = Files { secret: Some("hidden\n".to_owned()), ..files };
    let _session = session::open(&socket(&daemon), "s1", files).await;
    let client = Client::connect(&socket(&daemon)).await;
    let news = client.follow("b1");
    let response =
        client.build("b1", "s1", &[("label:k", "v")], ("moby", &[("name", "made")])).await.unwrap();

    let id = daemon.wharf(&["inspect", "-f", "{{.Id}}", "made"]).ok();
    assert_eq!(response["containerimage.digest"], id);
    assert_eq!(response["image.name"], "docker.io/library/made");
    assert_eq!(daemon.wharf(&["inspect", "-f", "{{.Config.Labels.k}}", "made"]).ok(), "v");
    let listing = daemon.wharf(&["run", "--rm", "made", "find", "/app", "-type", "f"]).ok();
    let mut listing: Vec<&str> = listing.lines().collect();
    listing.sort_unstable();
    assert_eq!(listing, ["/app/.dockerignore", "/app/Dockerfile", "/app/d/in", "/app/empty"]);

    let (vertices, output) = news.await.unwrap();
    assert_eq!(output, "hidden\ncontents of some length\n");
    for name in [
        "[internal] load build definition from Dockerfile",
        "[stage-0 2/3] COPY . /app",
        "exporting to image",
    ] {
        assert_eq!(vertices.get(name).map(String::as_str), Some(""), "{name} in {vertices:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_come_whole() {
    let daemon = TestDaemon::start("bkmany");
    // More than are asked for ahead, and among them one that is larger than all that is kept ahead.
    let contents = |number: usize| match number {
        70 => vec![b'x'; 3 << 20],
        _ => number.to_string().repeat(number).into_bytes(),
    };
    let mut files = Files::new(&[("Dockerfile", "FROM busybox\nCOPY f* /app/\n")]);
    files.files.extend((0..200).map(|number| (format!("f{number:03}"), contents(number))));
    let _session = session::open(&socket(&daemon), "s1", files).await;
    let client = Client::connect(&socket(&daemon)).await;
    client.build("b1", "s1", &[], ("moby", &[("name", "many")])).await.unwrap();
    let sum = daemon.wharf(&["run", "--rm", "many", "sh", "-c", "cat /app/* | sha256sum"]).ok();
    let all: Vec<u8> = (0..200).flat_map(contents).collect();
    let expected = sha256(&all);
    assert!(expected.ends_with(&sum[..64]), "{sum} instead of {expected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_say_where() {
    let daemon = TestDaemon::start("bkfail");
    let files = Files::new(&[
        ("Dockerfile", "FROM busybox\nRUN echo out; exit 3\n"),
        ("Wrong", "FROM busybox\nRUNX\n"),
    ]);
    let _session = session::open(&socket(&daemon), "s1", files).await;
    let client = Client::connect(&socket(&daemon)).await;
    let news = client.follow("b1");
    let status = client.build("b1", "s1", &[], ("moby", &[])).await.unwrap_err();
    let message = "process \"/bin/sh -c echo out; exit 3\" did not complete successfully: exit code: 3";
    assert_eq!((status.code(), status.message()), (Code::Unknown, message));
    let details = String::from_utf8_lossy(status.details());
    assert!(
        details.contains("errdefs.Source+json") && details.contains(r#""start":{"line":2}"#),
        "{details}"
    );
    let (vertices, output) = news.await.unwrap();
    assert_eq!((vertices["[2/2] RUN echo out; exit 3"].as_str(), output.as_str()), (message, "out\n"));

    for (reference, options, expected) in [
        ("b2", &[("filename", "Wrong")][..], "dockerfile parse error on line 2: unknown instruction: RUNX"),
        ("b3", &[("filename", "None")], "failed to read dockerfile: open None: no such file or directory"),
        ("b4", &[("attest:sbom", "")], "attestation \"sbom\" is not supported"),
    ] {
        let status = client.build(reference, "s1", options, ("moby", &[])).await.unwrap_err();
        assert!(status.message().starts_with(expected), "{}", status.message());
    }
    let status = client.build("b5", "s1", &[], ("what", &[])).await.unwrap_err();
    assert_eq!(status.message(), "exporter \"what\" could not be found");
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_cannot_lead_out() {
    let daemon = TestDaemon::start("bkpath");
    let client = Client::connect(&socket(&daemon)).await;
    for (number, path) in ["../out", "/etc/out", "a/../../out", "a//b", ""].into_iter().enumerate() {
        let (reference, id) = (format!("b{number}"), format!("s{number}"));
        let files = Files::new(&[("Dockerfile", "FROM busybox\nCOPY . /app\n"), (path, "x")]);
        let _session = session::open(&socket(&daemon), &id, files).await;
        let status = client.build(&reference, &id, &[], ("moby", &[])).await.unwrap_err();
        assert!(status.message().contains("refusing context entry"), "{path:?}: {}", status.message());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_ends_with_its_call() {
    let daemon = TestDaemon::start("bkgone");
    let sleep = format!("sleep {}", 100_000 + std::process::id());
    let files =
        Files::new(&[("Dockerfile", &format!("FROM busybox\nRUN [\"sleep\", \"{}\"]\n", &sleep[6..]))]);
    let _session = session::open(&socket(&daemon), "s1", files).await;
    let client = Client::connect(&socket(&daemon)).await;
    let building = client.clone();
    let building = tokio::spawn(async move { building.build("b1", "s1", &[], ("moby", &[])).await });
    let running = sleep.clone();
    let wait = move |wanted: bool| until(Duration::from_secs(20), || runs(&running) == wanted);
    let wait = std::sync::Arc::new(wait);
    let begun = wait.clone();
    assert!(tokio::task::spawn_blocking(move || begun(true)).await.unwrap(), "the step does not begin");
    building.abort();
    assert!(tokio::task::spawn_blocking(move || wait(false)).await.unwrap(), "the step goes on");
    // The connection is as good as before.
    let status = client.build("b2", "s1", &[("filename", "None")], ("moby", &[])).await.unwrap_err();
    assert!(status.message().starts_with("failed to read dockerfile"), "{}", status.message());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_gone_fails_the_build() {
    let daemon = TestDaemon::start("bksess");
    let client = Client::connect(&socket(&daemon)).await;
    let session =
        session::open(&socket(&daemon), "s1", Files::new(&[("Dockerfile", "FROM busybox\n")])).await;
    client.build("b1", "s1", &[], ("moby", &[])).await.unwrap();
    session.abort();
    let _ = session.await;
    let status = client.build("b2", "s1", &[], ("moby", &[])).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
}
