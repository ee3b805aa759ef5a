//! Images and their names, and the archives they come in.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;

use serde_json::{Value, json};
use support::{Fixture, archive, fixture};
use wharf_oci::{Digest, Platform, Reference};
use wharf_store::{Error, ImageRecord, Loaded, NewImage};

fn config(layers: &[&[u8]], label: &str) -> String {
    let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::sha256(layer)).collect();
    json!({
        "architecture": "amd64", "os": "linux", "config": {"Labels": {"n": label}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
    .to_string()
}

fn put(f: &Fixture, layers: &[&[u8]], label: &str, parent: Option<&Digest>) -> ImageRecord {
    let lease = f.store.lease();
    let mut below = None;
    for layer in layers {
        let source = wharf_store::LayerSource { parent: below.take(), ..Default::default() };
        below = Some(f.store.ingest_layer(*layer, source, &lease).unwrap().chain_id);
    }
    let config = config(layers, label);
    let new = NewImage { config: config.as_bytes(), manifest: Some(b"{}"), parent };
    f.db.write(|tx| f.store.images().put(tx, new)).unwrap()
}

fn reference(name: &str) -> Reference {
    Reference::parse(name).unwrap()
}

fn name(f: &Fixture, name: &str, image: &ImageRecord) -> Option<Digest> {
    f.db.write(|tx| f.store.images().name(tx, &reference(name), &image.id)).unwrap()
}

fn resolve(f: &Fixture, name: &str) -> Result<Digest, String> {
    f.db.read(|view| f.store.images().resolve(view, name)).map(|image| image.id).map_err(|e| e.to_string())
}

#[test]
fn images_are_found_by_every_name() {
    let f = fixture();
    let layer = archive().file("f", b"x").bytes();
    let one = put(&f, &[&layer], "1", None);
    let two = put(&f, &[&layer], "2", None);
    assert_eq!(name(&f, "app", &one), None);
    assert_eq!(name(&f, "app:v1", &one), None);
    assert_eq!(name(&f, "app", &two), Some(one.id.clone()));
    let by_digest = format!("app@{}", Digest::sha256(b"manifest"));
    name(&f, &by_digest, &one);
    assert_eq!(resolve(&f, "app"), Ok(two.id.clone()));
    assert_eq!(resolve(&f, "docker.io/library/app:v1"), Ok(one.id.clone()));
    assert_eq!(resolve(&f, &by_digest), Ok(one.id.clone()));
    for id in [one.id.as_str(), one.id.hex(), &one.id.hex()[..12], &one.id.as_str()[..20]] {
        assert_eq!(resolve(&f, id), Ok(one.id.clone()), "{id}");
    }
    for (name, told) in
        [("nosuch", "nosuch:latest"), ("app:v2", "app:v2"), ("UPPER", "UPPER"), ("ab", "ab:latest")]
    {
        if one.id.hex().starts_with("ab") || two.id.hex().starts_with("ab") {
            continue;
        }
        assert_eq!(resolve(&f, name), Err(format!("No such image: {told}")));
    }
    let none = Digest::sha256(b"none");
    assert_eq!(resolve(&f, none.as_str()), Err(format!("No such image: {none}")));

    let list = f.db.read(|view| f.store.images().list(view)).unwrap();
    let listed = list.iter().find(|image| image.record.id == one.id).unwrap();
    assert_eq!(listed.tags, [reference("app:v1")]);
    assert_eq!(listed.digests, [reference(&by_digest)]);
    assert_eq!(listed.record.labels["n"], "1");
    assert_eq!((listed.record.size, listed.is_dangling()), (1, false));
    assert!(listed.record.tagged.is_none());
    f.db.write(|tx| f.store.images().tag(tx, &reference("app:v1"), &one.id)).unwrap();
    let tagged = f.db.read(|view| f.store.images().get(view, &one.id)).unwrap().unwrap().tagged;
    assert!(tagged.is_some());
    let untag = |name: &str| f.db.write(|tx| f.store.images().untag(tx, &reference(name))).unwrap();
    assert_eq!(untag("app"), Some(two.id.clone()));
    assert_eq!(untag("app"), None);
    assert!(f.db.read(|view| f.store.images().with_names(view, two.clone())).unwrap().is_dangling());
}

#[test]
fn a_prefix_of_two_ids_is_ambiguous() {
    let f = fixture();
    let layer = archive().file("f", b"x").bytes();
    let mut first: std::collections::HashMap<u8, Digest> = std::collections::HashMap::new();
    for n in 0.. {
        let image = put(&f, &[&layer], &n.to_string(), None);
        let digit = image.id.hex().as_bytes()[0];
        if let Some(other) = first.insert(digit, image.id.clone()) {
            let prefix = (digit as char).to_string();
            let error = f.db.read(|view| f.store.images().resolve(view, &prefix)).unwrap_err();
            assert!(matches!(error, Error::Ambiguous { .. }), "{other} {}", image.id);
            let found = f.db.read(|view| f.store.images().ids_with_prefix(view, &prefix, 9)).unwrap();
            assert_eq!(found.len(), 2);
            return;
        }
    }
}

#[test]
fn removal_takes_what_nothing_else_needs() {
    let f = fixture();
    let (base, top) = (archive().file("b", b"base").bytes(), archive().file("t", b"top").bytes());
    let parent = put(&f, &[&base], "parent", None);
    let child = put(&f, &[&base, &top], "child", Some(&parent.id));
    name(&f, "child", &child);
    let images = f.store.images();
    assert_eq!(f.db.read(|view| images.children(view, &parent.id)).unwrap(), std::slice::from_ref(&child.id));
    let removed = f.db.write(|tx| images.remove(tx, &parent.id)).unwrap();
    assert_eq!((removed.names.len(), removed.layers.len()), (0, 0));
    assert_eq!(f.db.read(|view| images.get(view, &child.id)).unwrap().unwrap().parent, None);
    assert!(f.db.read(|view| images.config(view, &parent.id)).is_err());
    let removed = f.db.write(|tx| images.remove(tx, &child.id)).unwrap();
    assert_eq!(removed.names, [reference("child:latest")]);
    assert_eq!(removed.layers, [child.chains[1].clone(), child.chains[0].clone()]);
    assert!(f.folders().is_empty());
    assert!(matches!(f.db.write(|tx| images.remove(tx, &child.id)), Err(Error::NoImage { .. })));
    assert_eq!(f.db.read(|view| images.list(view)).unwrap().len(), 0);
}

#[test]
fn an_image_needs_its_layers_and_a_lease_keeps_them() {
    let f = fixture();
    let layer = archive().file("f", b"x").bytes();
    let new = config(&[&layer], "");
    let new = NewImage { config: new.as_bytes(), manifest: None, parent: None };
    assert!(matches!(f.db.write(|tx| f.store.images().put(tx, new)), Err(Error::NoLayer { .. })));
    let image = put(&f, &[&layer], "other", None);
    let lease = f.store.lease();
    assert!(f.store.has_chain(&image.chains[0], &lease).unwrap().is_some());
    let removed = f.db.write(|tx| f.store.images().remove(tx, &image.id)).unwrap();
    assert!(removed.layers.is_empty());
    f.db.write(|tx| f.store.images().put(tx, new)).unwrap();
    let broken = NewImage { config: b"not json", manifest: None, parent: None };
    assert!(matches!(f.db.write(|tx| f.store.images().put(tx, broken)), Err(Error::Document { .. })));
}

fn load(f: &Fixture, data: &[u8]) -> Result<Vec<Loaded>, Error> {
    f.store.load(data, None, &mut |_| {})
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn blob(data: &[u8]) -> String {
    format!("blobs/sha256/{}", Digest::sha256(data).hex())
}

#[test]
fn archives_of_docker_save_old_and_new() {
    let (base, top) = (archive().file("b", b"base").bytes(), archive().file("t", b"top").bytes());
    let config = config(&[&base, &top], "saved");
    let new = |tags: Value| {
        let manifest = json!([{"Config": blob(config.as_bytes()), "RepoTags": tags, "Layers": [blob(&base), blob(&top)]}]);
        archive()
            .dir("blobs/")
            .file(&blob(&base), &base)
            .file(&blob(&top), &top)
            .file(&blob(config.as_bytes()), config.as_bytes())
            .file("manifest.json", manifest.to_string().as_bytes())
            .bytes()
    };
    let manifest = json!([{"Config": "c.json", "RepoTags": ["old:1", "old:2"], "Layers": ["a/layer.tar", "b/layer.tar"]}]);
    let old = archive()
        .file("manifest.json", manifest.to_string().as_bytes())
        .file("c.json", config.as_bytes())
        .symlink("a/layer.tar", "../real/layer.tar")
        .file("real/layer.tar", &gzip(&base))
        .file("b/layer.tar", &top)
        .bytes();
    let named = new(json!(["example.com/app:v1"]));
    for (data, names) in [
        (named.clone(), &["example.com/app:v1"][..]),
        (gzip(&named), &["example.com/app:v1"]),
        (zstd::encode_all(named.as_slice(), 1).unwrap(), &["example.com/app:v1"]),
        (new(Value::Null), &[]),
        (old, &["old:1", "old:2"]),
    ] {
        let f = fixture();
        let mut reports = Vec::new();
        let loaded = f
            .store
            .load(data.as_slice(), None, &mut |at| reports.push((at.layer.clone(), at.current, at.total)))
            .unwrap();
        let id = Digest::sha256(config.as_bytes());
        let expected = names.iter().map(|name| (reference(name), None)).collect();
        assert_eq!(loaded, [Loaded { image: id.clone(), names: expected }]);
        let image = f.db.read(|view| f.store.images().get(view, &id)).unwrap().unwrap();
        assert_eq!(f.rebuilt(&image.chains[1]), top);
        assert!(reports.contains(&(Digest::sha256(&top), top.len() as u64, top.len() as u64)));
        let mut again = 0;
        f.store.load(data.as_slice(), None, &mut |_| again += 1).unwrap();
        assert_eq!(again, 0, "stored layers are not read");
    }
}

#[test]
fn a_layer_is_unpacked_once_and_serves_every_chain() {
    let (a, b) = (archive().file("a", b"a").bytes(), archive().file("b", b"b").bytes());
    let (first, second) = (config(&[&a, &b], "ab"), config(&[&b, &a, &b], "bab"));
    let manifest = json!([
        {"Config": "1", "RepoTags": ["x:1"], "Layers": [blob(&a), "b/layer.tar"]},
        {"Config": "2", "RepoTags": ["x:2"], "Layers": ["b/layer.tar", blob(&a), "same.tar"]},
    ]);
    let unneeded = [&gzip(&a)[..10], &[0xff; 700][..]].concat();
    let data = archive()
        .file("damaged", &unneeded)
        .file("unneeded.tar", &archive().file("u", b"u").bytes())
        .file(&blob(&a), &a)
        .file("b/layer.tar", &gzip(&b))
        .symlink("same.tar", "b/layer.tar")
        .file("1", first.as_bytes())
        .file("2", second.as_bytes())
        .file("manifest.json", manifest.to_string().as_bytes())
        .bytes();
    let f = fixture();
    for _ in 0..2 {
        assert_eq!(load(&f, &data).unwrap().len(), 2);
        let images = f.db.read(|view| f.store.images().list(view)).unwrap();
        for image in images {
            let layers = if image.record.chains.len() == 2 { vec![&a, &b] } else { vec![&b, &a, &b] };
            for (chain, layer) in image.record.chains.iter().zip(layers) {
                assert_eq!(f.rebuilt(chain), *layer);
            }
        }
        assert_eq!(f.folders().len(), 5, "nothing but the layers of the two images");
    }
    let needed = json!([{"Config": "1", "Layers": [blob(&a), "damaged"]}]).to_string();
    let data = archive().file("damaged", &unneeded).file(&blob(&a), &a).file("1", first.as_bytes());
    let error = load(&fixture(), &data.file("manifest.json", needed.as_bytes()).bytes()).unwrap_err();
    assert!(matches!(error, Error::Inflate { .. }), "{error:?}");
}

#[test]
fn a_loaded_name_moves_and_says_from_where() {
    let f = fixture();
    let layer = archive().file("f", b"x").bytes();
    let before = put(&f, &[&layer], "before", None);
    name(&f, "app", &before);
    let config = config(&[&layer], "after");
    let manifest = json!([{"Config": "c", "RepoTags": ["app:latest"], "Layers": ["l"]}]).to_string();
    let data =
        archive().file("c", config.as_bytes()).file("l", &layer).file("manifest.json", manifest.as_bytes());
    let loaded = load(&f, &data.bytes()).unwrap();
    assert_eq!(loaded[0].names, [(reference("app:latest"), Some(before.id))]);
}

/// A layout with an index of two platforms beside an image without a name.
fn layout(layers: [&[u8]; 2]) -> Vec<u8> {
    let mut data = archive();
    let mut manifests = Vec::new();
    for (architecture, layer) in ["amd64", "arm64"].into_iter().zip(layers) {
        let packed = gzip(layer);
        let config = config(&[layer], architecture).replace("\"amd64\"", &format!("\"{architecture}\""));
        let descriptor = |kind: &str, data: &[u8]| json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": Digest::sha256(data), "size": data.len()});
        let manifest = json!({
            "schemaVersion": 2,
            "config": descriptor("config.v1+json", config.as_bytes()),
            "layers": [descriptor("layer.v1.tar+gzip", &packed)],
        })
        .to_string();
        let mut entry = descriptor("manifest.v1+json", manifest.as_bytes());
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        manifests.push(entry);
        for content in [packed.as_slice(), config.as_bytes(), manifest.as_bytes()] {
            data = data.file(&blob(content), content);
        }
    }
    let inner = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": Digest::sha256(inner.as_bytes()), "size": inner.len(),
        "annotations": {"org.opencontainers.image.ref.name": "multi:1"},
    }]});
    data.file(&blob(inner.as_bytes()), inner.as_bytes())
        .file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
        .file("index.json", index.to_string().as_bytes())
        .bytes()
}

