//! Caches of other registries.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use wharf_tests::{sha256, until};

use crate::server::{Server, noise};

/// Stands before a registry and passes requests on, or answers them itself.
struct Gate {
    address: String,
    /// Status and headers of all answers; with none, requests are passed on.
    answer: Arc<Mutex<Option<&'static str>>>,
}

impl Gate {
    fn before(target: &str) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gate = Gate { address: listener.local_addr().unwrap().to_string(), answer: Arc::default() };
        let (answer, target) = (gate.answer.clone(), target.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (answer, target) = (answer.clone(), target.clone());
                thread::spawn(move || Self::pass(&client, &target, &answer).ok());
            }
        });
        gate
    }

    /// Answers one request and closes the connection.
    fn pass(
        mut client: &TcpStream,
        target: &str,
        answer: &Mutex<Option<&'static str>>,
    ) -> std::io::Result<()> {
        let lines = BufReader::new(client).lines().map_while(Result::ok);
        let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
        let own = *answer.lock().unwrap();
        if let Some(own) = own {
            return write!(client, "HTTP/1.1 {own}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
        let mut server = TcpStream::connect(target)?;
        write!(server, "{}\r\nConnection: close\r\n\r\n", head.join("\r\n"))?;
        std::io::copy(&mut server, &mut client).map(drop)
    }

    fn answers(&self, answer: Option<&'static str>) {
        *self.answer.lock().unwrap() = answer;
    }

    /// A cache of what is behind it.
    fn cache(&self) -> Server {
        Server::start(&["--proxy", &format!("http://{}", self.address)])
    }
}

#[test]
fn an_upstream_that_is_unwell_is_stood_in_for() {
    let upstream = Server::start(&[]);
    let digest = upstream.image("app", "v1", b"layer");
    let gate = Gate::before(&upstream.address);
    for answer in
        ["429 Too Many Requests\r\nRetry-After: 0", "500 Internal Server Error", "503 Service Unavailable"]
    {
        gate.answers(None);
        let cache = gate.cache();
        assert_eq!(cache.get("/v2/app/manifests/v1").header("warning"), None);
        gate.answers(Some(answer));
        let stale = cache.get("/v2/app/manifests/v1");
        assert_eq!((stale.status, stale.header("docker-content-digest")), (200, Some(&*digest)), "{answer}");
        assert!(stale.header("warning").is_some_and(|warning| warning.starts_with("299 - ")), "{answer}");
        // What has a digest cannot be old.
        let by_digest = cache.get(&format!("/v2/app/manifests/{digest}"));
        assert_eq!((by_digest.status, by_digest.header("warning")), (200, None));
        // There is nothing to stand in for it with.
        let (status, code) =
            if answer.starts_with("429") { (429, "TOOMANYREQUESTS") } else { (502, "UNAVAILABLE") };
        cache.get("/v2/app/manifests/other").refused(status, code);
        cache.get(&format!("/v2/app/blobs/{}", sha256(b"layer"))).refused(status, code);
    }
}

#[test]
fn an_upstream_that_refuses_is_not_stood_in_for() {
    let upstream = Server::start(&["--delete"]);
    upstream.image("app", "v1", b"layer");
    let gate = Gate::before(&upstream.address);
    for answer in ["401 Unauthorized", "403 Forbidden"] {
        gate.answers(None);
        let cache = gate.cache();
        assert_eq!(cache.get("/v2/app/manifests/v1").status, 200);
        gate.answers(Some(answer));
        cache.get("/v2/app/manifests/v1").refused(403, "DENIED");
        cache.get(&format!("/v2/app/blobs/{}", sha256(b"layer"))).refused(403, "DENIED");
    }
    // A tag that is gone there is gone here.
    gate.answers(None);
    let cache = gate.cache();
    assert_eq!(cache.get("/v2/app/manifests/v1").status, 200);
    assert_eq!(upstream.delete("/v2/app/manifests/v1").status, 202);
    cache.get("/v2/app/manifests/v1").refused(404, "MANIFEST_UNKNOWN");
}

#[test]
fn several_upstreams_are_cached_and_outlived() {
    let (one, two) = (Server::start(&[]), Server::start(&[]));
    let (layer, other) = (noise(900_000), noise(1000));
    let digest = one.image("group/app", "v1", &layer);
    two.image("tool", "latest", &other);
    let proxies = [format!("one=http://{}", one.address), format!("two=http://{}", two.address)];
    let cache = Server::start(&["--proxy", &proxies[0], "--proxy", &proxies[1]]);
    let manifest = cache.get("/v2/one/group/app/manifests/v1");
    assert_eq!((manifest.status, manifest.header("docker-content-digest")), (200, Some(digest.as_str())));
    let blob = format!("/v2/one/group/app/blobs/{}", sha256(&layer));
    assert!(cache.get(&blob).body == layer);
    // As containerd asks.
    let by_namespace = format!("/v2/tool/manifests/latest?ns={}", two.address);
    let named = cache.get(&by_namespace);
    assert_eq!((named.status, named.header("oci-namespace")), (200, Some(two.address.as_str())));
    assert_eq!(cache.get("/v2/two/tool/manifests/latest").status, 200);
    cache.get("/v2/one/group/app/manifests/none").refused(404, "MANIFEST_UNKNOWN");
    cache.get(&format!("/v2/one/group/app/blobs/{}", sha256(b"none"))).refused(404, "BLOB_UNKNOWN");
    cache.send("POST", "/v2/one/group/app/blobs/uploads/", &[], b"").refused(405, "UNSUPPORTED");
    // A tag that moves is followed.
    let moved = one.image("group/app", "v1", &other);
    let manifest = cache.get("/v2/one/group/app/manifests/v1");
    assert_eq!(manifest.header("docker-content-digest"), Some(moved.as_str()));
    assert_eq!(manifest.header("warning"), None);
    // What is not an upstream's is the registry's own.
    cache.image("mine", "v1", &other);

    drop(one);
    let stale = cache.get("/v2/one/group/app/manifests/v1");
    assert_eq!((stale.status, stale.header("docker-content-digest")), (200, Some(moved.as_str())));
    assert!(stale.header("warning").unwrap().starts_with("299 "));
    assert_eq!(cache.get(&format!("/v2/one/group/app/manifests/{digest}")).status, 200);
    assert!(until(std::time::Duration::from_secs(10), || cache.get(&blob).body == layer));
    let part = cache.send("GET", &blob, &[("Range", "bytes=5-9")], b"");
    assert_eq!((part.status, part.body.as_slice()), (206, &layer[5..10]));
    cache.get("/v2/one/group/app/manifests/v2").refused(502, "UNAVAILABLE");
    assert!(String::from_utf8(cache.get("/metrics").body).unwrap().contains("upstream_stale_total 1\n"));
}

#[test]
fn many_ask_and_one_fetches() {
    let upstream = Server::start(&[]);
    let layer = noise(6 << 20);
    upstream.image("app", "v1", &layer);
    let cache = Server::start(&["--proxy", &format!("http://{}", upstream.address)]);
    assert_eq!(cache.get("/v2/app/manifests/v1").status, 200);
    let path = format!("/v2/app/blobs/{}", sha256(&layer));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert!(cache.get(&path).body == layer));
        }
    });
    let metrics = String::from_utf8(upstream.get("/metrics").body).unwrap();
    let fetched = "wharf_registry_requests_total{route=\"blob\",method=\"GET\",status=\"200\"} ";
    let line = metrics.lines().find(|line| line.starts_with(fetched)).unwrap();
    // Two may begin in the same moment; one of them then steps back.
    let count: u32 = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(count <= 16, "{line}");
    let stored =
        cache.files().iter().filter(|file| file.contains("_uploads/") && file.ends_with("data")).count();
    assert_eq!(stored, 0);
}

#[test]
fn an_upstream_that_lies_is_not_believed() {
    let upstream = Server::start(&[]);
    let layer = noise(300_000);
    upstream.image("app", "v1", &layer);
    let hex = sha256(&layer).replace("sha256:", "");
    let file = upstream.root.join(format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]));
    let mut wrong = layer.clone();
    wrong[299_999] ^= 1;
    std::fs::write(&file, &wrong).unwrap();
    let cache = Server::start(&["--proxy", &format!("http://{}", upstream.address)]);
    let path = format!("/v2/app/blobs/sha256:{hex}");
    // The head is out before the lie is seen: the body never becomes whole.
    let answer = cache.get(&path);
    assert!(answer.body.len() < layer.len(), "{}", answer.body.len());
    std::fs::write(&file, &layer).unwrap();
    assert!(until(std::time::Duration::from_secs(10), || cache.get(&path).body == layer));
}
