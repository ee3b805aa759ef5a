//! Layers that build steps make, and what keeps them.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Read;

use rustix::fs::{AtFlags, CWD, FileType, Mode, mknodat, unlinkat};
use support::{Fixture, archive, fixture};
use wharf_oci::Digest;
use wharf_store::{CacheRecord, LayerInfo, LayerSource, Lease, Snapshot};

fn scratch(f: &Fixture, id: &str, chains: &[Digest]) -> Snapshot {
    f.db.write(|tx| f.store.snapshots().scratch(tx, id, chains)).unwrap()
}

fn drop_scratch(f: &Fixture, id: &str) {
    f.db.write(|tx| f.store.snapshots().remove(tx, id)).unwrap();
}

fn base(f: &Fixture, lease: &Lease) -> LayerInfo {
    let tar = archive().dir("d").file("d/old", b"old").bytes();
    f.store.ingest_layer(tar.as_slice(), LayerSource::default(), lease).unwrap()
}

/// Changes a bit of everything over the base.
fn change(snapshot: &Snapshot) {
    snapshot
        .with_mounted(|root| {
            let at = |path: &str| format!("/proc/self/fd/{}/{path}", std::os::fd::AsRawFd::as_raw_fd(&root));
            std::fs::write(at("new"), "new content").unwrap();
            std::fs::hard_link(at("new"), at("same")).unwrap();
            std::os::unix::fs::symlink("d", at("link")).unwrap();
            unlinkat(root, "d/old", AtFlags::empty()).unwrap();
            mknodat(CWD, at("pipe"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
            let hole = std::fs::File::create(at("hole")).unwrap();
            hole.set_len(5 << 20).unwrap();
        })
        .unwrap();
}

#[test]
fn a_sealed_layer_is_what_its_digest_says() {
    let f = fixture();
    let lease = f.store.lease();
    let below = base(&f, &lease);
    let snapshot = scratch(&f, "step", std::slice::from_ref(&below.chain_id));
    change(&snapshot);
    let sealed = f.store.seal(&snapshot, &lease, None).unwrap();
    drop_scratch(&f, "step");
    assert_eq!(sealed.parent.as_ref(), Some(&below.chain_id));
    assert_eq!(sealed.size, 11 + 1 + (5 << 20), "a file with two names counts once");
    let mut tar = Vec::new();
    f.store.layer_tar(&sealed.chain_id).unwrap().read_to_end(&mut tar).unwrap();
    assert_eq!((Digest::sha256(&tar), tar.len() as u64), (sealed.diff_id.clone(), sealed.tar_size));
    let mut names: Vec<_> = tar::Archive::new(tar.as_slice())
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    names.sort();
    assert_eq!(names, ["d/", "d/.wh.old", "hole", "link", "new", "pipe", "same"]);
    // Read back, it is the same layer.
    let source = LayerSource { parent: sealed.parent.clone(), ..LayerSource::default() };
    assert_eq!(f.store.ingest_layer(tar.as_slice(), source, &lease).unwrap(), sealed);
}

#[test]
fn nothing_changed_is_an_empty_layer() {
    let f = fixture();
    let lease = f.store.lease();
    let snapshot = scratch(&f, "step", &[]);
    let sealed = f.store.seal(&snapshot, &lease, None).unwrap();
    assert_eq!((sealed.size, sealed.diff_id), (0, Digest::sha256(&[0; 1024])));
}

#[test]
fn records_keep_their_layers() {
    let f = fixture();
    let lease = f.store.lease();
    let below = base(&f, &lease);
    let snapshot = scratch(&f, "step", std::slice::from_ref(&below.chain_id));
    change(&snapshot);
    let sealed = f.store.seal(&snapshot, &lease, None).unwrap();
    drop_scratch(&f, "step");
    let now = jiff::Timestamp::now();
    let record = CacheRecord {
        chains: vec![below.chain_id.clone(), sealed.chain_id.clone()],
        parent: None,
        size: sealed.size,
        description: "step".to_owned(),
        created: now,
        last_used: now,
        uses: 0,
    };
    let key = Digest::sha256(b"key");
    f.db.write(|tx| f.store.cache().put(tx, &key, &record)).unwrap();
    drop(lease);
    f.store.sweep(&Default::default()).unwrap();
    assert!(f.store.layer_diff(&sealed.chain_id).is_dir() && f.store.layer_diff(&below.chain_id).is_dir());
    assert!(!f.db.read(|view| f.store.cache().is_shared(view, &sealed.chain_id)).unwrap());
    assert!(f.db.write(|tx| f.store.cache().remove(tx, &key)).unwrap());
    assert!(!f.store.layer_diff(&sealed.chain_id).exists() && !f.store.layer_diff(&below.chain_id).exists());
}
