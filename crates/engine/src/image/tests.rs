//! The verbs together: a store on disk, a registry on loopback. Needs root, as unpacking layers does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use expect_test::expect;
use serde_json::json;
use wharf_api::Filters;
use wharf_api::progress::Progress;
use wharf_db::Db;
use wharf_oci::image::{Descriptor, media_type};
use wharf_oci::{Digest, Reference};
use wharf_store::Store;

use self::stub::{Answer, Request, Stub};
use super::{ImageUser, Images, ImportRequest, ImportSource, ListOptions, PullRequest, RemoveOptions};
use crate::events::Events;
use crate::{EngineConfig, Error, Result};

// Shared with the tests of the registry client, which use more of it.
#[allow(dead_code)]
#[path = "../../../registry/tests/stub/mod.rs"]
mod stub;

/// An engine's images in a folder of their own.
struct Bench {
    images: Images,
    runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test needs root");
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(folder.path().join("test.db")).unwrap();
        let store = Arc::new(Store::open(folder.path(), db.clone()).unwrap());
        let config = EngineConfig::default();
        let housekeeper = crate::housekeeping::Housekeeper::new(store.clone(), db.clone());
        let images = Images::new(store, db, Arc::new(Events::default()), housekeeper, &config).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { images, runtime, folder }
    }

    fn pull(&self, request: &PullRequest) -> (Vec<Progress>, Result<()>) {
        let _runtime = self.runtime.enter();
        let mut lines = Vec::new();
        let result = self.images.pull(request, &mut |line| lines.push(line));
        (lines, result)
    }

    fn pull_text(&self, request: &PullRequest) -> String {
        let (lines, result) = self.pull(request);
        let mut text: String = lines.iter().map(line_text).collect();
        if let Err(error) = result {
            text += &format!("! {} {error}\n", error.kind().status());
        }
        text
    }

    fn list(&self) -> Vec<String> {
        let options = ListOptions { all: true, ..ListOptions::default() };
        let rows = self.images.list(&options, &[]).unwrap();
        rows.into_iter().flat_map(|row| row.repo_tags.unwrap_or_default()).collect()
    }

    fn remove(&self, name: &str, force: bool, users: &[ImageUser]) -> String {
        let options = RemoveOptions { force, ..RemoveOptions::default() };
        match self.images.remove(name, options, users) {
            Err(error) => format!("! {} {error}\n", error.kind().status()),
            Ok(items) => items
                .iter()
                .map(|item| match item.untagged.as_str() {
                    "" => "Deleted\n".to_owned(),
                    name => format!("Untagged: {name}\n"),
                })
                .collect(),
        }
    }

    /// `action name` of every event so far.
    fn events(&self) -> Vec<String> {
        let (events, _) = self.images.events.subscribe();
        events
            .into_iter()
            .map(|event| format!("{} {}", event.action, event.actor.attributes["name"]))
            .collect()
    }

    /// What lies in the store besides images: layers, and folders that do not belong to any.
    fn leftovers(&self) -> (usize, Vec<String>) {
        let layers = self.images.db.read(|view| self.images.store.layers(view)).unwrap();
        let folder = self.folder.path().join("snapshots");
        let names =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let known = |name: &String| layers.iter().any(|layer| layer.chain_id.hex() == name);
        (layers.len(), names.filter(|name| !known(name) && name.starts_with("tmp")).collect())
    }
}

/// A line as the command prints it, without the measures that vary.
fn line_text(line: &Progress) -> String {
    match (line.id.as_str(), line.status.as_str()) {
        (_, "Downloading" | "Extracting") => String::new(),
        ("", status) => format!("{status}\n"),
        (id, status) => format!("{id}: {status}\n"),
    }
}

/// A tar archive of one file.
fn archive(path: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, path, content).unwrap();
    archive.into_inner().unwrap()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, data).unwrap();
    encoder.finish().unwrap()
}

/// An image as a registry has it.
#[derive(Clone)]
struct Remote {
    manifest: Vec<u8>,
    blobs: BTreeMap<String, Vec<u8>>,
}

