//! The file systems of containers: what they show, what changed in them, what of them is copied where.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, HashSet};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use support::{Fixture, archive, fixture, listing};
use wharf_oci::Digest;
use wharf_store::{ChangeKind, Error, ImageRecord, LayerSource, NewImage, Snapshot};

/// An image of these layers, bottom first.
fn image(f: &Fixture, layers: &[Vec<u8>]) -> ImageRecord {
    let lease = f.store.lease();
    let mut parent = None;
    let mut diff_ids = Vec::new();
    for layer in layers {
        let source = LayerSource { parent: parent.take(), ..LayerSource::default() };
        let info = f.store.ingest_layer(layer.as_slice(), source, &lease).unwrap();
        diff_ids.push(info.diff_id);
        parent = Some(info.chain_id);
    }
    put(f, &diff_ids)
}

fn put(f: &Fixture, diff_ids: &[Digest]) -> ImageRecord {
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {}, "created": "2024-01-01T00:00:00Z",
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = config.to_string();
    let new = NewImage { config: config.as_bytes(), manifest: None, parent: None };
    f.db.write(|tx| f.store.images().put(tx, new)).unwrap()
}

fn prepare(f: &Fixture, id: &str, image: &ImageRecord) -> Snapshot {
    f.db.write(|tx| f.store.snapshots().prepare(tx, id, Some(image))).unwrap()
}

/// Runs a script in the mounted file system of a container.
fn run(snapshot: &Snapshot, script: &str) {
    snapshot
        .with_mounted(|root| {
            let folder = format!("/proc/{}/fd/{}", std::process::id(), root.as_raw_fd());
            let status = Command::new("sh").arg("-euc").arg(script).current_dir(folder).status().unwrap();
            assert!(status.success(), "{script}");
        })
        .unwrap();
}

fn diff(f: &Fixture, id: &str) -> Vec<String> {
    let changes = f.db.read(|view| f.store.snapshots().get(view, id)).unwrap().diff().unwrap();
    let letter = |kind| match kind {
        ChangeKind::Added => 'A',
        ChangeKind::Modified => 'C',
        ChangeKind::Deleted => 'D',
    };
    changes.iter().map(|change| format!("{} {}", letter(change.kind), change.path)).collect()
}

#[test]
fn a_new_snapshot_has_the_image_and_the_init_layer() {
    let f = fixture();
    let image = image(&f, &[archive().dir("etc/").file("etc/hosts", b"own").bytes()]);
    let snapshot = prepare(&f, "c1", &image);
    assert_eq!(snapshot.mounts().lower.len(), 2);
    let script = "test ! -s etc/hosts; test -f .dockerenv; test \"$(readlink etc/mtab)\" = /proc/mounts
        test -d dev/shm; test -d dev/pts; test -f dev/console; test -d proc; test -d sys; test -f etc/resolv.conf";
    run(&snapshot, script);
    assert_eq!(std::fs::metadata(snapshot.upper()).unwrap().permissions().mode() & 0o7777, 0o755);
    assert!(diff(&f, "c1").is_empty());
    assert_eq!(f.db.read(|view| f.store.snapshots().get(view, "c1")).unwrap(), snapshot);
    for bad in ["", "../x", "a/b", "init-1"] {
        assert!(f.db.write(|tx| f.store.snapshots().prepare(tx, bad, Some(&image))).is_err(), "{bad:?}");
    }
}

