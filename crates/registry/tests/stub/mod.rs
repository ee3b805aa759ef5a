//! A registry that can misbehave: plain sockets, one thread a connection, one answer a connection.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) struct Request {
    pub(crate) path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    with_length: bool,
    cut: Option<usize>,
    stall: Duration,
}

impl Answer {
    pub(crate) fn ok(body: &[u8]) -> Self {
        Self::status(200, body)
    }

    pub(crate) fn status(status: u16, body: &[u8]) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_vec(),
            with_length: true,
            cut: None,
            stall: Duration::ZERO,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Display) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// The end of the connection ends the body.
    pub(crate) fn without_length(mut self) -> Self {
        self.with_length = false;
        self
    }

    /// Closes the connection after that many bytes of the body.
    pub(crate) fn cut_after(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }

    /// Sends nothing for a while after that many bytes, then closes.
    pub(crate) fn stall_after(mut self, bytes: usize, time: Duration) -> Self {
        self.cut = Some(bytes);
        self.stall = time;
        self
    }
}

pub(crate) struct Stub {
    host: String,
    log: Arc<Mutex<Vec<String>>>,
}

type Handler = dyn Fn(&Request, &str) -> Answer + Send + Sync;

impl Stub {
    pub(crate) fn start(handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_with_host(move |request, _| handler(request))
    }

    pub(crate) fn start_with_host(
        handler: impl Fn(&Request, &str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let stub = Self { host: host.clone(), log: Arc::default() };
        let (handler, log): (Arc<Handler>, _) = (Arc::new(handler), stub.log.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (handler, log, host) = (handler.clone(), log.clone(), host.clone());
                std::thread::spawn(move || serve(stream, &host, &*handler, &log));
            }
        });
        stub
    }

    pub(crate) fn host(&self) -> String {
        self.host.clone()
    }

    /// `METHOD path` of every request.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, host: &str, handler: &Handler, log: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    if reader.fill_buf().ok()?.first() == Some(&0x16) {
        // A TLS greeting: answered as a plain HTTP server does.
        stream
            .write_all(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
            .ok()?;
        return None;
    }
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((key, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((key.to_lowercase(), value.to_owned()));
    }
    log.lock().unwrap().push(format!("{method} {path}"));
    let answer = handler(&Request { path, headers }, host);
    let mut head = format!("HTTP/1.1 {} Whatever\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if answer.with_length {
        head += &format!("Content-Length: {}\r\n", answer.body.len());
    }
    stream.write_all((head + "\r\n").as_bytes()).ok()?;
    if method != "HEAD" {
        let end = answer.cut.unwrap_or(answer.body.len()).min(answer.body.len());
        stream.write_all(&answer.body[..end]).ok()?;
        std::thread::sleep(answer.stall);
    }
    stream.shutdown(std::net::Shutdown::Write).ok()?;
    // Closing with unread bytes would reset the connection under the client.
    let _ = stream.read(&mut [0; 1024]);
    Some(())
}
