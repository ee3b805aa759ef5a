//! The HTTP part over a real socket with a small engine: negotiation, error forms, streams, hijacking.
#![allow(clippy::unwrap_used)]

use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use wharf_api::container::Config;

use crate::call::{Call, Result};
use crate::connection::speak;
use crate::dispatch::{Route, dispatch};
use crate::failure::Failure;
use crate::hijack::{Session, hijack};
use crate::reply;
use crate::socket::Socket;

/// Stands for the engine: the container's side of a session.
#[derive(Default)]
struct Fake {
    session: std::sync::Mutex<Option<oneshot::Receiver<StdStream>>>,
    past: std::sync::Mutex<Option<tokio::sync::mpsc::Receiver<bytes::Bytes>>>,
}

const ROUTES: &[Route<Fake>] = routes![Fake;
    GET "/hello" => hello;
    POST "/echo" => echo;
    GET "/never" => never;
    GET "/fails/{name}" => fails;
    POST "/attach" => attach;
    POST "/early" => early;
];

async fn hello(_: Call<Fake>) -> Result {
    Ok(reply::text("hello"))
}

async fn echo(mut call: Call<Fake>) -> Result {
    let config: Config = call.json().await?;
    Ok(reply::json(&config.image))
}

async fn never(_: Call<Fake>) -> Result {
    Ok(reply::json_lines(stream::pending::<u8>()))
}

async fn fails(call: Call<Fake>) -> Result {
    Err(Failure::new(wharf_api::ErrorKind::NotFound, format!("No such thing: {}", call.name)))
}

async fn early(_: Call<Fake>) -> Result {
    Err(Failure::new(wharf_api::ErrorKind::NotFound, "page not found"))
}

async fn attach(call: Call<Fake>) -> Result {
    let stream = call.engine.session.lock().unwrap().take().unwrap();
    let stream = async move {
        let stream = stream.await.ok()?;
        stream.set_nonblocking(true).ok()?;
        UnixStream::from_std(stream).ok()
    };
    let past = call.engine.past.lock().unwrap().take();
    Ok(hijack(call, Session { past, stream, ended: async {}, raw: false }))
}

/// A client's end of a served connection.
fn connect(engine: Fake) -> (UnixStream, CancellationToken) {
    let (client, server) = UnixStream::pair().unwrap();
    let ending = CancellationToken::new();
    let engine = Arc::new(engine);
    tokio::spawn(speak(
        Socket::Unix(server),
        move |request| dispatch(engine.clone(), ROUTES, request),
        ending.clone(),
    ));
    (client, ending)
}

