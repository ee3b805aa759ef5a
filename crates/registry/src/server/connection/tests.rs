//! Clients of HTTP/2 that hold on to what they have. The clock is not the real one: it goes on by itself where everybody
//! waits.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::SendRequest;
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use wharf_oci::Digest;

use super::*;
use crate::server::layout;
use crate::server::name::Name;

/// Limits of the tests: for heads and what is not used, and for bodies.
const HEAD: Duration = Duration::from_secs(30);
const BODY: Duration = Duration::from_secs(60);

/// A registry with one blob, and its address.
struct Bench {
    accepting: Arc<Accepting>,
    path: String,
    data: Vec<u8>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap();
        let flags = [("storage.filesystem.rootdirectory".to_owned(), root.into())];
        let config = Config::load(None, std::iter::empty(), &flags).unwrap();
        assert_eq!((config.header_timeout, config.body_timeout), (HEAD, BODY));
        let registry = Registry::open(config).unwrap();
        let data: Vec<u8> = (0..1_000_000u32).map(|at| at.to_le_bytes()[0]).collect();
        let (name, digest) = (Name::parse("a").unwrap(), Digest::sha256(&data));
        let key = layout::upload_data(&name, "x");
        registry.store.storage.create(&key).unwrap().append(&data).unwrap();
        registry.store.put_blob(&name, &digest, &key, data.len() as u64).unwrap();
        let accepting = Accepting {
            registry,
            face: Face::Registry,
            tls: None,
            connections: TaskTracker::new(),
            ending: CancellationToken::new(),
        };
        Bench { accepting: Arc::new(accepting), path: format!("/v2/a/blobs/{digest}"), data, _folder: folder }
    }

    /// One end of a connection whose other end is served.
    fn connect(&self) -> (DuplexStream, JoinHandle<()>) {
        let (here, there) = duplex(64 << 10);
        let accepting = self.accepting.clone();
        (here, tokio::spawn(async move { accepting.speak_http2(there).await }))
    }

    /// A client that grants a window of 64 KiB, and more only when it reads.
    async fn client(&self) -> (SendRequest<Empty<Bytes>>, JoinHandle<()>) {
        let (stream, served) = self.connect();
        let (client, connection) =
            hyper::client::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
                .initial_stream_window_size(64 << 10)
                .handshake(TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        (client, served)
    }
}

async fn get(client: &mut SendRequest<Empty<Bytes>>, path: &str) -> Response<Incoming> {
    let request = Request::get(format!("https://registry.test{path}")).body(Empty::new()).unwrap();
    client.send_request(request).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_its_client_does_not_take_is_reset_alone() {
    let bench = Bench::new();
    let (mut client, _served) = bench.client().await;
    let untaken = get(&mut client, &bench.path).await;
    assert_eq!(untaken.status(), 200);
    tokio::time::sleep(BODY / 2).await;
    // It is not reset before its time, and another goes on beside it, after it as well.
    let other = get(&mut client, &bench.path).await;
    assert!(other.into_body().collect().await.unwrap().to_bytes() == bench.data);
    tokio::time::sleep(BODY / 2 + HEAD / 2).await;
    assert!(untaken.into_body().collect().await.is_err());
    assert_eq!(get(&mut client, "/v2/").await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_short_answer_that_is_not_taken_is_reset() {
    let bench = Bench::new();
    let (stream, _served) = bench.connect();
    let (mut client, connection) =
        hyper::client::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
            .initial_stream_window_size(1)
            .handshake(TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    // "{}" is one byte longer than the window.
    let untaken = get(&mut client, "/v2/").await;
    tokio::time::sleep(BODY * 2).await;
    assert!(untaken.into_body().collect().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_client_may_be_slow() {
    let bench = Bench::new();
    let (mut client, _served) = bench.client().await;
    let mut body = get(&mut client, &bench.path).await.into_body();
    let mut data = Vec::new();
    while let Some(frame) = body.frame().await {
        data.extend(frame.unwrap().into_data().unwrap());
        tokio::time::sleep(BODY / 10).await;
    }
    assert!(data == bench.data);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_not_used_ends() {
    let bench = Bench::new();
    let (mut client, served) = bench.client().await;
    for _ in 0..4 {
        tokio::time::sleep(HEAD / 2).await;
        assert_eq!(get(&mut client, "/v2/").await.status(), 200);
    }
    served.await.unwrap();
    client.ready().await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_says_a_word_is_left() {
    let bench = Bench::new();
    let (mut stream, served) = bench.connect();
    served.await.unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
}