#[test]
fn changes_have_dockers_letters() {
    let f = fixture();
    let lower = archive().dir("d/").file("d/one", b"1").file("d/two", b"2").file("f", b"f").dir("same/");
    let lower = lower.file("same/x", b"x").file("kind", b"k").dir("bin/").file("bin/tool", b"t").dir("gone/");
    let upper = archive().file("g", b"g").file("bin/.wh.tool", b"").file("bin/other", b"o").dir("deep/a/b/");
    let image = image(&f, &[lower.bytes(), upper.file("deep/a/b/c", b"").bytes()]);
    let snapshot = prepare(&f, "c", &image);
    run(
        &snapshot,
        "rm f; rm -r d; mkdir d; touch d/three; chmod 700 g; rm kind; mkdir kind; touch kind/inner; rmdir gone
         touch -r same/x ref; echo x >same/x; printf x >same/x; touch -r ref same/x; rm ref; touch new; rm new
         touch bin/tool; mkdir -p added/below; touch added/below/file; touch deep/a/b/c; echo hosts >etc/hosts",
    );
    expect_test::expect![[r#"
        [
            "A /added",
            "A /added/below",
            "A /added/below/file",
            "C /bin",
            "A /bin/tool",
            "C /d",
            "D /d/one",
            "A /d/three",
            "D /d/two",
            "C /deep",
            "C /deep/a",
            "C /deep/a/b",
            "C /deep/a/b/c",
            "C /etc",
            "C /etc/hosts",
            "D /f",
            "C /g",
            "D /gone",
            "C /kind",
            "A /kind/inner",
        ]
    "#]]
    .assert_debug_eq(&diff(&f, "c"));
    let size = snapshot.size_rw().unwrap();
    assert_eq!(size, "hosts\n".len() as u64 + 1 + 1, "hosts, the copied g, same/x");
}

/// A listing without what an archive does not keep: fractions of seconds, attributes of overlayfs.
fn kept(root: &Path) -> BTreeMap<String, String> {
    let mut lines = listing(root);
    lines.remove("");
    for line in lines.values_mut() {
        let point = line.find('.').unwrap();
        line.replace_range(point..point + 10, "");
    }
    lines
}

#[test]
fn export_and_commit_show_what_the_mount_shows() {
    let f = fixture();
    let base = archive().dir("d/").file("d/one", b"1").link("d/hard", "d/one").symlink("s", "d/one");
    let base = base.dir("opaque/").file("opaque/old", b"old").file("opaque/kept", b"k").file("gone", b"x");
    let image = image(&f, &[base.bytes()]);
    let snapshot = prepare(&f, "c", &image);
    run(
        &snapshot,
        "rm gone; rm -r opaque; mkdir opaque; echo k >opaque/kept; mkfifo p; mknod n c 1 3; chown 7:8 d/one
         chmod 4755 d/one; echo hard >h1; ln h1 h2; mkdir -p $(printf 'l%.0s/' $(seq 90)); truncate -s 1M hole
         name=$(printf 'x%.0s' $(seq 200)); echo long >$name; ln -s $name long-link; setfattr -n user.k -v v h1 2>/dev/null || true
         touch -d '1960-01-01' old-time; chmod 1777 opaque",
    );
    let mounted = snapshot
        .with_mounted(|root| kept(Path::new(&format!("/proc/self/fd/{}/.", root.as_raw_fd()))))
        .unwrap();
    let unpack = |tar: &[u8]| {
        let info = f.ingest(tar).unwrap();
        assert_eq!(f.rebuilt(&info.chain_id), tar);
        kept(&f.store.layer_diff(&info.chain_id))
    };
    let mut tar = Vec::new();
    snapshot.export(&mut tar).unwrap();
    assert_eq!(unpack(&tar), mounted);

    let lease = f.store.lease();
    let layer = f.store.commit_layer(snapshot.upper(), image.chains.last(), &lease).unwrap();
    assert!(!layer.is_empty());
    assert_eq!(layer.parent, image.chains.last().cloned());
    let first = f.store.layer_tar(&image.chains[0]);
    drop(first.unwrap());
    let base = f.db.read(|view| f.store.layer(view, &image.chains[0])).unwrap();
    let committed = put(&f, &[base.diff_id, layer.diff_id.clone()]);
    let again = prepare(&f, "again", &committed);
    let mut tar = Vec::new();
    again.export(&mut tar).unwrap();
    assert_eq!(unpack(&tar), mounted);
    let mut raw = Vec::new();
    std::io::Read::read_to_end(&mut f.store.layer_tar(&layer.chain_id).unwrap(), &mut raw).unwrap();
    let mut reader = tar::Archive::new(raw.as_slice());
    let names: Vec<_> =
        reader.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
    for name in ["d/", "d/one", "opaque/.wh..wh..opq", "opaque/kept", ".wh.gone", "h1", "h2"] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
    }
    assert!(!names.iter().any(|name| name == "s" || name == "opaque/old"));
    let once_more = f.store.commit_layer(snapshot.upper(), image.chains.last(), &lease).unwrap();
    assert_eq!(once_more, layer, "the same folder, the same tar");
    let unchanged = f.store.commit_layer(again.upper(), committed.chains.last(), &lease).unwrap();
    assert!(unchanged.is_empty() && unchanged.size == 0);
}

#[test]
fn a_committed_layer_stays_until_its_lease_goes() {
    let f = fixture();
    let image = image(&f, &[archive().file("f", b"f").bytes()]);
    let snapshot = prepare(&f, "c", &image);
    run(&snapshot, "echo new >new; truncate -s 64M hole; printf end >>hole");
    let lease = f.store.lease();
    let layer = f.store.commit_layer(snapshot.upper(), image.chains.last(), &lease).unwrap();
    assert_eq!(layer.size, 4 + (64 << 20) + 3);
    f.store.empty_trash().unwrap();
    let folder = f.store.layer_diff(&layer.chain_id);
    assert!(folder.is_dir());
    assert!(folder.join("hole").metadata().unwrap().blocks() < 1000, "holes stay holes");
    drop(lease);
    f.store.empty_trash().unwrap();
    assert!(!folder.exists());
    assert!(f.store.commit_layer(&snapshot.upper().join("none"), None, &f.store.lease()).is_err());
}

#[test]
fn volumes_start_with_the_images_content() {
    let f = fixture();
    let lower = archive().dir("usr/").dir("usr/data/").file("usr/data/a", b"aa").file("usr/data/b", b"b");
    let lower = lower.link("usr/data/c", "usr/data/a").symlink("data", "/usr/data").file("file", b"");
    let upper = archive().file("usr/data/.wh.b", b"").dir("usr/data/sub/").symlink("usr/data/sub/l", "../a");
    let image = image(&f, &[lower.bytes(), upper.bytes()]);
    let snapshot = prepare(&f, "c", &image);
    let source = f.store.layer_diff(&image.chains[1]).join("usr/data");
    std::os::unix::fs::chown(f.store.layer_diff(&image.chains[0]).join("usr/data/a"), Some(5), Some(6))
        .unwrap();
    let volume = f.folder.path().join("volume");
    let copy = |path: &str| snapshot.copy_up(Path::new(path), &volume);
    std::fs::create_dir(&volume).unwrap();
    for nothing in ["/none", "/file", "/none/below"] {
        assert!(!copy(nothing).unwrap(), "{nothing}");
    }
    std::fs::set_permissions(source, std::fs::Permissions::from_mode(0o1770)).unwrap();
    assert!(copy("/data/../data/").unwrap());
    let lines = listing(&volume);
    assert_eq!(lines.keys().collect::<Vec<_>>(), ["", "a", "c", "sub", "sub/l"]);
    assert!(lines["a"].starts_with("100644 5:6 2 ") && lines["c"].contains("=a"), "{lines:?}");
    assert_eq!(std::fs::metadata(&volume).unwrap().mode() & 0o7777, 0o1770);
    assert!(!copy("/data").unwrap(), "it is not empty any more");
}

#[test]
fn single_files_are_read_through_all_layers() {
    let f = fixture();
    let lower = archive().file("etc/passwd", b"root").symlink("up", "../../etc").file("cut", b"x").dir("d/");
    let upper = archive().file(".wh.cut", b"").symlink("link", "/up/passwd").symlink("loop", "loop");
    let image = image(&f, &[lower.bytes(), upper.bytes()]);
    let snapshot = prepare(&f, "c", &image);
    let read = |path: &str| snapshot.read(Path::new(path), 4);
    for path in ["/etc/passwd", "etc/passwd", "/link", "/up/passwd", "/up/../etc/passwd"] {
        assert_eq!(read(path).unwrap().as_deref(), Some(&b"root"[..]), "{path}");
    }
    for path in ["/cut", "/none", "/d", "/etc/passwd/x", "/"] {
        assert_eq!(read(path).unwrap(), None, "{path}");
    }
    assert!(read("/loop").is_err());
    std::fs::write(snapshot.upper().join("long"), "12345").unwrap();
    assert!(matches!(read("/long"), Err(Error::Limit { .. })));
}

#[test]
fn removal_and_rollback_leave_nothing() {
    let f = fixture();
    let image = image(&f, &[archive().file("f", b"x").bytes()]);
    let failed = f.db.write(|tx| {
        f.store.snapshots().prepare(tx, "c", Some(&image))?;
        Err::<(), _>(Error::Archive("changed my mind".into()))
    });
    assert!(failed.is_err());
    assert_eq!(f.folders().len(), 1);
    prepare(&f, "c", &image);
    assert!(matches!(
        f.db.write(|tx| f.store.snapshots().prepare(tx, "c", Some(&image))),
        Err(Error::Db(wharf_db::Error::Duplicate { .. }))
    ));
    assert_eq!(f.folders().len(), 2, "the first one stays");

    let removed = f.db.write(|tx| f.store.images().remove(tx, &image.id)).unwrap();
    assert!(removed.layers.is_empty(), "the container still needs them");
    f.store.empty_trash().unwrap();
    assert_eq!(f.folders().len(), 2);
    f.db.write(|tx| f.store.snapshots().remove(tx, "c")).unwrap();
    f.db.write(|tx| f.store.snapshots().remove(tx, "c")).unwrap();
    assert!(f.folders().is_empty());
    let trash = f.folder.path().join("root/trash");
    assert_eq!(std::fs::read_dir(&trash).unwrap().count(), 2);
    f.store.empty_trash().unwrap();
    assert_eq!(std::fs::read_dir(&trash).unwrap().count(), 0);
}

#[test]
fn a_start_sweeps_what_a_crash_left() {
    let f = fixture();
    let image = image(&f, &[archive().file("f", b"x").bytes()]);
    let other = f.ingest(&archive().file("g", b"unused").bytes()).unwrap();
    for id in ["live", "dead"] {
        prepare(&f, id, &image);
    }
    for left in ["tmp-0123", "rowless", &"ab".repeat(32)] {
        std::fs::create_dir(f.folder.path().join("root/snapshots").join(left)).unwrap();
    }
    let swept = f.store.sweep(&HashSet::from(["live".to_owned()])).unwrap();
    assert_eq!(swept.snapshots, ["dead"]);
    assert_eq!(swept.folders, 3);
    let mut left = vec!["live".to_owned(), image.chains[0].hex().to_owned()];
    left.sort();
    assert_eq!(f.folders(), left, "without {other:?}");
    assert_eq!(f.store.sweep(&HashSet::from(["live".to_owned()])).unwrap(), wharf_store::Swept::default());
}
