//! Uploads to a registry that breaks off, is busy, forgets and lies.

#![allow(clippy::unwrap_used)]

mod sink;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use wharf_oci::{Digest, Reference};
use wharf_registry::{Client, ClientConfig, Parts, Repository};

use sink::{Fault, Sink};

const PART: usize = 10_000;

async fn repository(sink: &Sink) -> Repository {
    let config =
        ClientConfig { stall_timeout: Duration::from_secs(5), retries: 2, ..ClientConfig::default() };
    let reference = Reference::parse(&format!("{}/me/app:1", sink.host())).unwrap();
    Client::new(config).push_to(&reference, None, &[]).await.unwrap()
}

fn blob() -> Vec<u8> {
    (0..100_000u32).map(|index| (index % 251) as u8).collect()
}

/// The blob part by part, and the empty part that says that it is whole.
fn parts() -> Parts {
    let (sender, parts) = mpsc::channel(1);
    tokio::spawn(async move {
        for part in blob().chunks(PART).chain([&[][..]]) {
            if sender.send(Ok(Bytes::copy_from_slice(part))).await.is_err() {
                return;
            }
        }
    });
    parts
}

/// Uploads the blob; the error in words, or what the registry has got.
async fn upload(sink: &Sink) -> Result<Vec<u8>, String> {
    let done = repository(sink).await.put_stream(&parts, None).await.map_err(|error| error.to_string())?;
    assert_eq!((done.digest, done.size), (Digest::sha256(&blob()), 100_000));
    Ok(sink.blob())
}

#[tokio::test]
async fn a_connection_that_breaks_again_and_again_makes_progress() {
    // Far more faults than attempts without progress are allowed, at places that are no ends of parts.
    let sink = Sink::start(vec![Fault::Cut(9_999); 10]);
    assert_eq!(upload(&sink).await.unwrap(), blob());
    let begun = sink.log().iter().filter(|line| line.starts_with("POST")).count();
    assert_eq!(begun, 1, "{:?}", sink.log());
}

#[tokio::test]
async fn a_registry_that_takes_nothing_is_given_up() {
    let sink = Sink::start(vec![Fault::Cut(0); 20]);
    let error = upload(&sink).await.unwrap_err();
    assert!(error.starts_with("Patch \"http://"), "{error}");
    let tried = sink.log().iter().filter(|line| line.starts_with("PATCH")).count();
    assert_eq!(tried, 3, "{:?}", sink.log());
}

#[tokio::test]
async fn a_busy_registry_is_asked_again_after_the_time_it_names() {
    for (status, header) in [(429, "Retry-After: 0"), (503, "Retry-After: 0"), (500, "X-Reason: none")] {
        let sink = Sink::start(vec![Fault::Answer(status, header); 2]);
        assert_eq!(upload(&sink).await.unwrap(), blob(), "{status}");
    }
    // It wants more patience than anybody has.
    let sink = Sink::start(vec![Fault::Answer(429, "Retry-After: 86400")]);
    let error = upload(&sink).await.unwrap_err();
    assert!(error.contains("429"), "{error}");
}

#[tokio::test]
async fn a_refusal_is_final() {
    let sink = Sink::start(vec![Fault::Answer(403, "X-Reason: none"); 5]);
    let error = upload(&sink).await.unwrap_err();
    assert!(error.contains("403"), "{error}");
    assert_eq!(sink.log().iter().filter(|line| line.starts_with("PATCH")).count(), 1);
}

#[tokio::test]
async fn an_upload_that_was_forgotten_is_begun_anew() {
    let sink = Sink::start(vec![Fault::Forget(30_000)]);
    assert_eq!(upload(&sink).await.unwrap(), blob());
    assert_eq!(sink.log().iter().filter(|line| line.starts_with("POST")).count(), 2);
}

#[tokio::test]
async fn what_a_registry_lost_of_an_upload_is_noticed_and_sent_again() {
    // It says that it has everything, and then does not find the digest in it.
    let sink = Sink::start(vec![Fault::Lose(1)]);
    assert_eq!(upload(&sink).await.unwrap(), blob());
    let sink = Sink::start(vec![Fault::Lose(1); 20]);
    let error = upload(&sink).await.unwrap_err();
    assert!(error.contains("digest invalid"), "{error}");
}

#[tokio::test]
async fn a_source_that_fails_ends_the_upload_with_its_own_words() {
    let sink = Sink::start(Vec::new());
    let broken = || {
        let (sender, parts) = mpsc::channel(2);
        sender.try_send(Ok(Bytes::from_static(b"begin"))).unwrap();
        sender.try_send(Err(io::Error::other("the disk is on fire"))).unwrap();
        parts
    };
    let error = repository(&sink).await.put_stream(&broken, None).await.unwrap_err();
    assert!(error.to_string().contains("the disk is on fire"), "{error}");
    assert!(sink.blob().is_empty());
}

#[tokio::test]
async fn a_manifest_under_another_digest_is_refused() {
    let sink = Sink::start(Vec::new());
    let repository = repository(&sink).await;
    let error =
        repository.put_manifest("1", "application/json", Bytes::from_static(b"{}")).await.unwrap_err();
    let digest = Digest::sha256(b"{}");
    assert_eq!(error.to_string(), format!("manifest verification failed for digest {digest}"));
}
