#![allow(clippy::unwrap_used)]

use super::*;
use crate::server::storage::Storage;
use crate::server::store::References;

struct Bench {
    _folder: tempfile::TempDir,
    config: Config,
    store: Store,
    disk: Arc<Disk>,
}

impl Bench {
    fn new(settings: &[(&str, serde_json::Value)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap().into();
        let mut flags = vec![("storage.filesystem.rootdirectory".to_owned(), root)];
        flags.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let config = Config::load(None, std::iter::empty(), &flags).unwrap();
        let disk = Arc::new(Disk::new(folder.path()));
        Self { _folder: folder, config, store: Store::new(disk.clone()), disk }
    }

    fn blob(&self, name: &Name, data: &[u8]) -> Digest {
        let digest = Digest::sha256(data);
        self.disk.append("upload").unwrap().append(data).unwrap();
        self.store.put_blob(name, &digest, "upload", data.len() as u64).unwrap();
        self.disk.remove("upload").unwrap();
        digest
    }

    fn image(&self, name: &Name, tag: Option<&str>, blob: &Digest, size: usize) -> Digest {
        let data = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"x/y","digest":"{blob}","size":{size}}},"layers":[]}}"#
        );
        self.put(name, tag, &data)
    }

    fn put(&self, name: &Name, tag: Option<&str>, data: &str) -> Digest {
        let document = Document::parse(None, data.as_bytes()).unwrap();
        let digest = Digest::sha256(data.as_bytes());
        self.store
            .put_manifest(name, tag, &digest, (data.as_bytes(), &document), References::AreHere)
            .unwrap();
        digest
    }

    fn age(&self, key: &str, by: Duration) {
        let path = self.config.root.join(key);
        let file = std::fs::File::open(path).unwrap();
        file.set_modified(SystemTime::now() - by).unwrap();
    }

    fn age_blob(&self, digest: &Digest) {
        self.age(&layout::blob(digest), DAY);
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

#[test]
fn what_is_referred_to_stays_and_the_rest_goes() {
    let bench = Bench::new(&[]);
    let app = name("team/app");
    let (used, unused, young) =
        (bench.blob(&app, b"used"), bench.blob(&app, b"unused"), bench.blob(&app, b"young"));
    let manifest = bench.image(&app, Some("v1"), &used, 4);
    for digest in [&used, &unused, &manifest] {
        bench.age_blob(digest);
    }
    let collected = collect_garbage(&bench.config).unwrap();
    assert_eq!(collected, Collected { blobs: 1, bytes: 6, ..Collected::default() });
    let has = |digest| bench.store.blob(&app, digest).unwrap().is_some();
    assert!(has(&used) && has(&young) && !has(&unused));
    // The link went with the blob.
    assert!(bench.disk.stat(&format!("{}/{LINK}", layout::layer(&app, &unused))).unwrap().is_none());
    assert!(bench.store.manifest(&app, &manifest).unwrap().is_some());
    bench.store.delete_manifest(&app, &manifest).unwrap();
    assert!(bench.store.tags(&app).unwrap().is_empty());
    bench.age_blob(&used);
    assert_eq!(collect_garbage(&bench.config).unwrap().blobs, 2);
}

#[test]
fn a_reference_saves_a_blob_from_a_collection_that_did_not_see_it() {
    let bench = Bench::new(&[("collect.grace", "0s".into())]);
    let (app, other) = (name("app"), name("other"));
    let blob = bench.blob(&app, b"old");
    bench.age_blob(&blob);
    let upstreams = Upstreams::new(&bench.config).unwrap();
    let collection = Collection {
        store: &bench.store,
        config: &bench.config,
        upstreams: &upstreams,
        is_busy: &|_: &Name, _: &str| false,
    };
    // Between marking and sweeping, a client mounts the blob and pushes a manifest.
    let before = SystemTime::now() - TICK;
    let marked = HashSet::new();
    assert!(bench.store.mount(&app, &other, &blob).unwrap());
    bench.image(&other, Some("v1"), &blob, 3);
    collection.sweep(&marked, before, &mut Collected::default()).unwrap();
    assert!(bench.store.blob(&other, &blob).unwrap().is_some());
}

#[test]
fn untagged_manifests_go_when_that_is_wanted() {
    let bench = Bench::new(&[("collect.untagged", true.into())]);
    let app = name("app");
    let blob = bench.blob(&app, b"blob");
    let (child, loose) = (bench.image(&app, None, &blob, 4), {
        let other = bench.blob(&app, b"other");
        bench.image(&app, None, &other, 5)
    });
    let index = bench.put(
        &app,
        Some("all"),
        &format!(r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"x/y","digest":"{child}","size":1}}]}}"#),
    );
    let referrer = bench.put(
        &app,
        None,
        &format!(r#"{{"schemaVersion":2,"manifests":[],"subject":{{"digest":"{index}"}}}}"#),
    );
    let all = [&child, &loose, &index, &referrer];
    for digest in all {
        bench.age(&format!("{}/{LINK}", layout::revision(&app, digest)), DAY);
    }
    assert_eq!(collect_garbage(&bench.config).unwrap().manifests, 1);
    let left = all.map(|digest| bench.store.manifest(&app, digest).unwrap().is_some());
    assert_eq!(left, [true, false, true, true]);
}

#[test]
fn tags_go_by_rule_and_uploads_by_age() {
    let rules = serde_json::json!([{"repositories": "app", "keeplast": 1}]);
    let bench = Bench::new(&[("retention", rules)]);
    let app = name("app");
    let blob = bench.blob(&app, b"blob");
    for (tag, age) in [("v1", 3), ("v2", 2), ("v3", 1)] {
        bench.image(&app, Some(tag), &blob, 4);
        bench.age(&layout::tag_current(&app, tag), DAY * age);
    }
    for (id, age) in [("new", 1), ("old", 8)] {
        bench.disk.append(&layout::upload_data(&app, id)).unwrap();
        bench.age(&layout::upload_data(&app, id), DAY * age);
    }
    let collected = collect_garbage(&bench.config).unwrap();
    assert_eq!((collected.tags, collected.uploads), (2, 1));
    assert_eq!(bench.store.tags(&app).unwrap(), ["v3"]);
    assert_eq!(bench.disk.list(&layout::uploads(&app)).unwrap(), ["new"]);
}

#[test]
fn digests_are_found_in_any_document() {
    let one = Digest::sha256(b"1");
    let text = format!(r#"{{"fsLayers":[{{"blobSum":"{one}"}}],"x":"sha256:abc"}}"#);
    assert_eq!(digests_in(text.as_bytes()).collect::<Vec<_>>(), [one]);
}