impl Remote {
    fn new(layers: &[(&str, &[u8])]) -> Self {
        let tars: Vec<Vec<u8>> = layers.iter().map(|(path, content)| archive(path, content)).collect();
        let blobs: Vec<Vec<u8>> = tars.iter().map(|tar| gzip(tar)).collect();
        let diff_ids: Vec<Digest> = tars.iter().map(|tar| Digest::sha256(tar)).collect();
        let history: Vec<_> =
            layers.iter().map(|(path, _)| json!({"created_by": format!("COPY {path}")})).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux", "created": "2024-01-02T03:04:05Z",
            "config": {"Cmd": ["/x"], "Labels": {"a": "b"}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": history,
        });
        let config = config.to_string().into_bytes();
        let layers: Vec<_> =
            blobs.iter().map(|blob| Descriptor::of(media_type::OCI_LAYER_GZIP, blob)).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": Descriptor::of(media_type::OCI_CONFIG, &config), "layers": layers,
        });
        let named = blobs.into_iter().chain([config]).map(|blob| (Digest::sha256(&blob).to_string(), blob));
        Self { manifest: manifest.to_string().into_bytes(), blobs: named.collect() }
    }

    fn answer(&self, request: &Request) -> Answer {
        let name = request.path.rsplit('/').next().unwrap();
        if request.path == "/v2/" {
            return Answer::ok(b"{}");
        }
        if request.path.contains("/tags/list") {
            return Answer::ok(br#"{"name":"x","tags":["1","2"]}"#);
        }
        if request.path.contains("/manifests/") {
            return Answer::ok(&self.manifest)
                .header("Content-Type", media_type::OCI_MANIFEST)
                .header("Docker-Content-Digest", Digest::sha256(&self.manifest));
        }
        self.blobs.get(name).map_or_else(|| Answer::status(404, b"{}"), |blob| Answer::ok(blob))
    }

    fn serve(&self) -> Stub {
        let remote = self.clone();
        Stub::start(move |request| remote.answer(request))
    }
}

fn request(stub: &Stub, name: &str, tag: &str) -> PullRequest {
    PullRequest::new(&format!("{}/{name}", stub.host()), tag).unwrap()
}