#[test]
fn layouts_are_loaded_for_one_platform() {
    let layers = [archive().file("a", b"amd").bytes(), archive().file("a", b"arm").bytes()];
    let data = layout([&layers[0], &layers[1]]);
    for (platform, layer) in [("linux/amd64", &layers[0]), ("linux/arm64", &layers[1])] {
        let f = fixture();
        let wanted = Platform::parse(platform).unwrap();
        let loaded = f.store.load(data.as_slice(), Some(&wanted), &mut |_| {}).unwrap();
        assert_eq!(loaded.len(), 1);
        assert_eq!(loaded[0].names, [(reference("multi:1"), None)]);
        let image = f.db.read(|view| f.store.images().get(view, &loaded[0].image)).unwrap().unwrap();
        assert_eq!(f.rebuilt(&image.chains[0]), *layer);
        assert_eq!(image.manifests.len(), 1);
    }
    let f = fixture();
    let none = f.store.load(data.as_slice(), Some(&Platform::parse("linux/s390x").unwrap()), &mut |_| {});
    assert!(none.unwrap().is_empty());
}

#[test]
fn archives_that_lie_are_refused() {
    let f = fixture();
    let layer = archive().file("f", b"x").bytes();
    let config = config(&[&layer], "");
    let with = |manifest: Value, config: &str, layer: &[u8]| {
        let manifest = manifest.to_string();
        archive()
            .file("c", config.as_bytes())
            .file("l", layer)
            .file("manifest.json", manifest.as_bytes())
            .bytes()
    };
    let good = json!([{"Config": "c", "RepoTags": ["x:1"], "Layers": ["l"]}]);
    let other = archive().file("f", b"y").bytes();
    for (data, text) in [
        (b"not a tar".to_vec(), "unexpected EOF"),
        (vec![b'x'; 1024], "archive/tar: invalid tar header"),
        (Vec::new(), "no image in the archive"),
        (archive().file("f", b"").bytes(), "no image in the archive"),
        (
            with(json!([{"Config": "c", "Layers": ["l", "l"]}]), &config, &layer),
            "layers length mismatch: expected 2, got 1",
        ),
        (with(json!([{"Config": "none", "Layers": ["l"]}]), &config, &layer), "none is missing"),
        (with(json!([{"Config": "c", "Layers": ["none"]}]), &config, &layer), "none is missing"),
        (
            with(json!([{"Config": "c", "RepoTags": ["BAD:1"], "Layers": ["l"]}]), &config, &layer),
            "invalid reference format: repository name (library/BAD) must be lowercase",
        ),
        (with(json!({}), &config, &layer), "invalid manifest.json"),
        (with(good.clone(), "{", &layer), "invalid image configuration"),
        (with(good.clone(), &config, &other), "invalid diffID for layer"),
        (with(good.clone(), &config, &layer[..400]), "invalid diffID for layer"),
        (gzip(&with(good, &config, &layer))[..300].to_vec(), "unexpected EOF"),
    ] {
        let error = load(&f, &data).unwrap_err().to_string();
        assert!(error.contains(text), "{error} should have {text}");
        assert!(f.folders().is_empty(), "{text}");
    }
    let mut tampered = layout([&layer, &other]);
    let at = tampered.windows(8).position(|w| w == b"\"rootfs\"").unwrap();
    tampered[at + 1] = b'R';
    assert!(load(&f, &tampered).unwrap_err().to_string().contains("has another digest"));
    assert_eq!(f.db.read(|view| f.store.images().list(view)).unwrap().len(), 0);
}
