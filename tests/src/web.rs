//! Files over HTTP.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

/// A server of the files of a folder on a loopback port of its own. It stays until the test's process ends.
#[derive(Debug)]
pub struct Web {
    /// Host and port.
    pub address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// Serves a folder.
    pub fn serve(folder: &Path) -> Web {
        Self::start(folder, None)
    }

    /// Serves a folder to those who show this header, `Authorization: …`.
    pub fn serve_to(folder: &Path, header: &str) -> Web {
        Self::start(folder, Some(header.to_owned()))
    }

    fn start(folder: &Path, wanted: Option<String>) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::default();
        let web = Web { address, requests: Arc::clone(&requests) };
        let folder = folder.to_owned();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (folder, wanted, requests) = (folder.clone(), wanted.clone(), Arc::clone(&requests));
                thread::spawn(move || answer(stream, &folder, wanted.as_deref(), &requests));
            }
        });
        web
    }

    /// Lines and headers of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Answers one request and closes the connection.
fn answer(mut stream: TcpStream, folder: &Path, wanted: Option<&str>, requests: &Mutex<Vec<String>>) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let Some(first) = head.first() else { return };
    requests.lock().unwrap().extend(head.iter().cloned());
    let target = first.split(' ').nth(1).unwrap_or_default();
    let path: PathBuf = folder.join(target.split('?').next().unwrap_or_default().trim_start_matches('/'));
    let is_let_in = wanted.is_none_or(|wanted| head.iter().any(|line| line.eq_ignore_ascii_case(wanted)));
    let (status, body) = match fs::read(&path) {
        _ if !is_let_in => ("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"", Vec::new()),
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // A client may have left.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}
