//! Pulling from a real registry, and from one that lies.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    thread,
    time::Duration,
};

use serde_json::json;
use wharf_tests::{Archive, Registry, TestDaemon, sha256, until};

#[test]
fn an_image_is_pulled_by_tag_and_by_digest() {
    let daemon = TestDaemon::start("pull");
    let registry = Registry::start(&daemon.folder);
    let image = Archive::busybox("pulled");
    let name = registry.push(&image, "group/greeting:v1");
    let digest = registry.digest(&name);
    let output = daemon.run(&["pull", &name]);
    assert!(
        output.contains(&format!("Digest: {digest}\nStatus: Downloaded newer image for {name}")),
        "{output}"
    );
    assert_eq!(daemon.run(&["run", "--rm", &name]), "pulled");
    assert_eq!(daemon.run(&["inspect", "-f", "{{.Id}}", &name]), sha256(&image.config));
    assert!(daemon.run(&["pull", &name]).contains(&format!("Status: Image is up to date for {name}")));
    daemon.run(&["rmi", &name]);
    let pinned = format!("{}/group/greeting@{digest}", registry.address);
    // `run` pulls what is missing, and says so beside the program's output.
    let output = daemon.wharf(&["run", "--rm", &pinned]);
    assert_eq!((output.stdout.as_str(), output.code), ("pulled\n", 0), "{}", output.stderr);
    assert!(output.stderr.contains("Unable to find image"), "{}", output.stderr);
    assert_eq!(daemon.run(&["inspect", "-f", "{{index .RepoDigests 0}}", &pinned]), pinned);
    let output = daemon.wharf(&["pull", &format!("{}/group/greeting:nosuch", registry.address)]);
    assert_eq!(output.code, 1);
    let words =
        format!("manifest for {}/group/greeting:nosuch not found: manifest unknown", registry.address);
    assert!(output.stderr.contains(&words), "{}", output.stderr);
}

#[test]
fn a_layer_two_images_share_is_pulled_once() {
    let daemon = TestDaemon::start("share");
    let registry = Registry::start(&daemon.folder);
    let one = registry.push(&Archive::busybox("one"), "one:latest");
    let two = registry.push(&Archive::busybox("two"), "two:latest");
    daemon.run(&["pull", &one]);
    let snapshots = entries(&daemon, "snapshots");
    assert!(daemon.run(&["pull", &two]).contains("Already exists"));
    assert_eq!(entries(&daemon, "snapshots"), snapshots);
    assert_eq!(
        (daemon.run(&["run", "--rm", &one]), daemon.run(&["run", "--rm", &two])),
        ("one".into(), "two".into())
    );
}

// A registry that goes silent is given up after two silences of 30 seconds: too long to wait for here; the tests of the
// registry crate do with a shorter limit.
#[test]
fn what_a_lying_registry_says_never_becomes_visible() {
    let daemon = TestDaemon::start("lying");
    let truth = Answers::new();
    let before = visible(&daemon);
    let refused = |answers: Answers, tag: &str, words: &str| {
        let stub = serve(answers);
        let output = daemon.wharf(&["pull", &format!("{stub}/lie{tag}")]);
        assert_eq!(output.code, 1, "{tag} {words}: {} {}", output.stdout, output.stderr);
        assert!(output.stderr.contains(words), "expected {words:?} in {:?}", output.stderr);
        assert!(
            until(Duration::from_secs(5), || visible(&daemon) == before),
            "{words}: {:?}",
            visible(&daemon)
        );
    };
    refused(
        truth.changed("/v2/lie/manifests/latest", None),
        "",
        "not found: manifest unknown: manifest unknown",
    );
    let mut other = truth.layer();
    other[1000] ^= 1;
    refused(
        truth.changed(&truth.layer_path(), Some(other)),
        "",
        "filesystem layer verification failed for digest",
    );
    let mut longer = truth.layer();
    longer.push(0);
    refused(truth.changed(&truth.layer_path(), Some(longer)), "", "bytes instead of");
    refused(truth.changed(&truth.layer_path(), None), "", "unknown blob");
    refused(truth.changed(&truth.config_path(), Some(b"{}".to_vec())), "", "bytes instead of");
    let mut other = truth.image.config.clone();
    *other.last_mut().unwrap() = b' ';
    refused(truth.changed(&truth.config_path(), Some(other)), "", "image verification failed for digest");
    let pinned = format!("@{}", sha256(b"another manifest"));
    let lie = truth.changed(&format!("/v2/lie/manifests/{}", &pinned[1..]), Some(truth.manifest()));
    refused(lie, &pinned, "manifest verification failed for digest");
    // The same registry telling the truth: what failed above failed because of the lie.
    let stub = serve(truth);
    assert_eq!(daemon.run(&["run", "--rm", "-q", &format!("{stub}/lie")]), "truth");
}