#[test]
fn pull_and_what_can_be_asked_of_it() {
    let (bench, remote) = (Bench::new(), Remote::new(&[("etc/one", b"1"), ("two", &[7; 100_000])]));
    let stub = remote.serve();
    let digest = Digest::sha256(&remote.manifest);
    let hide = |text: String| {
        let mut text = text.replace(&stub.host(), "HOST").replace(digest.hex(), "DIGEST");
        for (at, layer) in ["LAYER1", "LAYER2"].into_iter().enumerate() {
            let manifest: wharf_oci::image::Manifest = serde_json::from_slice(&remote.manifest).unwrap();
            text = text.replace(manifest.layers[at].digest.short(), layer);
        }
        // Layers come side by side: only the order within a layer is fixed.
        let mut lines: Vec<&str> = text.lines().collect();
        if let Some(end) = lines.iter().position(|line| line.starts_with("Digest")) {
            lines[3.min(end)..end].sort_by_key(|line| line.split(':').next().map(str::to_owned));
        }
        lines.join("\n") + "\n"
    };
    expect![[r#"
        1: Pulling from me/app
        LAYER1: Pulling fs layer
        LAYER2: Pulling fs layer
        LAYER1: Verifying Checksum
        LAYER1: Download complete
        LAYER1: Pull complete
        LAYER2: Verifying Checksum
        LAYER2: Download complete
        LAYER2: Pull complete
        Digest: sha256:DIGEST
        Status: Downloaded newer image for HOST/me/app:1
    "#]]
    .assert_eq(&hide(bench.pull_text(&request(&stub, "me/app", "1"))));
    expect![[r#"
        1: Pulling from me/app
        Digest: sha256:DIGEST
        Status: Image is up to date for HOST/me/app:1
    "#]]
    .assert_eq(&hide(bench.pull_text(&request(&stub, "me/app", "1"))));
    expect![[r#"
        1: Pulling from me/app
        Digest: sha256:DIGEST
        2: Pulling from me/app
        Digest: sha256:DIGEST
        Status: Downloaded newer image for HOST/me/app
    "#]]
    .assert_eq(&hide(bench.pull_text(&request(&stub, "me/app", ""))));

    let name = format!("{}/me/app", stub.host());
    assert_eq!(bench.list(), [format!("{name}:1"), format!("{name}:2")]);
    let inspect = bench.images.inspect(&format!("{name}:1"), None).unwrap();
    assert_eq!(inspect.repo_digests, [format!("{name}@{digest}")]);
    assert_eq!((inspect.size, inspect.root_fs.layers.len()), (100_001, 2));
    let data = inspect.graph_driver.data.unwrap();
    assert_eq!(std::fs::read(format!("{}/etc/one", data["LowerDir"])).unwrap(), b"1");
    assert!(std::fs::exists(format!("{}/two", data["UpperDir"])).unwrap());
    let history = bench.images.history(&name_of(&inspect.id), None).unwrap();
    let steps: Vec<_> = history.iter().map(|item| (item.created_by.as_str(), item.size)).collect();
    assert_eq!(steps, [("COPY two", 100_000), ("COPY etc/one", 1)]);
    assert_eq!((history[0].id.as_str(), history[1].id.as_str()), (inspect.id.as_str(), "<missing>"));
    let pull = format!("pull {name}");
    assert_eq!(bench.events(), [pull.as_str(); 3]);
    assert_eq!(bench.leftovers(), (2, vec![]));
}

fn name_of(id: &str) -> String {
    id["sha256:".len()..][..12].to_owned()
}

#[test]
fn removal_by_every_kind_of_name() {
    let (bench, remote) = (Bench::new(), Remote::new(&[("one", b"1"), ("two", b"22")]));
    let stub = remote.serve();
    bench.pull(&request(&stub, "x", "1")).1.unwrap();
    let name = format!("{}/x", stub.host());
    bench.images.tag(&format!("{name}:1"), &Reference::parse("other:v1").unwrap()).unwrap();
    let id = bench.images.find("other:v1", None).unwrap().id().clone();
    let users = [ImageUser { container: "c".repeat(64), image: id.to_string(), running: false }];
    let hide = |text: String| {
        text.replace(&stub.host(), "HOST")
            .replace(id.short(), "ID")
            .replace(&Digest::sha256(&remote.manifest).to_string(), "DIGEST")
    };
    let mut text = String::new();
    text += &bench.remove(id.short(), false, &[]);
    text += &bench.remove(&format!("{name}:1"), false, &users);
    text += &bench.remove("other:v1", false, &users);
    text += &bench.remove("nosuch", true, &[]);
    text += &bench.remove("UPPER", true, &[]);
    text += &bench.remove(id.short(), false, &[]);
    expect![[r#"
        ! 409 conflict: unable to delete ID (must be forced) - image is referenced in multiple repositories
        Untagged: HOST/x:1
        Untagged: HOST/x@DIGEST
        ! 409 conflict: unable to remove repository reference "other:v1" (must force) - container cccccccccccc is using its referenced image ID
        ! 404 No such image: nosuch:latest
        ! 400 invalid reference format: repository name (library/UPPER) must be lowercase
        Untagged: other:v1
        Deleted
        Deleted
        Deleted
    "#]]
    .assert_eq(&hide(text));
    assert_eq!(bench.leftovers(), (0, vec![]));
    let id = id.to_string();
    let expected: Vec<String> =
        [("pull", name.as_str()), ("tag", "other:v1"), ("untag", &id), ("untag", &id), ("delete", &id)]
            .iter()
            .map(|(action, name)| format!("{action} {name}"))
            .collect();
    assert_eq!(bench.events(), expected);
}

#[test]
fn a_lying_registry_leaves_nothing() {
    let remote = Remote::new(&[("one", b"1"), ("two", &[9; 5000])]);
    let manifest: wharf_oci::image::Manifest = serde_json::from_slice(&remote.manifest).unwrap();
    let top = &manifest.layers[1];
    type Lie = fn(Vec<u8>) -> Answer;
    let lies: [(&str, Lie); 4] = [
        ("other bytes", |mut blob| {
            let last = blob.len() - 1;
            blob[last] ^= 1;
            Answer::ok(&blob)
        }),
        ("too long", |mut blob| {
            blob.push(0);
            Answer::ok(&blob)
        }),
        ("too short", |blob| Answer::ok(&blob[1..])),
        ("nothing", |_| {
            Answer::status(
                404,
                br#"{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]}"#,
            )
        }),
    ];
    let mut text = String::new();
    for (what, lie) in lies {
        let (bench, remote, bad) = (Bench::new(), remote.clone(), top.digest.to_string());
        let stub = Stub::start(move |request| match request.path.rsplit('/').next() {
            Some(name) if name == bad => lie(remote.blobs[name].clone()),
            _ => remote.answer(request),
        });
        let (_, result) = bench.pull(&request(&stub, "x", "1"));
        let error: Error = result.unwrap_err();
        text += &format!("{what}: {error}\n").replace(top.digest.as_str(), "DIGEST");
        assert!(bench.list().is_empty());
        let (layers, folders) = bench.leftovers();
        assert!(layers <= 1 && folders.is_empty(), "{what}: {layers} {folders:?}");
        bench.images.store.empty_trash().unwrap();
        assert_eq!(bench.leftovers(), (0, vec![]));
    }
    expect![[r#"
        other bytes: filesystem layer verification failed for digest DIGEST
        too long: blob DIGEST: the registry sent 142 bytes instead of 141
        too short: blob DIGEST: the registry sent 140 bytes instead of 141
        nothing: unknown blob
    "#]]
    .assert_eq(&text);
}

#[test]
fn two_pulls_at_once_fetch_every_layer_once() {
    let bench = Bench::new();
    let remote =
        Remote::new(&[("one", &[1; 200_000]), ("two", &[2; 200_000]), ("three", b"3"), ("four", b"4")]);
    let fetched = Arc::new(AtomicUsize::new(0));
    let (counter, served) = (fetched.clone(), remote.clone());
    let config =
        serde_json::from_slice::<wharf_oci::image::Manifest>(&remote.manifest).unwrap().config.digest;
    let stub = Stub::start(move |request| {
        if request.path.contains("/blobs/") && !request.path.ends_with(config.as_str()) {
            counter.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(50));
        }
        served.answer(request)
    });
    std::thread::scope(|scope| {
        for tag in ["1", "2", "3"] {
            let (bench, request) = (&bench, request(&stub, "x", tag));
            scope.spawn(move || bench.pull(&request).1.unwrap());
        }
    });
    assert_eq!(fetched.load(Ordering::SeqCst), 4);
    assert_eq!(bench.list().len(), 3);
}

#[test]
fn import_list_and_prune() {
    let bench = Bench::new();
    let import = |reference: Option<&str>, changes: &[&str]| {
        let request = ImportRequest {
            reference: reference.map(|name| Reference::parse(name).unwrap()),
            changes: changes.iter().map(|change| (*change).to_owned()).collect(),
            ..ImportRequest::default()
        };
        let data = gzip(&archive("file", b"content"));
        let mut status = String::new();
        let source = &mut &data[..];
        let result =
            bench.images.import(&request, ImportSource::Stream(source), &mut |line| status = line.status);
        result.map(|()| status)
    };
    let id = import(Some("imported:1"), &["CMD sh", "LABEL a=b"]).unwrap();
    let inspect = bench.images.inspect("imported:1", None).unwrap();
    assert_eq!(
        (inspect.id.as_str(), inspect.comment.as_str(), inspect.size),
        (id.as_str(), "Imported from -", 7)
    );
    assert_eq!(inspect.config.unwrap().cmd.unwrap().0, ["/bin/sh", "-c", "sh"]);
    assert_eq!(import(None, &["RUN x"]).unwrap_err().to_string(), "RUN is not a valid change command");
    let nameless = import(None, &["CMD other"]).unwrap();

    let list = |filter: &str| {
        let options = ListOptions { filters: Filters::parse(filter).unwrap(), ..ListOptions::default() };
        let rows = bench.images.list(&options, &[]).map_err(|error| error.to_string())?;
        Ok::<_, String>(rows.into_iter().map(|row| row.id).collect::<Vec<_>>())
    };
    assert_eq!(list("").unwrap().len(), 2);
    assert_eq!(list(r#"{"dangling":["true"]}"#).unwrap(), [nameless.clone()]);
    assert_eq!(list(r#"{"dangling":["false"]}"#).unwrap(), [id.clone()]);
    assert_eq!(list(r#"{"label":["a=b"]}"#).unwrap(), [id.clone()]);
    assert_eq!(list(r#"{"reference":["imp*"]}"#).unwrap(), [id.clone()]);
    assert_eq!(list(r#"{"since":["imported:1"]}"#).unwrap(), [nameless.clone()]);
    assert_eq!(list(r#"{"before":["nosuch"]}"#).unwrap_err(), "No such image: nosuch:latest");
    assert_eq!(list(r#"{"x":["y"]}"#).unwrap_err(), "invalid filter 'x'");

    let pruned = bench.images.prune(&Filters::default(), &[]).unwrap();
    assert_eq!(pruned.images_deleted.unwrap()[0].deleted, nameless);
    // The layer is shared with the image that stays.
    assert_eq!(pruned.space_reclaimed, 0);
    let user = ImageUser { container: "c".to_owned(), image: id.clone(), running: false };
    let all = Filters::parse(r#"{"dangling":["false"]}"#).unwrap();
    assert_eq!(bench.images.prune(&all, &[user]).unwrap().images_deleted, None);
    assert_eq!(bench.images.prune(&all, &[]).unwrap().space_reclaimed, 7);
    assert!(bench.list().is_empty());
}

#[test]
fn the_embedded_image_is_made_of_the_binary() {
    let mut bench = Bench::new();
    let binary = bench.folder.path().join("binary");
    std::fs::write(&binary, b"not really").unwrap();
    bench.images.binary = binary;
    let reference = Reference::parse("hello-world:latest").unwrap();
    let error = wharf_registry::Error::Status("none".to_owned());
    let mut lines = String::new();
    for expected in [true, false] {
        let changed =
            bench.images.pull_embedded(&reference, &error, &mut |line| lines += &line_text(&line)).unwrap();
        assert_eq!(changed, expected);
    }
    let found = bench.images.find("hello-world", None).unwrap();
    assert_eq!(found.run_config().cmd, Some(vec!["/hello".to_owned()]));
    let layer = bench.images.store.layer_diff(&found.record().chains[0]);
    assert_eq!(std::fs::read(layer.join("hello")).unwrap(), b"not really");
    assert!(lines.starts_with("latest: Pulling from library/hello-world\nNo registry answers"), "{lines}");
}

#[test]
fn save_writes_what_others_load() {
    let (bench, remote) = (Bench::new(), Remote::new(&[("one", b"1"), ("two", b"22")]));
    let stub = remote.serve();
    bench.pull(&request(&stub, "x", "1")).1.unwrap();
    let mut data = Vec::new();
    bench.images.save(&[format!("{}/x", stub.host())], None, &mut data).unwrap();
    let mut archive = tar::Archive::new(&data[..]);
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        files.insert(path, content);
    }
    let docker: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    assert_eq!(docker[0]["RepoTags"][0], format!("{}/x:1", stub.host()));
    // Bit for bit what was pulled.
    for (at, (path, content)) in [("one", &b"1"[..]), ("two", b"22")].into_iter().enumerate() {
        assert_eq!(files[docker[0]["Layers"][at].as_str().unwrap()], super::tests::archive(path, content));
    }
    for (path, content) in &files {
        if let Some(hex) = path.strip_prefix("blobs/sha256/").filter(|hex| !hex.is_empty()) {
            assert_eq!(Digest::sha256(content).hex(), hex);
        }
    }
    let other = Bench::new();
    let mut lines = String::new();
    let report = &mut |line: Progress| lines += &line.stream;
    other.images.load(&mut &data[..], None, false, report).unwrap();
    assert_eq!(lines, format!("Loaded image: {}/x:1\n", stub.host()));
    let id = |bench: &Bench| bench.images.find(&format!("{}/x:1", stub.host()), None).unwrap().id().clone();
    assert_eq!(id(&bench), id(&other));
    assert_eq!(other.events(), [format!("load {}", id(&bench))]);
    let cut = other.images.load(&mut &data[..data.len() / 2], None, true, &mut |_| {}).unwrap_err();
    assert_eq!(cut.to_string(), "unexpected EOF");

    let missing = bench.images.save(&["nosuch".to_owned()], None, &mut Vec::new()).unwrap_err();
    assert_eq!((missing.kind().status(), missing.to_string().as_str()), (404, "No such image: nosuch"));
    assert!(bench.events().last().unwrap().starts_with("save sha256:"));
}
