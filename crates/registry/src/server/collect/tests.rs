#![allow(clippy::unwrap_used)]

use super::*;
use crate::server::failure::Code;
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
        self.disk.create("upload").unwrap().append(data).unwrap();
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
            .put_manifest(name, tag.as_slice(), &digest, (data.as_bytes(), &document), References::AreHere)
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
    let collection =
        Collection { store: &bench.store, config: &bench.config, upstreams: &upstreams, sessions: None };
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
        bench.disk.create(&layout::upload_data(&app, id)).unwrap();
        bench.age(&layout::upload_data(&app, id), DAY * age);
    }
    let collected = collect_garbage(&bench.config).unwrap();
    assert_eq!((collected.tags, collected.uploads), (2, 1));
    assert_eq!(bench.store.tags(&app).unwrap(), ["v3"]);
    assert_eq!(bench.disk.list(&layout::uploads(&app)).unwrap(), ["new"]);
}

#[test]
fn an_upload_that_goes_is_forgotten_and_makes_no_blob() {
    let bench = Bench::new(&[]);
    let (app, data, sessions) = (name("app"), b"data", Sessions::default());
    let key = layout::upload_data(&app, "old");
    bench.disk.create(&key).unwrap().append(data).unwrap();
    bench.age(&key, DAY * 8);
    let upstreams = Upstreams::new(&bench.config).unwrap();
    let (store, config) = (&bench.store, &bench.config);
    let collection = Collection { store, config, upstreams: &upstreams, sessions: Some(&sessions) };
    sessions.get(&app, "old");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let busy = sessions.get(&app, "old");
    {
        let _turn = runtime.block_on(busy.turn());
        assert_eq!(collection.only_uploads().unwrap().uploads, 0);
    }
    assert_eq!(collection.only_uploads().unwrap().uploads, 1);
    assert_eq!(sessions.len(), 0);
    assert!(runtime.block_on(busy.turn()).is_over());
    // A request had verified the bytes before: what lies there now are others.
    bench.disk.create(&key).unwrap();
    let digest = Digest::sha256(data);
    let refused = store.put_blob(&app, &digest, &key, data.len() as u64).unwrap_err();
    assert_eq!(refused.code(), Code::BlobUploadUnknown);
    assert!(store.blob(&app, &digest).unwrap().is_none());
}

#[test]
fn a_blob_that_a_client_was_told_of_stays_for_some_time() {
    let bench = Bench::new(&[]);
    let app = name("app");
    let (asked, other) = (bench.blob(&app, b"asked"), bench.blob(&app, b"other"));
    for digest in [&asked, &other] {
        bench.age_blob(digest);
    }
    bench.store.keep(&app, &asked, Duration::from_secs(60)).unwrap();
    bench.store.keep(&name("elsewhere"), &other, Duration::ZERO).unwrap();
    assert_eq!(collect_garbage(&bench.config).unwrap().blobs, 1);
    assert!(bench.store.blob(&app, &asked).unwrap().is_some());
}

#[test]
fn what_a_writer_that_died_left_goes() {
    let bench = Bench::new(&[]);
    let folder = layout::blob_folder(&Digest::sha256(b"never"));
    bench.disk.write(&format!("{folder}/.1-0.wharf-tmp"), b"half").unwrap();
    assert_eq!(collect_garbage(&bench.config).unwrap(), Collected::default());
    assert!(!bench.config.root.join(folder).exists());
}

#[test]
fn repositories_are_found_from_anywhere_on() {
    let bench = Bench::new(&[]);
    // In the order of their names, which is not that of the folders.
    let all = ["a", "a-b", "a.b/c", "a/b", "a/b-c", "a/b/c", "a0", "b/c/d"];
    for text in all.iter().rev() {
        bench.blob(&name(text), b"blob");
    }
    let after = |last: &str, most| {
        let found = bench.store.repositories_after(last, most).unwrap();
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(after("", usize::MAX), all);
    for (at, last) in all.iter().enumerate() {
        assert_eq!(after(last, usize::MAX), all[at + 1..], "{last}");
        assert_eq!(after(last, 1), all[at + 1..].iter().take(1).copied().collect::<Vec<_>>(), "{last}");
    }
    assert_eq!(after("a/", usize::MAX), all[3..]);
    assert_eq!(after("a/bb", usize::MAX), all[6..]);
    assert!(after("z", 9).is_empty() && after("", 0).is_empty());
}

#[test]
fn half_a_tag_is_none() {
    let bench = Bench::new(&[]);
    let app = name("app");
    let blob = bench.blob(&app, b"blob");
    let image = bench.image(&app, Some("whole"), &blob, 4);
    // A push that failed before the last of its writes.
    bench.store.link(&layout::linked(&layout::tag_index(&app, "half"), &image), &image).unwrap();
    assert_eq!(bench.store.tags(&app).unwrap(), ["whole"]);
}

#[test]
fn a_tag_that_moves_while_its_manifest_is_deleted_stays() {
    let bench = Bench::new(&[]);
    let app = name("app");
    let (one, two) = (bench.blob(&app, b"one"), bench.blob(&app, b"two"));
    for _ in 0..50 {
        let before = bench.image(&app, Some("v1"), &one, 3);
        let after = std::thread::scope(|scope| {
            let push = scope.spawn(|| bench.image(&app, Some("v1"), &two, 3));
            bench.store.delete_manifest(&app, &before).unwrap();
            push.join().unwrap()
        });
        assert_eq!(bench.store.tag(&app, "v1").unwrap(), Some(after));
    }
}

#[test]
fn digests_are_found_in_any_document() {
    let one = Digest::sha256(b"1");
    let text = format!(r#"{{"fsLayers":[{{"blobSum":"{one}"}}],"x":"sha256:abc"}}"#);
    assert_eq!(digests_in(text.as_bytes()), std::slice::from_ref(&one));
    let escaped = one.as_str().replace(':', "\\u003a");
    let entry = format!(r#"{{"mediaType":"x/y","digest":"{escaped}","size":1}}"#);
    let image = format!(r#"{{"schemaVersion":2,"config":{entry},"layers":[{entry}]}}"#);
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{entry}]}}"#);
    assert_eq!(digests_in(image.as_bytes()), [one.clone(), one.clone()]);
    assert_eq!(digests_in(index.as_bytes()), [one]);
}