/// Names in a folder of durable state.
fn entries(daemon: &TestDaemon, folder: &str) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(daemon.data().join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Images, and what lies in the store.
fn visible(daemon: &TestDaemon) -> (String, Vec<BTreeSet<PathBuf>>) {
    let folders = ["snapshots", "content", "trash"].map(|folder| entries(daemon, folder));
    (daemon.run(&["images", "-aq", "--no-trunc"]), folders.into())
}

/// What a registry answers: path to body; anything else is not found.
#[derive(Clone)]
struct Answers {
    image: std::sync::Arc<Archive>,
    bodies: HashMap<String, Vec<u8>>,
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

impl Answers {
    fn new() -> Answers {
        let image = std::sync::Arc::new(Archive::busybox("truth"));
        let mut answers = Answers { image, bodies: HashMap::new() };
        let (layer, config, manifest) = (answers.layer(), answers.image.config.clone(), answers.manifest());
        answers.bodies.insert("/v2/".to_owned(), b"{}".to_vec());
        answers.bodies.insert(format!("/v2/lie/manifests/{}", sha256(&manifest)), manifest.clone());
        answers.bodies.insert("/v2/lie/manifests/latest".to_owned(), manifest);
        answers.bodies.insert(answers.layer_path(), layer);
        answers.bodies.insert(answers.config_path(), config);
        answers
    }

    fn layer(&self) -> Vec<u8> {
        self.image.layer.clone()
    }

    fn layer_path(&self) -> String {
        format!("/v2/lie/blobs/{}", sha256(&self.image.layer))
    }

    fn config_path(&self) -> String {
        format!("/v2/lie/blobs/{}", sha256(&self.image.config))
    }

    fn manifest(&self) -> Vec<u8> {
        let descriptor = |kind: &str, content: &[u8]| {
            json!({
                "mediaType": format!("application/vnd.oci.image.{kind}"),
                "digest": sha256(content),
                "size": content.len(),
            })
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor("config.v1+json", &self.image.config),
            "layers": [descriptor("layer.v1.tar", &self.image.layer)],
        });
        manifest.to_string().into_bytes()
    }

    /// The same with another body at `path`, or none.
    fn changed(&self, path: &str, body: Option<Vec<u8>>) -> Answers {
        let mut answers = self.clone();
        match body {
            Some(body) => answers.bodies.insert(path.to_owned(), body),
            None => answers.bodies.remove(path),
        };
        answers
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut first = [0];
        // A TLS client says hello first: this registry has no TLS.
        if stream.peek(&mut first)? == 0 || first[0] == 0x16 {
            return Ok(());
        }
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
        lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
        let mut words = request.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let is_manifest = path.contains("/manifests/");
        let unknown = if is_manifest {
            ("MANIFEST_UNKNOWN", "manifest unknown")
        } else {
            ("BLOB_UNKNOWN", "blob unknown to registry")
        };
        let detail =
            json!({"errors": [{"code": unknown.0, "message": unknown.1, "detail": {"Name": "lie"}}]})
                .to_string();
        let (status, kind, body) = match self.bodies.get(path) {
            Some(body) if is_manifest => ("200 OK", MANIFEST, body.as_slice()),
            Some(body) => ("200 OK", "application/octet-stream", body.as_slice()),
            None => ("404 Not Found", "application/json", detail.as_bytes()),
        };
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        )?;
        if method != "HEAD" {
            stream.write_all(body)?;
        }
        Ok(())
    }
}

/// Answers until the process ends; returns host and port.
fn serve(answers: Answers) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answers = answers.clone();
            thread::spawn(move || answers.answer(stream));
        }
    });
    address
}
