//! A server of a test's own, and a client that says exactly what the test says.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use wharf_tests::{binary, sha256};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A registry on a port of its own.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    pub(crate) root: PathBuf,
    /// `None` if the folder is somebody else's.
    _folder: Option<tempfile::TempDir>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Server {
    pub(crate) fn start(flags: &[&str]) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self::at(&folder.path().join("storage"), flags, &[]);
        server._folder = Some(folder);
        server
    }

    /// A server over a folder that outlives it.
    pub(crate) fn at(root: &Path, flags: &[&str], environment: &[(&str, &str)]) -> Server {
        let mut command = Command::new(binary());
        command.args(["registry", "serve", "--addr", "127.0.0.1:0", "--root"]).arg(root).args(flags);
        command.envs(environment.iter().copied()).stderr(Stdio::piped()).stdin(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let (mut said, mut line) = (String::new(), String::new());
        let address = loop {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "the registry does not start: {said}");
            said += &line;
            if let Some((_, address)) = line.trim_end().split_once("the registry is ready address=") {
                break address.to_owned();
            }
        };
        // Nobody needs the rest, but it must go somewhere.
        thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Server { child, address, root: root.to_owned(), _folder: None }
    }

    /// Ends it without a chance to tidy up.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Kilobytes of memory of its own at most so far.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(&self.address)
    }

    /// Sends a request with a length.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        ask(&self.address, method, path, headers, body)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub(crate) fn head(&self, path: &str) -> Answer {
        self.send("HEAD", path, &[], b"")
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], b"")
    }

    /// The digest of the manifest with the tag `1` of a repository.
    pub(crate) fn digest(&self, name: &str) -> String {
        let answer = self.head(&format!("/v2/{name}/manifests/1"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.header("docker-content-digest").unwrap().to_owned()
    }

    /// Begins an upload; its path.
    pub(crate) fn begin(&self, name: &str) -> String {
        let answer = self.send("POST", &format!("/v2/{name}/blobs/uploads/"), &[], b"");
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.header("location").unwrap().to_owned()
    }

    /// Pushes a blob; its digest.
    pub(crate) fn blob(&self, name: &str, data: &[u8]) -> String {
        let digest = sha256(data);
        let upload = self.begin(name);
        let answer = self.send("PUT", &with_digest(&upload, &digest), &[], data);
        assert_eq!(answer.status, 201, "{answer:?}");
        digest
    }

    pub(crate) fn put(&self, name: &str, reference: &str, kind: &str, manifest: &[u8]) -> Answer {
        self.send("PUT", &format!("/v2/{name}/manifests/{reference}"), &[("Content-Type", kind)], manifest)
    }

    /// Pushes an image with one layer under a tag; the digest of its manifest.
    pub(crate) fn image(&self, name: &str, tag: &str, layer: &[u8]) -> String {
        let layer_digest = self.blob(name, layer);
        let manifest = self.manifest(name, &json!({"layers": [descriptor(&layer_digest, layer.len())]}));
        let answer = self.put(name, tag, MANIFEST, &manifest);
        assert_eq!(answer.status, 201, "{answer:?}");
        sha256(&manifest)
    }

    /// A manifest with an empty configuration, which is pushed, and some more fields.
    pub(crate) fn manifest(&self, name: &str, fields: &Value) -> Vec<u8> {
        let config = self.blob(name, b"{}");
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.test.config+json", "digest": config, "size": 2},
            "layers": [],
        });
        for (key, value) in fields.as_object().unwrap() {
            manifest[key] = value.clone();
        }
        serde_json::to_vec(&manifest).unwrap()
    }

    /// Collects garbage beside it, as another process; what is said.
    pub(crate) fn collect(&self, flags: &[&str]) -> String {
        let mut command = Command::new(binary());
        command.args(["registry", "garbage-collect", "--root"]).arg(&self.root).args(flags);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Names of all files of the storage.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut left = vec![self.root.clone()];
        while let Some(folder) = left.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                if entry.path().is_dir() {
                    left.push(entry.path());
                } else {
                    found.push(entry.path().to_str().unwrap().to_owned());
                }
            }
        }
        found
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    pub(crate) fn read(stream: impl Read, without_body: bool) -> Answer {
        let mut reader = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(reader.read_line(&mut line).unwrap() > 0, "no whole head: {lines:?}");
            match line.trim_end() {
                // An interim answer.
                "" if lines.first().is_some_and(|line: &String| line.contains(" 100 ")) => lines.clear(),
                "" => break,
                text => lines.push(text.to_owned()),
            }
        }
        let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
        let split = |line: &String| {
            line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        };
        let headers = lines[1..].iter().filter_map(split).collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        if !without_body {
            let length = answer.header("content-length").map(|length| length.parse::<u64>().unwrap());
            // A body that is cut short is short here.
            let _ = reader.take(length.unwrap_or(0)).read_to_end(&mut answer.body);
        }
        answer
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let of_name = self.headers.iter().filter(|(found, _)| found == name);
        of_name.map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The code of the first error, after a look at the form of the document.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        let document = self.json();
        assert!(document["errors"][0]["message"].is_string(), "{document}");
        document["errors"][0]["code"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{self:?}");
    }
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// Sends a request with a length to any server.
pub(crate) fn ask(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = connect(address);
    let head = head(method, path, headers, Some(body.len()));
    stream.write_all(head.as_bytes()).unwrap();
    // The answer may come before the end.
    let _ = stream.write_all(body);
    Answer::read(stream, method == "HEAD")
}

pub(crate) fn head(method: &str, path: &str, headers: &[(&str, &str)], length: Option<usize>) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: registry.test\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    match length {
        Some(length) => head + &format!("Content-Length: {length}\r\n\r\n"),
        None => head + "Transfer-Encoding: chunked\r\n\r\n",
    }
}

pub(crate) fn with_digest(upload: &str, digest: &str) -> String {
    let and = if upload.contains('?') { '&' } else { '?' };
    format!("{upload}{and}digest={digest}")
}

pub(crate) fn descriptor(digest: &str, size: usize) -> Value {
    json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": size})
}

/// The path and query of the next page.
pub(crate) fn next(answer: &Answer) -> Option<String> {
    let (target, rest) = answer.header("link")?.strip_prefix('<')?.split_once('>')?;
    assert_eq!(rest, "; rel=\"next\"");
    Some(target.to_owned())
}

/// The lists `key` of all pages from `first` on.
pub(crate) fn pages(server: &Server, first: &str, key: &str) -> Vec<Vec<String>> {
    let (mut path, mut pages) = (Some(first.to_owned()), Vec::new());
    while let Some(at) = path {
        let answer = server.get(&at);
        assert_eq!(answer.status, 200, "{answer:?}");
        pages.push(serde_json::from_value(answer.json()[key].clone()).unwrap());
        path = next(&answer);
    }
    pages
}

pub(crate) fn sha512(data: &[u8]) -> String {
    use sha2::Digest;
    let hash = sha2::Sha512::digest(data);
    hash.iter().fold("sha512:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// Bytes that differ everywhere.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64 ^ length as u64;
    let mut data = Vec::with_capacity(length + 8);
    while data.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        data.extend_from_slice(&state.to_le_bytes());
    }
    data.truncate(length);
    data
}
