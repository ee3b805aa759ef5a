//! The client against registries that behave, ask for tokens, lie, stall and break.

#![allow(clippy::unwrap_used)]

mod stub;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use wharf_oci::image::{Descriptor, media_type};
use wharf_oci::{Digest, Platform, Reference};
use wharf_registry::{Client, ClientConfig, Credentials, Error};

use stub::{Answer, Request, Stub};

const NOTHING: fn(&Digest) -> Option<Vec<u8>> = |_| None;

fn client() -> Client {
    let stall_timeout = Duration::from_millis(300);
    Client::new(ClientConfig { stall_timeout, retries: 2, ..ClientConfig::default() })
}

fn manifest_of(layer: &[u8]) -> Vec<u8> {
    let config = Descriptor::of(media_type::OCI_CONFIG, b"{}");
    let layer = Descriptor::of(media_type::OCI_LAYER, layer);
    serde_json::to_vec(&json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": [layer]}))
        .unwrap()
}

fn manifest(data: &[u8]) -> Answer {
    Answer::ok(data)
        .header("Content-Type", media_type::OCI_MANIFEST)
        .header("Docker-Content-Digest", Digest::sha256(data))
}

fn reference(stub: &Stub, rest: &str) -> Reference {
    Reference::parse(&format!("{}/{rest}", stub.host())).unwrap()
}

/// Reads a blob of `size` bytes served by `answer`.
async fn read_blob(
    size: u64,
    answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
) -> wharf_registry::Result<Vec<u8>> {
    let body = manifest_of(b"");
    let stub = Stub::start(move |request| match request.path.as_str() {
        path if path.contains("/manifests/") => manifest(&body),
        path if path.contains("/blobs/") => answer(request),
        _ => Answer::ok(b"{}"),
    });
    let (repository, _) = client().resolve(&reference(&stub, "a:1"), None, &NOTHING).await.unwrap();
    let mut blob = repository.blob(&Descriptor::new(media_type::OCI_LAYER, Digest::sha256(b"blob"), size));
    let mut data = Vec::new();
    while let Some(part) = blob.next().await? {
        data.extend_from_slice(&part);
    }
    Ok(data)
}

#[tokio::test]
async fn manifest_and_blob_by_plain_http_on_loopback() {
    let layer = vec![7u8; 300_000];
    let body = manifest_of(&layer);
    let expected = Digest::sha256(&body);
    let (served, blob) = (body.clone(), layer.clone());
    let stub = Stub::start(move |request| match request.path.as_str() {
        "/v2/" => Answer::ok(b"{}"),
        "/v2/me/app/manifests/1" => manifest(&served),
        path if path.starts_with("/v2/me/app/blobs/") => Answer::ok(&blob),
        _ => Answer::status(404, b""),
    });
    let (repository, fetched) =
        client().resolve(&reference(&stub, "me/app:1"), None, &NOTHING).await.unwrap();
    let image = repository.image(fetched, None, &NOTHING).await.unwrap();
    assert_eq!(image.digest, expected);
    assert_eq!(image.body, body);
    let mut stream = repository.blob(&image.manifest.layers[0]);
    let mut data = Vec::new();
    while let Some(part) = stream.next().await.unwrap() {
        data.extend_from_slice(&part);
    }
    assert_eq!(data, layer);
    assert_eq!(stub.log()[..3], ["GET /v2/", "HEAD /v2/me/app/manifests/1", "GET /v2/me/app/manifests/1"]);
}

#[tokio::test]
async fn a_known_manifest_is_not_fetched_again() {
    let body = manifest_of(b"x");
    let served = body.clone();
    let stub = Stub::start(
        move |request| if request.path == "/v2/" { Answer::ok(b"{}") } else { manifest(&served) },
    );
    let cached = |digest: &Digest| digest.matches(&body).then(|| body.clone());
    let (_, fetched) = client().resolve(&reference(&stub, "a"), None, &cached).await.unwrap();
    assert_eq!(fetched.descriptor.media_type, media_type::OCI_MANIFEST);
    assert_eq!(stub.log(), ["GET /v2/", "HEAD /v2/a/manifests/latest"]);
}

#[tokio::test]
async fn an_index_gives_the_platforms_own_manifest() {
    let (amd, arm) = (manifest_of(b"amd"), manifest_of(b"arm"));
    let entry = |body: &[u8], platform: &str| {
        let mut entry = Descriptor::of(media_type::OCI_MANIFEST, body);
        entry.platform = Some(platform.parse().unwrap());
        entry
    };
    let entries = [entry(&arm, "linux/arm64"), entry(&amd, "linux/amd64")];
    let index = serde_json::to_vec(&json!({"schemaVersion": 2, "manifests": entries})).unwrap();
    let index_digest = Digest::sha256(&index);
    let stub = Stub::start(move |request| match request.path.rsplit('/').next() {
        Some("1") => Answer::ok(&index).header("Content-Type", media_type::OCI_INDEX),
        Some(digest) if digest == Digest::sha256(&amd).as_str() => manifest(&amd),
        Some(digest) if digest == Digest::sha256(&arm).as_str() => manifest(&arm),
        _ => Answer::ok(b"{}"),
    });
    for (platform, layer) in [("linux/amd64", &b"amd"[..]), ("linux/arm64/v8", b"arm")] {
        let (repository, fetched) = client().resolve(&reference(&stub, "a:1"), None, &NOTHING).await.unwrap();
        let platform: Platform = platform.parse().unwrap();
        let image = repository.image(fetched, Some(&platform), &NOTHING).await.unwrap();
        assert_eq!(image.digest, index_digest);
        assert_eq!(image.manifest.layers[0].digest, Digest::sha256(layer));
    }
    let (repository, fetched) = client().resolve(&reference(&stub, "a:1"), None, &NOTHING).await.unwrap();
    let error = repository.image(fetched, Some(&"linux/s390x".parse().unwrap()), &NOTHING).await.unwrap_err();
    assert_eq!(error.to_string(), "no matching manifest for linux/s390x in the manifest list entries");
}

#[tokio::test]
async fn errors_in_dockers_words() {
    let stub = Stub::start(|request| match request.path.as_str() {
        "/v2/" => Answer::ok(b"{}"),
        "/v2/bare/manifests/1" => {
            Answer::status(404, br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#)
        }
        "/v2/full/manifests/1" => Answer::status(
            404,
            br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":"x"}]}"#,
        ),
        "/v2/denied/manifests/1" => Answer::status(401, b"")
            .header("WWW-Authenticate", r#"Bearer realm="",error="insufficient_scope""#),
        _ => Answer::status(500, b"oops"),
    });
    let ask = async |name: &str| {
        client()
            .resolve(&reference(&stub, &format!("{name}:1")), None, &NOTHING)
            .await
            .unwrap_err()
            .to_string()
    };
    assert_eq!(ask("bare").await, "manifest unknown");
    assert_eq!(ask("full").await, "manifest unknown: manifest unknown");
    assert_eq!(ask("denied").await, "denied: requested access to the resource is denied");
    assert_eq!(ask("other").await, "received unexpected HTTP status: 500 Internal Server Error");
}

#[tokio::test]
async fn answers_that_are_no_error_documents_in_dockers_words() {
    let stub = Stub::start(|request| match request.path.as_str() {
        "/v2/" => Answer::ok(b"{}"),
        "/v2/busy/manifests/1" => Answer::status(429, b"<html>").header("Content-Type", "text/html"),
        "/v2/page/manifests/1" => Answer::status(404, b"\x1b[31mno").header("Content-Type", "text/html"),
        "/v2/file/manifests/1" => Answer::status(302, b"").header("Location", "file:///etc/passwd"),
        "/v2/link/manifests/1" => Answer::status(302, b"").header("Location", "http://169.254.169.254/x"),
        "/v2/long/manifests/1" => Answer::ok(b"").header("X-Long", "x".repeat(1 << 20)),
        _ => Answer::ok(b"1234").cut_after(0),
    });
    let ask = async |name: &str| {
        let error = client().resolve(&reference(&stub, &format!("{name}:1")), None, &NOTHING).await;
        error.unwrap_err().to_string()
    };
    assert_eq!(ask("busy").await, "toomanyrequests: <html>");
    assert_eq!(ask("page").await, "unknown: \\x1b[31mno");
    assert_eq!(ask("file").await, "Get \"file:///etc/passwd\": unsupported protocol scheme \"file\"");
    assert!(ask("link").await.ends_with(": refusing a redirect to a link-local address"));
    assert!(ask("long").await.ends_with(": net/http: server response headers are too large"));
    let gone = ask("gone").await;
    assert!(gone.ends_with(": unexpected EOF"), "{gone}");
}

#[tokio::test]
async fn a_manifest_of_another_type_than_stated_is_refused() {
    let body = manifest_of(b"");
    let stub = Stub::start(move |request| match request.path.as_str() {
        "/v2/" => Answer::ok(b"{}"),
        _ => Answer::ok(&body).header("Content-Type", media_type::DOCKER_MANIFEST),
    });
    let error = client().resolve(&reference(&stub, "a:1"), None, &NOTHING).await.unwrap_err();
    let (docker, oci) = (media_type::DOCKER_MANIFEST, media_type::OCI_MANIFEST);
    assert_eq!(error.to_string(), format!("mediaType in manifest should be '{docker}' not '{oci}'"));
}

#[tokio::test]
async fn artifacts_are_no_images() {
    let part = |kind: &str| Descriptor::of(kind, b"{}");
    let fetch = async |config: &str, layer: &str| {
        let body = serde_json::to_vec(&json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": part(config), "layers": [part(layer)]}));
        let body = body.unwrap();
        let stub = Stub::start(move |request| match request.path.as_str() {
            "/v2/" => Answer::ok(b"{}"),
            _ => manifest(&body),
        });
        let (repository, fetched) = client().resolve(&reference(&stub, "a:1"), None, &NOTHING).await.unwrap();
        repository.image(fetched, None, &NOTHING).await.map_err(|error| error.to_string())
    };
    let (config, layer) = (media_type::OCI_CONFIG, media_type::OCI_LAYER);
    fetch(config, layer).await.unwrap();
    fetch("", "application/vnd.docker.image.rootfs.diff.tar.zstd").await.unwrap();
    let refused = |kind: &str| format!("unsupported media type {kind}");
    let helm = "application/vnd.cncf.helm.config.v1+json";
    assert_eq!(fetch(helm, layer).await.unwrap_err(), refused(helm));
    assert_eq!(
        fetch(config, "application/vnd.in-toto+json").await.unwrap_err(),
        refused("application/vnd.in-toto+json")
    );
    let plugin = fetch("application/vnd.docker.plugin.v1+json", layer).await.unwrap_err();
    assert!(plugin.starts_with("Encountered remote"), "{plugin}");
}

#[tokio::test]
async fn nobody_there() {
    let error =
        client().resolve(&Reference::parse("127.0.0.1:1/x").unwrap(), None, &NOTHING).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused"#
    );
    assert!(error.is_unreachable());
    let error =
        client().resolve(&Reference::parse("nosuch.invalid/x").unwrap(), None, &NOTHING).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with(r#"Get "https://nosuch.invalid/v2/": dial tcp: lookup nosuch.invalid"#),
        "{text}"
    );
    assert!(error.is_unreachable());
}

#[tokio::test]
async fn a_token_is_fetched_once_and_sent() {
    let body = manifest_of(b"");
    let stub = Stub::start_with_host(move |request, host| {
        let token = "Bearer good".to_owned();
        match request.path.as_str() {
            "/token?account=u&scope=repository%3Aa%3Apull&service=s" => {
                assert_eq!(request.header("authorization"), Some("Basic dTpw"));
                Answer::ok(br#"{"token":"good","expires_in":300}"#)
            }
            _ if request.header("authorization") != Some(&token) => Answer::status(401, b"{}")
                .header("WWW-Authenticate", format!(r#"Bearer realm="http://{host}/token",service="s""#)),
            "/v2/a/manifests/1" => manifest(&body),
            _ => Answer::ok(b""),
        }
    });
    let credentials =
        Credentials { username: "u".to_owned(), password: "p".to_owned(), ..Credentials::default() };
    let (repository, _) =
        client().resolve(&reference(&stub, "a:1"), Some(&credentials), &NOTHING).await.unwrap();
    let mut blob = repository.blob(&Descriptor::of(media_type::OCI_LAYER, b""));
    assert!(blob.next().await.unwrap().is_none());
    let tokens = stub.log().iter().filter(|line| line.contains("/token")).count();
    assert_eq!(tokens, 1);
}

#[tokio::test]
async fn an_expired_token_is_renewed_and_a_refusal_ends() {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let body = manifest_of(b"");
    let stub = Stub::start_with_host(move |request, host| {
        if request.path.starts_with("/token") {
            let n = counter.fetch_add(1, Ordering::SeqCst);
            return Answer::ok(format!(r#"{{"access_token":"t{n}"}}"#).as_bytes());
        }
        let good = request.header("authorization") == Some("Bearer t1") && !request.path.contains("never");
        if good {
            return manifest(&body);
        }
        Answer::status(
            401,
            br#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":[]}]}"#,
        )
        .header(
            "WWW-Authenticate",
            format!(r#"Bearer realm="http://{host}/token",scope="repository:a:pull""#),
        )
    });
    client().resolve(&reference(&stub, "a:1"), None, &NOTHING).await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 2);
    let error = client().resolve(&reference(&stub, "never:1"), None, &NOTHING).await.unwrap_err();
    assert_eq!(error.to_string(), "unauthorized: authentication required");
    assert!(count.load(Ordering::SeqCst) < 10);
}

#[tokio::test]
async fn basic_authentication_and_login() {
    let stub = Stub::start(|request| match request.header("authorization") {
        Some("Basic dTpw") => Answer::ok(b"{}"),
        _ => Answer::status(
            401,
            br#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#,
        )
        .header("WWW-Authenticate", r#"Basic realm="x""#),
    });
    let with = |password: &str| Credentials {
        username: "u".to_owned(),
        password: password.to_owned(),
        ..Credentials::default()
    };
    client().login(&stub.host(), &with("p")).await.unwrap();
    assert_eq!(
        client().login(&stub.host(), &with("q")).await.unwrap_err().to_string(),
        format!("login attempt to http://{}/v2/ failed with status: 401 Unauthorized", stub.host())
    );
    let error = client().resolve(&reference(&stub, "a:1"), None, &NOTHING).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("Head \"http://{}/v2/a/manifests/1\": no basic auth credentials", stub.host())
    );
    let error = client().resolve(&reference(&stub, "a:1"), Some(&with("q")), &NOTHING).await.unwrap_err();
    assert_eq!((error.to_string().as_str(), error.status()), ("unauthorized", Some(401)));
}

#[tokio::test]
async fn a_manifest_that_is_not_what_it_says_is_refused() {
    let honest = manifest_of(b"honest");
    let digest = Digest::sha256(&honest);
    let stated = digest.clone();
    let stub = Stub::start(move |request| match request.path.as_str() {
        "/v2/" => Answer::ok(b"{}"),
        _ => Answer::ok(&manifest_of(b"forged"))
            .header("Content-Type", media_type::OCI_MANIFEST)
            .header("Docker-Content-Digest", &stated),
    });
    for name in ["a:1".to_owned(), format!("a@{digest}")] {
        let error = client().resolve(&reference(&stub, &name), None, &NOTHING).await.unwrap_err();
        assert_eq!(error.to_string(), format!("manifest verification failed for digest {digest}"));
    }
}

#[tokio::test]
async fn an_endless_manifest_is_refused() {
    let stub = Stub::start(|request| match request.path.as_str() {
        "/v2/" => Answer::ok(b"{}"),
        _ => Answer::ok(&vec![b' '; 5 << 20]),
    });
    let error = client().resolve(&reference(&stub, "a:1"), None, &NOTHING).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { what: "manifest", .. }), "{error}");
}

#[tokio::test]
async fn a_blob_of_another_length_is_refused() {
    let long = read_blob(3, |_| Answer::ok(b"blob")).await;
    assert!(matches!(long, Err(Error::Length { want: 3, got: 4, .. })), "{long:?}");
    let unannounced = read_blob(3, |_| Answer::ok(b"blob").without_length()).await;
    assert!(matches!(unannounced, Err(Error::Length { want: 3, got: 4, .. })), "{unannounced:?}");
    let short = read_blob(9, |_| Answer::ok(b"blob").without_length()).await;
    assert!(matches!(short, Err(Error::Interrupted { .. } | Error::Length { .. })), "{short:?}");
}

#[tokio::test]
async fn a_broken_blob_goes_on_where_it_broke() {
    for ranges in [true, false] {
        let data: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
        let expected = data.clone();
        let calls = AtomicUsize::new(0);
        let got = read_blob(data.len() as u64, move |request| {
            let from = request.header("range").map_or(0, |range| {
                range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse::<usize>().unwrap()
            });
            let answer = match from {
                0 => Answer::ok(&data),
                from if ranges => Answer::status(206, &data[from..])
                    .header("Content-Range", format!("bytes {from}-{}/{}", data.len() - 1, data.len())),
                _ => Answer::ok(&data),
            };
            if calls.fetch_add(1, Ordering::SeqCst) < 2 { answer.cut_after(70_000) } else { answer }
        })
        .await;
        assert_eq!(got.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_stalled_blob_is_given_up() {
    let started = Instant::now();
    let stalled = read_blob(8, |_| Answer::ok(b"blobblob").stall_after(4, Duration::from_secs(5))).await;
    assert!(matches!(stalled, Err(Error::Stalled { .. })), "{stalled:?}");
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn redirects_are_followed_without_the_authorization_but_not_for_ever() {
    let target = Stub::start(|request| {
        assert_eq!(request.header("authorization"), None);
        Answer::ok(b"blob")
    });
    let location = format!("http://{}/elsewhere", target.host());
    let body = manifest_of(b"");
    let stub = Stub::start(move |request| match request.path.as_str() {
        _ if request.header("authorization").is_none() => {
            Answer::status(401, b"{}").header("WWW-Authenticate", "Basic realm=x")
        }
        path if path.contains("/manifests/") => manifest(&body),
        path if path.contains("/blobs/") && path.ends_with(Digest::sha256(b"blob").hex()) => {
            Answer::status(307, b"").header("Location", &location)
        }
        path if path.contains("/blobs/") => Answer::status(307, b"").header("Location", path),
        _ => Answer::ok(b"{}"),
    });
    let credentials = Credentials { username: "u".to_owned(), ..Credentials::default() };
    let (repository, _) =
        client().resolve(&reference(&stub, "a:1"), Some(&credentials), &NOTHING).await.unwrap();
    let data = repository.small_blob(&Descriptor::of(media_type::OCI_LAYER, b"blob")).await.unwrap();
    assert_eq!(data, &b"blob"[..]);
    let error = repository.small_blob(&Descriptor::of(media_type::OCI_LAYER, b"loop")).await.unwrap_err();
    assert!(error.to_string().contains("redirect"), "{error}");
}

#[tokio::test]
async fn what_no_further_attempt_mends_is_told_at_once() {
    let gone = read_blob(4, |_| Answer::status(404, b"<html>")).await.unwrap_err();
    assert_eq!(gone.to_string(), "unknown blob");
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let elsewhere = read_blob(4, move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Answer::status(307, b"").header("Location", "file:///etc/passwd")
    });
    assert!(elsewhere.await.unwrap_err().to_string().contains("unsupported protocol scheme"));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    // This may pass, but does not.
    let broken = read_blob(4, |_| Answer::status(500, b"oops")).await.unwrap_err();
    assert_eq!(broken.to_string(), "received unexpected HTTP status: 500 Internal Server Error");
}

#[tokio::test]
async fn a_busy_registry_is_asked_again() {
    let calls = AtomicUsize::new(0);
    let got = read_blob(4, move |_| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::status(503, b""),
        1 => Answer::status(429, b""),
        _ => Answer::ok(b"blob"),
    });
    assert_eq!(got.await.unwrap(), b"blob");
}

#[tokio::test]
async fn small_blobs_are_verified() {
    let body = manifest_of(b"");
    let stub = Stub::start(move |request| match request.path.as_str() {
        path if path.contains("/manifests/") => manifest(&body),
        _ => Answer::ok(b"[]"),
    });
    let (repository, fetched) = client().resolve(&reference(&stub, "a:1"), None, &NOTHING).await.unwrap();
    let image = repository.image(fetched, None, &NOTHING).await.unwrap();
    let error = repository.small_blob(&image.manifest.config).await.unwrap_err();
    assert!(matches!(error, Error::BlobDigest(_)), "{error}");
}

#[tokio::test]
async fn tags_come_in_pages_and_mirrors_come_first() {
    let stub = Stub::start(|request| match request.path.as_str() {
        "/v2/library/a/tags/list" => Answer::ok(br#"{"name":"a","tags":["1","2"]}"#)
            .header("Link", r#"</v2/library/a/tags/list?last=2>; rel="next""#),
        "/v2/library/a/tags/list?last=2" => Answer::ok(br#"{"name":"a","tags":["3"]}"#),
        _ => Answer::ok(b"{}"),
    });
    let mirrors = vec!["http://127.0.0.1:1".to_owned(), format!("http://{}", stub.host())];
    let client = Client::new(ClientConfig {
        mirrors: [("docker.io".to_owned(), mirrors)].into(),
        ..ClientConfig::default()
    });
    let (_, tags) = client.tags(&Reference::parse("a").unwrap(), None).await.unwrap();
    assert_eq!(tags, ["1", "2", "3"]);
}

#[tokio::test]
async fn plain_files_by_url() {
    let stub = Stub::start(|request| match request.path.as_str() {
        "/x.tar" => Answer::ok(b"archive"),
        _ => Answer::status(404, b"not here"),
    });
    let address = |path: &str| format!("{}{path}", stub.host());
    let mut download = client().download(&address("/x.tar")).await.unwrap();
    assert_eq!(
        (download.url(), download.size()),
        (format!("http://{}", address("/x.tar")).as_str(), Some(7))
    );
    assert_eq!(download.next().await.unwrap().as_deref(), Some(&b"archive"[..]));
    assert_eq!(download.next().await.unwrap(), None);
    let error = client().download(&address("/y.tar")).await.unwrap_err().to_string();
    assert_eq!(
        error,
        format!("failed to GET http://{} with status 404 Not Found: not here", address("/y.tar"))
    );
    let url = format!("https://{}", address("/x.tar"));
    let error = client().download(&url).await.unwrap_err().to_string();
    assert_eq!(error, format!("Get {url:?}: http: server gave HTTP response to HTTPS client"));
}

#[tokio::test]
async fn a_registry_without_search_is_searched_by_its_catalog() {
    let stub = Stub::start(|request| match request.path.as_str() {
        "/v2/_catalog?n=1000" => Answer::ok(br#"{"repositories": ["a/nginx", "busybox"]}"#)
            .header("Link", "</v2/_catalog?n=1000&last=busybox>; rel=\"next\""),
        path if path.ends_with("last=busybox") => {
            Answer::ok(br#"{"repositories": ["nginx", "nginx/more", "zed"]}"#)
        }
        "/v2/" => Answer::ok(b"{}"),
        _ => Answer::status(404, b"not here"),
    });
    let search = async |limit: usize| {
        let found = client().search(&format!("{}/nginx", stub.host()), limit, None).await.unwrap();
        found.into_iter().map(|found| found.name).collect::<Vec<_>>()
    };
    assert_eq!(search(25).await, ["a/nginx", "nginx", "nginx/more"]);
    assert_eq!(search(2).await, ["a/nginx", "nginx"]);
}

#[tokio::test]
async fn a_server_that_waits_after_the_greeting_of_tls_is_asked_without() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let reference = format!("{}/a:1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let mut first = [0];
            if stream.peek(&mut first).is_ok() && first == [0x16] {
                // As one that reads the lines of a request.
                silent.push(stream);
                continue;
            }
            let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
            let mut request = [0; 4096];
            let _ = std::io::Read::read(&mut stream, &mut request);
            let _ = std::io::Write::write_all(&mut stream, answer.as_bytes());
        }
    });
    let client =
        Client::new(ClientConfig { ping_timeout: Duration::from_secs(3600), ..ClientConfig::default() });
    let reference = Reference::parse(&reference).unwrap();
    let tags = tokio::time::timeout(Duration::from_secs(60), client.tags(&reference, None));
    assert_eq!(tags.await.unwrap().unwrap().1, Vec::<String>::new());
}
