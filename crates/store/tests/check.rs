//! Rows and files that do not agree are found, and mended where nothing is lost by it.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Fixture, archive, fixture};
use wharf_oci::Digest;
use wharf_store::{ImageRecord, LayerSource, NewImage};

fn image(f: &Fixture, name: &str, content: &[u8]) -> ImageRecord {
    let lease = f.store.lease();
    let layer = archive().dir("d/").file("d/f", content).bytes();
    let info = f.store.ingest_layer(layer.as_slice(), LayerSource::default(), &lease).unwrap();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [info.diff_id]},
    });
    let (config, manifest) = (config.to_string(), format!("[{config}]"));
    f.db.write(|tx| {
        let new = NewImage { config: config.as_bytes(), manifest: Some(manifest.as_bytes()), parent: None };
        let record = f.store.images().put(tx, new)?;
        f.store.images().tag(tx, &wharf_oci::Reference::parse(name).unwrap(), &record.id)?;
        Ok::<_, wharf_store::Error>(record)
    })
    .unwrap()
}

/// The folder of all layers and containers.
fn snapshots(f: &Fixture, image: &ImageRecord) -> std::path::PathBuf {
    f.store.layer_diff(&image.chains[0]).ancestors().nth(2).unwrap().to_owned()
}

fn check(f: &Fixture, repair: bool) -> Vec<String> {
    let problems = f.store.check(&|id| id == "live", repair).unwrap();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_sound_store_has_no_problems() {
    let f = fixture();
    let record = image(&f, "a", b"a");
    f.db.write(|tx| f.store.snapshots().prepare(tx, "live", Some(&record))).unwrap();
    // On its way, and held: not a problem.
    let lease = f.store.lease();
    f.store
        .ingest_layer(archive().file("x", b"x").bytes().as_slice(), LayerSource::default(), &lease)
        .unwrap();
    std::fs::create_dir(snapshots(&f, &record).join("tmp-1")).unwrap();
    assert!(check(&f, false).is_empty());
    drop(lease);
    let found = check(&f, true);
    assert!(found.len() == 1 && found[0].ends_with("nothing uses it (mended)"), "{found:?}");
    assert!(check(&f, false).is_empty());
}

#[test]
fn damage_is_found_and_mended() {
    let f = fixture();
    let (kept, lost, gone) =
        (image(&f, "kept", b"kept"), image(&f, "lost", b"lost"), image(&f, "gone", b"gone"));
    let folder = |image: &ImageRecord| f.store.layer_diff(&image.chains[0]);
    std::fs::write(folder(&lost).join("d/f"), b"LOST").unwrap();
    std::fs::remove_dir_all(folder(&gone).parent().unwrap()).unwrap();
    std::fs::create_dir(snapshots(&f, &kept).join("stray")).unwrap();
    f.db.write(|tx| f.store.snapshots().prepare(tx, "dead", Some(&kept))).unwrap();
    let live = f.db.write(|tx| f.store.snapshots().prepare(tx, "live", Some(&kept))).unwrap();
    std::fs::remove_dir_all(&live.mounts().work).unwrap();
    let found = check(&f, false);
    for what in [
        format!("layer {}: layer", lost.chains[0]),
        format!("layer {}: diff is missing", gone.chains[0]),
        "snapshot dead: its container does not exist".to_owned(),
        "snapshot live: its folder work is missing".to_owned(),
        "stray: no layer and no container has this folder".to_owned(),
    ] {
        assert!(found.iter().any(|line| line.contains(&what)), "{what} in {found:#?}");
    }
    assert_eq!(found.len(), 5, "{found:#?}");
    assert_eq!(check(&f, false), found, "looking changes nothing");
    let mended = check(&f, true);
    assert!(mended.iter().all(|line| line.ends_with("(mended)")), "{mended:#?}");
    assert!(check(&f, false).is_empty());
    let names: Vec<_> = f.db.read(|view| f.store.images().list(view)).unwrap();
    assert_eq!(names.iter().map(|image| &image.record.id).collect::<Vec<_>>(), [&kept.id]);
}

#[test]
fn what_a_container_needs_is_not_given_up() {
    let f = fixture();
    let record = image(&f, "a", b"a");
    f.db.write(|tx| f.store.snapshots().prepare(tx, "live", Some(&record))).unwrap();
    std::fs::write(f.store.layer_diff(&record.chains[0]).join("d/f"), b"other").unwrap();
    let found = check(&f, true);
    assert!(found.len() == 1 && !found[0].ends_with("(mended)"), "{found:?}");
    let lost: Digest = record.id;
    assert!(f.db.read(|view| f.store.images().get(view, &lost)).unwrap().is_some());
}
