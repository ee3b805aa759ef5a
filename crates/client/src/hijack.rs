//! The two-way stream that attach and exec turn a connection into.

use bytes::Bytes;
use http::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::{Client, Error, Result, Transport, query::Query, transport::Payload};

/// A connection that no longer carries HTTP but the streams of a process.
#[derive(Debug)]
pub struct Hijacked {
    stream: Transport,
    /// What arrived together with the answer's head.
    early: Bytes,
    /// True if the engine says that output comes in frames, false if raw; `None` if it does not say.
    pub multiplexed: Option<bool>,
}

impl Hijacked {
    /// The output to read, and the input to write. Shutting the input down tells the process that
    /// nothing more comes, and leaves the output open.
    pub fn split(
        self,
    ) -> (impl AsyncRead + Unpin + Send + 'static, impl AsyncWrite + Unpin + Send + 'static) {
        let (read, write) = tokio::io::split(self.stream);
        (std::io::Cursor::new(self.early).chain(read), write)
    }
}

impl Client {
    /// Sends a request that turns its connection into a stream.
    pub(crate) async fn hijack(&self, query: Query, payload: Payload) -> Result<Hijacked> {
        let headers = [("connection", "Upgrade".to_owned()), ("upgrade", "tcp".to_owned())];
        let answer = self.send(Method::POST, &query, payload, &headers).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::Unexpected(format!(
                "unable to upgrade to tcp, received {}",
                answer.status().as_u16()
            )));
        }
        let multiplexed = answer.header("content-type").and_then(|kind| match kind {
            "application/vnd.docker.multiplexed-stream" => Some(true),
            "application/vnd.docker.raw-stream" => Some(false),
            _ => None,
        });
        let upgraded = hyper::upgrade::on(answer.into_response()).await?;
        let parts = upgraded
            .downcast::<TokioIo<Transport>>()
            .map_err(|_| Error::Unexpected("the connection is not of the expected kind".to_owned()))?;
        Ok(Hijacked { stream: parts.io.into_inner(), early: parts.read_buf, multiplexed })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Read, Write},
        os::unix::net::{UnixListener, UnixStream},
        thread,
    };

    use tokio::io::AsyncWriteExt;
    use wharf_api::stream::StreamKind;

    use super::*;
    use crate::{AttachOptions, Demux, Host, WaitCondition};

    /// Reads the head of a request and returns its first line.
    fn head(reader: &mut impl BufRead) -> String {
        let mut lines = reader.lines().map(|line| line.unwrap());
        let first = lines.next().unwrap_or_default();
        lines.find(|line| line.is_empty());
        first
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    /// An engine that serves one connection with `serve`.
    fn engine<T: Send + 'static>(
        serve: impl FnOnce(UnixStream) -> T + Send + 'static,
    ) -> (Client, thread::JoinHandle<T>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = thread::spawn(move || serve(listener.accept().unwrap().0));
        (Client::connect(Host::Unix(path)), server, folder)
    }

    #[test]
    fn input_is_closed_alone_and_early_output_is_kept() {
        let (client, server, _folder) = engine(|mut stream| {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let first = head(&mut reader);
            // The first frame follows the head at once.
            let answer =
                b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n\
                           Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n\x01\0\0\0\0\0\0\x05early";
            stream.write_all(answer).unwrap();
            let mut input = String::new();
            reader.read_to_string(&mut input).unwrap();
            stream.write_all(b"\x02\0\0\0\0\0\0\x04late").unwrap();
            (first, input)
        });
        let pieces = block_on(async {
            let options = AttachOptions { stdin: true, stdout: true, ..AttachOptions::default() };
            let hijacked = client.container_attach("c", &options).await.unwrap();
            assert_eq!(hijacked.multiplexed, Some(true));
            let (read, mut write) = hijacked.split();
            write.write_all(b"hello").await.unwrap();
            write.shutdown().await.unwrap();
            let mut demux = Demux::new(read, true);
            let mut pieces = Vec::new();
            while let Some(piece) = demux.next().await.unwrap() {
                pieces.push(piece);
            }
            pieces
        });
        assert_eq!(pieces, [(StreamKind::Stdout, "early".into()), (StreamKind::Stderr, "late".into())]);
        let (first, input) = server.join().unwrap();
        assert_eq!(first, "POST /v1.51/containers/c/attach?stream=1&stdin=1&stdout=1 HTTP/1.1");
        assert_eq!(input, "hello");
    }

    #[test]
    fn a_connection_serves_several_requests_and_errors_carry_the_message() {
        let (client, server, _folder) = engine(|mut stream| {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let first = head(&mut reader);
            let body = "{\"message\":\"No such container: x\"}";
            write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
            let second = head(&mut reader);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n").unwrap();
            thread::sleep(std::time::Duration::from_millis(10));
            stream.write_all(b"{\"StatusCode\": 7}").unwrap();
            (first, second)
        });
        block_on(async {
            let error = client.container_kill("x", "TERM").await.unwrap_err();
            assert!(error.is_not_found());
            assert_eq!(error.to_string(), "Error response from daemon: No such container: x");
            let wait = client.container_wait("y", WaitCondition::Removed).await.unwrap();
            assert_eq!(wait.outcome().await.unwrap().status_code, 7);
        });
        let (first, second) = server.join().unwrap();
        assert_eq!(first, "POST /v1.51/containers/x/kill?signal=TERM HTTP/1.1");
        assert_eq!(second, "POST /v1.51/containers/y/wait?condition=removed HTTP/1.1");
    }

    #[test]
    fn an_older_engine_is_asked_again_with_its_own_version() {
        let (client, server, _folder) = engine(|mut stream| {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            head(&mut reader);
            let body =
                "{\"message\":\"client version 1.51 is too new. Maximum supported API version is 1.43\"}";
            write!(stream, "HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                .unwrap();
            let second = head(&mut reader);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            second
        });
        block_on(client.container_pause("x")).unwrap();
        assert_eq!(server.join().unwrap(), "POST /v1.43/containers/x/pause HTTP/1.1");
    }

    #[test]
    fn a_missing_engine_is_named() {
        let client = Client::connect(Host::parse("unix:///nosuch/sock").unwrap());
        let error = block_on(client.container_pause("x")).unwrap_err();
        assert!(error.is_connect());
        assert_eq!(
            error.to_string(),
            "Cannot connect to the Docker daemon at unix:///nosuch/sock. Is the docker daemon running?"
        );
    }
}