async fn roundtrip(request: &str) -> String {
    let (mut client, _end) = connect(Fake::default());
    client.write_all(request.as_bytes()).await.unwrap();
    // Also a client that has finished sending gets its answer.
    client.shutdown().await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn read_until(client: &mut UnixStream, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        let mut byte = [0];
        assert_eq!(client.read(&mut byte).await.unwrap(), 1, "{}", String::from_utf8_lossy(&text));
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn headers_of_every_answer() {
    for path in ["/hello", "/v1.24/hello", "/v1.51/fails/x", "/nosuch"] {
        let answer = roundtrip(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        for header in ["Api-Version: 1.51", "Docker-Experimental: false", "Ostype: linux", "Server: Wharf/"] {
            assert!(answer.contains(header), "{path}: {answer}");
        }
    }
}

#[tokio::test]
async fn error_documents() {
    let cases = [
        ("GET /nosuch", "404 Not Found", "page not found"),
        ("PUT /hello", "404 Not Found", "page not found"),
        ("GET /vbad/hello", "404 Not Found", "page not found"),
        (
            "GET /v1.99/hello",
            "400 Bad Request",
            "client version 1.99 is too new. Maximum supported API version is 1.51",
        ),
        ("GET /v1.51/fails/a%2Fb%20c", "404 Not Found", "No such thing: a/b c"),
    ];
    for (call, status, message) in cases {
        let answer = roundtrip(&format!("{call} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        assert!(answer.contains("Content-Type: application/json\r\n"), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{{\"message\":\"{message}\"}}\n")), "{answer}");
    }
}

#[tokio::test]
async fn documents_are_read() {
    let post = |headers: &str, body: &str| {
        format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
    };
    let json = "Content-Type: application/json\r\n";
    assert!(roundtrip(&post(json, r#"{"Image":"i"}"#)).await.ends_with("\r\n\r\n\"i\"\n"));
    assert!(roundtrip(&post("", "")).await.ends_with("\r\n\r\n\"\"\n"));
    assert!(roundtrip(&post(json, "{")).await.ends_with("{\"message\":\"invalid JSON: unexpected EOF\"}\n"));
    assert!(roundtrip(&post("", "{}")).await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn unwanted_bodies_are_read() {
    for path in ["/early", "/nosuch"] {
        let (mut client, _end) = connect(Fake::default());
        let body = vec![b'x'; 4 << 20];
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(&body).await.unwrap();
        let answer = read_until(&mut client, "}\n").await;
        assert!(answer.ends_with("{\"message\":\"page not found\"}\n"), "{answer}");
        // The connection is good for more.
        client.write_all(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert!(read_until(&mut client, "hello").await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn headers_come_before_the_first_document() {
    let (mut client, _end) = connect(Fake::default());
    client.write_all(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let head =
        tokio::time::timeout(Duration::from_secs(5), read_until(&mut client, "\r\n\r\n")).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("Transfer-Encoding: chunked"), "{head}");
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: tcp\r\n";

/// A client attached to a session, the sender of its stream, and the container's end of it.
fn attached(
    version: &str,
    headers: &str,
    ahead: &str,
) -> (String, Fake, oneshot::Sender<StdStream>, StdStream, UnixStream) {
    let request = format!("POST /v{version}/attach HTTP/1.1\r\nHost: x\r\n{headers}\r\n{ahead}");
    let (ready, session) = oneshot::channel();
    let (near, far) = StdStream::pair().unwrap();
    far.set_nonblocking(true).unwrap();
    let far = UnixStream::from_std(far).unwrap();
    (request, Fake { session: std::sync::Mutex::new(Some(session)), ..Fake::default() }, ready, near, far)
}

#[tokio::test]
async fn hijacked_connection() {
    let (request, fake, ready, near, mut far) = attached("1.51", UPGRADE, "sent ahead;");
    let (mut client, _end) = connect(fake);
    client.write_all(request.as_bytes()).await.unwrap();
    let head = read_until(&mut client, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("Content-Type: application/vnd.docker.multiplexed-stream\r\n"), "{head}");
    assert!(head.contains("Upgrade: tcp\r\n") && head.contains("Connection: Upgrade\r\n"), "{head}");
    // The container starts only now.
    ready.send(near).unwrap();
    client.write_all(b"later").await.unwrap();
    client.shutdown().await.unwrap();
    let mut input = String::new();
    far.read_to_string(&mut input).await.unwrap();
    assert_eq!(input, "sent ahead;later");
    // The client's end of input does not end the output.
    far.write_all(b"output").await.unwrap();
    far.shutdown().await.unwrap();
    let mut output = String::new();
    client.read_to_string(&mut output).await.unwrap();
    assert_eq!(output, "output");
}

#[tokio::test]
async fn end_of_output_ends_a_connection_with_open_input() {
    let (request, fake, ready, near, far) = attached("1.41", UPGRADE, "");
    let (mut client, _end) = connect(fake);
    client.write_all(request.as_bytes()).await.unwrap();
    let head = read_until(&mut client, "\r\n\r\n").await;
    assert!(head.contains("Content-Type: application/vnd.docker.raw-stream\r\n"), "{head}");
    ready.send(near).unwrap();
    drop(far);
    let mut output = Vec::new();
    client.read_to_end(&mut output).await.unwrap();
    assert!(output.is_empty());
}

#[tokio::test]
async fn client_that_still_sends_sees_a_clean_end() {
    let (request, fake, ready, near, mut far) = attached("1.51", UPGRADE, "");
    let (mut client, _end) = connect(fake);
    client.write_all(request.as_bytes()).await.unwrap();
    read_until(&mut client, "\r\n\r\n").await;
    ready.send(near).unwrap();
    far.write_all(b"out").await.unwrap();
    drop(far);
    let (mut output, mut input) = client.split();
    let sending = async {
        while input.write_all(&[b'x'; 4096]).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    let mut text = String::new();
    tokio::select! {
        read = output.read_to_string(&mut text) => { read.unwrap(); }
        () = sending => panic!("cut off before the output was read"),
    }
    assert_eq!(text, "out");
}

#[tokio::test]
async fn past_output_comes_first() {
    let (request, fake, ready, near, far) = attached("1.51", UPGRADE, "");
    let (past, receiver) = tokio::sync::mpsc::channel(1);
    *fake.past.lock().unwrap() = Some(receiver);
    let (mut client, _end) = connect(fake);
    client.write_all(request.as_bytes()).await.unwrap();
    past.send("before;".into()).await.unwrap();
    drop(past);
    ready.send(near).unwrap();
    let far = std::thread::spawn(move || {
        let far = far.into_std().unwrap();
        far.set_nonblocking(false).unwrap();
        std::io::Write::write_all(&mut &far, b"now").unwrap();
    });
    read_until(&mut client, "\r\n\r\n").await;
    assert_eq!(read_until(&mut client, "now").await, "before;now");
    far.join().unwrap();
}

#[tokio::test]
async fn client_that_leaves_before_the_start_takes_no_stream() {
    let (request, fake, mut ready, near, _far) = attached("1.51", UPGRADE, "");
    let (mut client, _end) = connect(fake);
    client.write_all(request.as_bytes()).await.unwrap();
    read_until(&mut client, "\r\n\r\n").await;
    drop(client);
    tokio::time::timeout(Duration::from_secs(5), ready.closed()).await.unwrap();
    assert!(ready.send(near).is_err());
}

#[tokio::test]
async fn half_closed_client_still_gets_its_stream() {
    let (request, fake, ready, near, mut far) = attached("1.51", UPGRADE, "all");
    let (mut client, _end) = connect(fake);
    client.write_all(request.as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    read_until(&mut client, "\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    ready.send(near).unwrap();
    let mut input = String::new();
    far.read_to_string(&mut input).await.unwrap();
    assert_eq!(input, "all");
    far.write_all(b"done").await.unwrap();
    drop(far);
    assert_eq!(read_until(&mut client, "done").await, "done");
}

#[tokio::test]
async fn without_upgrade_the_answer_is_raw() {
    let (request, fake, ready, near, mut far) = attached("1.51", "Content-Length: 5\r\n", "input");
    let (mut client, _end) = connect(fake);
    client.write_all(request.as_bytes()).await.unwrap();
    ready.send(near).unwrap();
    let mut input = [0; 5];
    far.read_exact(&mut input).await.unwrap();
    assert_eq!(&input, b"input");
    far.write_all(b"one").await.unwrap();
    let head = read_until(&mut client, "\r\n\r\n").await;
    assert!(head.contains(&StatusCode::OK.as_str().to_owned()), "{head}");
    assert!(!head.contains("chunked") && head.contains("application/vnd.docker.raw-stream"), "{head}");
    assert_eq!(read_until(&mut client, "one").await, "one");
    far.write_all(b"two").await.unwrap();
    drop(far);
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "two");
}

#[tokio::test]
async fn shutdown_lets_calls_finish() {
    let (mut client, end) = connect(Fake::default());
    client.write_all(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    read_until(&mut client, "hello").await;
    end.cancel();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
}
