//! A registry that takes uploads, and has a fault ready for each `PATCH`.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use wharf_oci::Digest;

/// What goes wrong with one `PATCH`.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    /// The connection ends after that many bytes; they are kept.
    Cut(usize),
    /// The same, and the upload is forgotten.
    Forget(usize),
    /// The last bytes are not kept, and nothing is said.
    Lose(usize),
    /// Everything is read and nothing kept; a status and a header answer.
    Answer(u16, &'static str),
}

#[derive(Default)]
struct State {
    faults: VecDeque<Fault>,
    /// The bytes of the upload that is going on.
    upload: Option<Vec<u8>>,
    /// The last upload that was finished.
    blob: Vec<u8>,
    log: Vec<String>,
}

pub(crate) struct Sink {
    host: String,
    state: Arc<Mutex<State>>,
}

impl Sink {
    pub(crate) fn start(faults: Vec<Fault>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State { faults: faults.into(), ..State::default() }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                // A client that is gone is no failure of the registry.
                std::thread::spawn(move || serve(&stream, &state).ok());
            }
        });
        Self { host, state }
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The blob that was finished last.
    pub(crate) fn blob(&self) -> Vec<u8> {
        self.state.lock().unwrap().blob.clone()
    }

    /// `METHOD path` of every request.
    pub(crate) fn log(&self) -> Vec<String> {
        self.state.lock().unwrap().log.clone()
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    if reader.fill_buf()?.first() == Some(&0x16) {
        // A TLS greeting: answered as a plain HTTP server does.
        let answer = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
        return (&*stream).write_all(answer);
    }
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (mut length, mut chunked) = (0, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((key, value)) = line.trim_end().split_once(": ") else { break };
        match key.to_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "transfer-encoding" => chunked = value == "chunked",
            _ => {}
        }
    }
    state.lock().unwrap().log.push(format!("{method} {path}"));
    let answer = if method == "PATCH" {
        assert!(chunked);
        patch(&mut reader, state)?
    } else {
        io::copy(&mut (&mut reader).take(length), &mut io::sink())?;
        Some(answer(&method, &path, &mut state.lock().unwrap()))
    };
    if let Some(answer) = answer {
        (&*stream).write_all(answer.as_bytes())?;
    }
    stream.shutdown(Shutdown::Both)
}

fn reply(status: u16, header: &str) -> String {
    format!("HTTP/1.1 {status} Whatever\r\nConnection: close\r\nContent-Length: 0\r\n{header}\r\n\r\n")
}

/// Reads an upload; no answer if the connection is to be cut.
fn patch(reader: &mut impl BufRead, state: &Mutex<State>) -> io::Result<Option<String>> {
    let fault = state.lock().unwrap().faults.pop_front();
    let limit = match fault {
        Some(Fault::Cut(bytes) | Fault::Forget(bytes)) => bytes,
        _ => usize::MAX,
    };
    let (mut data, whole) = read_chunks(reader, limit)?;
    let mut state = state.lock().unwrap();
    match fault {
        Some(Fault::Answer(status, header)) => return Ok(Some(reply(status, header))),
        Some(Fault::Forget(_)) => state.upload = None,
        Some(Fault::Lose(bytes)) => data.truncate(data.len().saturating_sub(bytes)),
        Some(Fault::Cut(_)) | None => {}
    }
    if let Some(upload) = &mut state.upload {
        upload.extend(data);
    }
    Ok(whole.then(|| reply(202, "Location: /v2/me/app/blobs/uploads/one")))
}

/// The body of a request, at most `limit` bytes of it, and whether that is all.
fn read_chunks(reader: &mut impl BufRead, limit: usize) -> io::Result<(Vec<u8>, bool)> {
    let mut data = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
        let mut chunk = Vec::new();
        reader.by_ref().take(size).read_to_end(&mut chunk)?;
        reader.read_line(&mut line)?;
        data.extend(chunk);
        if data.len() >= limit {
            data.truncate(limit);
            return Ok((data, false));
        }
        if size == 0 {
            return Ok((data, true));
        }
    }
}

fn answer(method: &str, path: &str, state: &mut State) -> String {
    let upload = "Location: /v2/me/app/blobs/uploads/one";
    match method {
        "POST" => {
            state.upload = Some(Vec::new());
            reply(202, upload)
        }
        "GET" if path.contains("/uploads/") => match &state.upload {
            Some(data) => reply(204, &format!("{upload}\r\nRange: 0-{}", data.len().saturating_sub(1))),
            None => reply(404, "X-Reason: none"),
        },
        "HEAD" => reply(404, "X-Reason: none"),
        "PUT" if path.contains("/manifests/") => {
            reply(201, &format!("Docker-Content-Digest: {}", Digest::sha256(b"other")))
        }
        "PUT" => {
            let data = state.upload.take().unwrap_or_default();
            let digest = Digest::sha256(&data).to_string().replace(':', "%3A");
            if !path.replace(':', "%3A").ends_with(&digest) {
                let body = r#"{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match uploaded content"}]}"#;
                let head = format!(
                    "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: {}",
                    body.len()
                );
                return format!("{head}\r\n\r\n{body}");
            }
            state.blob = data;
            reply(201, "X-Reason: none")
        }
        _ => reply(200, "X-Reason: none"),
    }
}
