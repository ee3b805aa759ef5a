//! Layers: what comes in is unpacked as GNU tar does it, comes out bit for bit, and lies are found.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use support::{Archive, archive, fixture, fixture_with, listing};
use wharf_db::Error as DbError;
use wharf_oci::Digest;
use wharf_store::{Error, LayerSource, Limits};

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn sh(script: &str, folder: &Path) {
    let status = Command::new("sh").arg("-euc").arg(script).current_dir(folder).status().unwrap();
    assert!(status.success(), "{script}");
}

#[test]
fn a_layer_is_stored_once_and_comes_back() {
    let f = fixture();
    let tar = archive().dir("etc/").file("etc/hello", b"hello\n").link("etc/again", "etc/hello").bytes();
    let packed = gzip(&tar);
    let source = LayerSource {
        diff_id: Some(Digest::sha256(&tar)),
        blob: Some(Digest::sha256(&packed)),
        blob_size: Some(packed.len() as u64),
        ..LayerSource::default()
    };
    let lease = f.store.lease();
    let info = f.store.ingest_layer(packed.as_slice(), source, &lease).unwrap();
    assert_eq!((info.size, info.tar_size), (6, tar.len() as u64));
    assert_eq!(info.chain_id, Digest::sha256(&tar));
    assert_eq!(f.rebuilt(&info.chain_id), tar);
    assert_eq!(f.folders(), [info.chain_id.hex()]);
    assert_eq!(f.store.has_chain(&info.chain_id, &lease).unwrap(), Some(info.clone()));
    for other in [tar.clone(), zstd::encode_all(tar.as_slice(), 1).unwrap()] {
        assert_eq!(f.ingest(&other).unwrap(), info);
    }
    assert_eq!(f.folders().len(), 1);

    let above = LayerSource { parent: Some(info.chain_id.clone()), ..LayerSource::default() };
    let above = f.store.ingest_layer(tar.as_slice(), above, &lease).unwrap();
    let text = format!("{} {}", info.chain_id, info.diff_id);
    assert_eq!(above.chain_id, Digest::sha256(text.as_bytes()));
    assert_eq!(f.folders().len(), 2);

    f.store.empty_trash().unwrap();
    assert_eq!(f.folders().len(), 2, "the lease keeps them");
    drop(lease);
    f.store.empty_trash().unwrap();
    assert!(f.folders().is_empty());
}

#[test]
fn every_format_of_gnu_tar_is_unpacked_as_by_gnu_tar() {
    let f = fixture();
    let work = tempfile::tempdir().unwrap();
    sh(
        r#"mkdir -p t/dir/sub t/empty t/é
        echo one >t/dir/one; ln t/dir/one t/dir/two; ln -s ../dir/one t/dir/sub/link; ln -s /nowhere t/dangling
        mkfifo t/fifo; mknod t/null c 1 3; mknod t/loop b 7 200; echo x >t/é/ü
        n=$(printf 'n%.0s' $(seq 120)); mkdir -p t/$n/$n; echo long >t/$n/$n/$n; ln -s $n/$n/$n t/longlink
        ln t/$n/$n/$n t/longhard
        truncate -s 3M t/hole; printf a | dd of=t/hole bs=1 seek=1500000 conv=notrunc status=none
        printf b | dd of=t/hole bs=1 seek=2999999 conv=notrunc status=none; truncate -s 100k t/allhole
        for i in $(seq 0 40); do printf $i | dd of=t/holes bs=1 seek=$((i * 100000)) conv=notrunc status=none; done
        chown 12345:54321 t/dir/one; chmod 4751 t/dir/one; chmod 1777 t/empty; chmod 2755 t/dir; chmod 000 t/é/ü
        touch -d '2001-02-03 04:05:06.123456789' t/dir/one t/dir/sub; touch -h -d '1999-01-01' t/dangling
        touch -d @0 t/empty; touch -d 2020-02-02 t/dir t"#,
        work.path(),
    );
    // The oldest formats have no room for the long names.
    let short = "--exclude=n*n --exclude=long*";
    let formats = [
        ("gnu", "--format=gnu --sparse"),
        ("gnu-plain", "--format=gnu"),
        ("pax", "--format=pax"),
        ("pax00", "--format=pax --sparse --sparse-version=0.0"),
        ("pax01", "--format=pax --sparse --sparse-version=0.1"),
        ("pax10", "--format=pax --sparse --sparse-version=1.0"),
        ("ustar", &format!("--format=ustar {short}")),
        ("v7", &format!("--format=v7 {short} --exclude=null --exclude=loop --exclude=fifo")),
    ];
    for (name, options) in formats {
        let script = format!(
            "tar -C t {options} -cf {name}.tar . && mkdir {name} && tar -C {name} -xpf {name}.tar --numeric-owner"
        );
        sh(&script, work.path());
        let tar = std::fs::read(work.path().join(format!("{name}.tar"))).unwrap();
        let info = f.ingest(&tar).unwrap();
        let ours = f.store.layer_diff(&info.chain_id);
        pretty(&listing(&work.path().join(name)), &listing(&ours), name);
        assert_eq!(f.rebuilt(&info.chain_id), tar, "{name}");
        if options.contains("sparse") {
            use std::os::unix::fs::MetadataExt;
            let blocks = std::fs::metadata(ours.join("hole")).unwrap().blocks();
            assert!(blocks < 100, "{name}: {blocks} blocks for a file of holes");
        }
    }
}

fn pretty(
    expected: &std::collections::BTreeMap<String, String>,
    found: &std::collections::BTreeMap<String, String>,
    what: &str,
) {
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{what}");
    for (path, line) in expected {
        assert_eq!(line, &found[path], "{what}: {path}");
    }
}

#[test]
fn extended_attributes_large_ids_and_early_times() {
    let f = fixture();
    let mut builder = tar::Builder::new(Vec::new());
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let pax: [(&str, &[u8]); 8] = [
        ("uid", b"3000000000"),
        ("gid", b"4000000000"),
        ("mtime", b"-1.25"),
        ("SCHILY.xattr.user.note", b"a\nb\0c"),
        ("SCHILY.xattr.security.capability", capability),
        ("SCHILY.xattr.trusted.mine", b"t"),
        ("SCHILY.xattr.trusted.overlay.redirect", b"/etc/shadow"),
        ("SCHILY.xattr.user.overlay.opaque", b"y"),
    ];
    builder.append_pax_extensions(pax).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o6755);
    header.set_size(1);
    header.set_mtime(7);
    header.set_path("ping").unwrap();
    header.set_cksum();
    builder.append(&header, &b"x"[..]).unwrap();
    let tar = builder.into_inner().unwrap();
    let info = f.ingest(&tar).unwrap();
    expect_test::expect![[r#"106755 3000000000:4000000000 1 -2.750000000 =ping 2d711642b726 ["security.capability=\\x01\\x00\\x00\\x02\\x00\\x04\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00", "trusted.mine=t", "user.note=a\\nb\\x00c"]"#]]
    .assert_eq(&listing(&f.store.layer_diff(&info.chain_id))["ping"]);
    assert_eq!(f.rebuilt(&info.chain_id), tar);
}

#[test]
fn whiteouts_become_overlayfs_ones() {
    let f = fixture();
    let tar = archive()
        .file("a/.wh.gone", b"")
        .dir("b/")
        .file("b/.wh..wh..opq", b"")
        .file("b/new", b"n")
        .file(".wh..wh.plnk/1.2", b"ignored")
        .file("twice", b"x")
        .file(".wh.twice", b"")
        .bytes();
    let info = f.ingest(&tar).unwrap();
    let lines = listing(&f.store.layer_diff(&info.chain_id));
    assert_eq!(lines.keys().collect::<Vec<_>>(), ["", "a", "a/gone", "b", "b/new", "twice"]);
    for whiteout in ["a/gone", "twice"] {
        assert!(lines[whiteout].starts_with("20000 0:0 0 ") && lines[whiteout].contains("device 0"));
    }
    assert!(lines["b"].contains("trusted.overlay.opaque=y") && !lines["a"].contains("opaque"));
    assert_eq!(f.rebuilt(&info.chain_id), tar);
}

#[test]
fn absolute_names_begin_at_the_layers_root() {
    let f = fixture();
    let outside = f.folder.path().join("outside");
    std::fs::write(&outside, "untouched").unwrap();
    let name = outside.display().to_string();
    let tar = archive().file(&name, b"inside").link("/second", &name).bytes();
    let info = f.ingest(&tar).unwrap();
    let inside = f.folder.path().join("root/snapshots").join(info.chain_id.hex()).join("diff");
    let inside = inside.join(name.trim_start_matches('/'));
    assert_eq!(std::fs::read(&outside).unwrap(), b"untouched");
    assert_eq!(std::fs::read(inside).unwrap(), b"inside");
    assert_eq!(f.rebuilt(&info.chain_id), tar);
}

#[test]
fn hostile_archives_are_refused_and_leave_nothing() {
    let f = fixture();
    let outside = f.folder.path().join("outside");
    std::fs::write(&outside, "untouched").unwrap();
    let up = "../".repeat(20);
    let escape = format!("{up}{}", outside.display().to_string().trim_start_matches('/'));
    let hostile: Vec<(&str, Archive)> = vec![
        ("dotdot", archive().file(&escape, b"evil")),
        ("inner dotdot", archive().dir("a/").file("a/../../x", b"evil")),
        ("hard link out", archive().link("l", &escape)),
        ("absolute hard link", archive().link("l", "/etc/passwd")),
        ("hard link to nothing", archive().link("l", "nothing")),
        ("hard link to the root", archive().link("l", ".")),
        ("whiteout of the parent", archive().file("a/.wh...", b"")),
        ("whiteout of here", archive().file("a/.wh..", b"")),
        ("whiteout of nothing", archive().file("a/.wh.", b"")),
        ("file as root", archive().file("./", b"x")),
        ("file as folder", archive().file("f", b"x").file("f/below", b"y")),
        ("dangling link as folder", archive().symlink("s", "nowhere").file("s/below", b"y")),
        ("unknown type", archive().entry("z", tar::EntryType::new(b'Z'), "", b"")),
        ("name too long", archive().dir("d/").file(&format!("d/{}", "x".repeat(90)), b"").link("l", "")),
    ];
    for (what, archive) in hostile {
        let error = f.ingest(&archive.bytes()).expect_err(what);
        assert!(
            matches!(error, Error::Hostile { .. } | Error::Entry { .. } | Error::Tar(_)),
            "{what}: {error:?}"
        );
        assert!(f.folders().is_empty(), "{what}");
    }
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "untouched");
}

#[test]
fn links_are_followed_only_inside() {
    let f = fixture();
    let outside = f.folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let path = outside.display().to_string();
    let inside = path.trim_start_matches('/').to_owned();
    let tar = archive()
        .symlink("abs", &path)
        .symlink("rel", &format!("{}{inside}", "../".repeat(20)))
        .dir(&format!("{inside}/"))
        .file("abs/one", b"1")
        .file("rel/two", b"2")
        .link("rel/three", "abs/one")
        .bytes();
    let info = f.ingest(&tar).unwrap();
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    let mut names: Vec<_> = std::fs::read_dir(f.store.layer_diff(&info.chain_id).join(&inside))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["one", "three", "two"]);
    assert_eq!(f.rebuilt(&info.chain_id), tar);
}

#[test]
fn entries_may_replace_others_of_any_kind() {
    let f = fixture();
    let tar = archive()
        .file("f", b"first")
        .link("hard", "f")
        .file("f", b"second!")
        .dir("d/")
        .file("d/inner", b"inner")
        .symlink("via", "d")
        .file("via/linked", b"linked")
        .symlink("d", "elsewhere")
        .file("via", b"now a file")
        .dir("f/")
        .file("f/below", b"below")
        .entry("f/below", tar::EntryType::Fifo, "", b"")
        .link("hard", "hard")
        .dir("d2/")
        .dir("d2/")
        .bytes();
    let info = f.ingest(&tar).unwrap();
    assert_eq!(f.rebuilt(&info.chain_id), tar);
    let lines = listing(&f.store.layer_diff(&info.chain_id));
    assert_eq!(lines.keys().collect::<Vec<_>>(), ["", "d", "d2", "f", "f/below", "hard", "via"]);
    assert_eq!(std::fs::read(f.store.layer_diff(&info.chain_id).join("hard")).unwrap(), b"first");
    // "first", the link's "elsewhere", "now a file".
    assert_eq!(info.size, 5 + 9 + 10);
}

#[test]
fn streams_that_lie_or_end_early_are_refused() {
    let f = fixture();
    let tar = archive().dir("d/").file("d/f", &vec![7; 300_000]).bytes();
    let packed = gzip(&tar);
    let other = Digest::sha256(b"other");
    let with = |edit: &dyn Fn(&mut LayerSource)| {
        let mut source = LayerSource {
            diff_id: Some(Digest::sha256(&tar)),
            blob: Some(Digest::sha256(&packed)),
            blob_size: Some(packed.len() as u64),
            ..LayerSource::default()
        };
        edit(&mut source);
        source
    };
    let ingest = |data: &[u8], source| f.store.ingest_layer(data, source, &f.store.lease()).unwrap_err();
    let good = with(&|_| {});
    let mut flipped = packed.clone();
    flipped[packed.len() / 2] ^= 1;
    assert!(matches!(ingest(&packed, with(&|s| s.diff_id = Some(other.clone()))), Error::DiffId { .. }));
    assert!(matches!(ingest(&packed, with(&|s| s.blob = Some(other.clone()))), Error::BlobDigest { .. }));
    assert!(matches!(ingest(&packed, with(&|s| s.blob_size = Some(9))), Error::BlobSize { expected: 9, .. }));
    assert!(matches!(ingest(&packed[..packed.len() - 20], good.clone()), Error::BlobSize { .. }));
    assert!(matches!(ingest(&flipped, good.clone()), Error::BlobDigest { .. }));
    let page = b"<html>captive portal</html>".repeat(100);
    assert!(matches!(ingest(&page, with(&|s| s.blob_size = None)), Error::BlobDigest { .. }));
    let none = LayerSource::default;
    assert_eq!(ingest(b"some text\n", none()).to_string(), "unexpected EOF");
    assert_eq!(ingest(&b"x".repeat(600), none()).to_string(), "archive/tar: invalid tar header");
    for cut in [100, 512 + 100, 2000, 200_000] {
        assert_eq!(ingest(&tar[..cut], none()).to_string(), "unexpected EOF", "{cut}");
    }
    assert_eq!(ingest(&packed[..packed.len() - 20], none()).to_string(), "unexpected EOF");
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("connection reset"))
        }
    }
    let stream = tar[..5000].chain(Fails);
    let error = f.store.ingest_layer(stream, none(), &f.store.lease()).unwrap_err();
    assert!(matches!(error, Error::Read(_)) && error.to_string() == "connection reset");
    assert!(f.folders().is_empty());
}

#[test]
fn an_empty_stream_is_an_empty_layer() {
    let f = fixture();
    let info = f.ingest(b"").unwrap();
    assert_eq!((info.size, info.tar_size), (0, 0));
    assert_eq!(f.rebuilt(&info.chain_id), b"");
}

#[test]
fn bombs_are_stopped() {
    let zeros = archive().file("z", &vec![0; 4 << 20]).bytes();
    let many = (0..50).fold(archive(), |archive, i| archive.file(&i.to_string(), b"")).bytes();
    let wide = Limits::default();
    for (limits, data, what) in [
        (Limits { entries: 49, ..wide }, &many, "entries"),
        (Limits { tar_bytes: 1 << 20, ..wide }, &zeros, "bytes uncompressed"),
        (Limits { file_bytes: 1 << 20, ..wide }, &zeros, "bytes in files"),
        (Limits { ratio: 100, ratio_from: 1 << 20, ..wide }, &gzip(&zeros), "bytes per compressed byte"),
    ] {
        let f = fixture_with(limits);
        let error = f.ingest(data).unwrap_err();
        assert!(matches!(&error, Error::Limit { what: found, .. } if *found == what), "{error:?}");
        assert!(f.folders().is_empty());
    }
}

#[test]
fn one_of_many_concurrent_ingests_wins() {
    let f = fixture();
    let tar = (0..300).fold(archive(), |a, i| a.file(&format!("f{i}"), format!("{i}").as_bytes())).bytes();
    let infos: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| f.ingest(&tar).unwrap())).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(infos.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(f.folders(), [infos[0].chain_id.hex()]);
    assert_eq!(f.rebuilt(&infos[0].chain_id), tar);
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    support::need_root();
    // The mount lives in this thread's namespace and disappears with it.
    std::thread::spawn(|| {
        use wharf_sys::process::{CloneFlags, unshare};
        unshare(CloneFlags::NEWNS).unwrap();
        let private =
            rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let options = c"size=2m,nr_inodes=60";
        rustix::mount::mount("small", folder.path(), "tmpfs", rustix::mount::MountFlags::empty(), options)
            .unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let db = wharf_db::Db::open(elsewhere.path().join("t.db")).unwrap();
        let store = wharf_store::Store::open(folder.path(), db).unwrap();
        let noise: Vec<u8> = (0..3_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let large = archive().file("large", &noise).bytes();
        let many = (0..100).fold(archive(), |a, i| a.file(&format!("{i}"), b"")).bytes();
        for tar in [large, many] {
            let error =
                store.ingest_layer(tar.as_slice(), LayerSource::default(), &store.lease()).unwrap_err();
            assert!(matches!(error, Error::DiskFull { .. }), "{error:?}");
            let left = std::fs::read_dir(folder.path().join("snapshots")).unwrap().count();
            assert_eq!(left, 1, "only the init layer");
        }
        store
            .ingest_layer(
                archive().file("f", b"fits").bytes().as_slice(),
                LayerSource::default(),
                &store.lease(),
            )
            .unwrap();
    })
    .join()
    .unwrap();
}

#[test]
fn a_damaged_layer_is_never_passed_on() {
    let f = fixture();
    let tar = archive().file("f", b"content").file("g", b"more").bytes();
    let info = f.ingest(&tar).unwrap();
    std::fs::write(f.store.layer_diff(&info.chain_id).join("f"), "CONTENT").unwrap();
    let mut out = Vec::new();
    let error = f.store.layer_tar(&info.chain_id).unwrap().read_to_end(&mut out).unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
    assert!(f.store.layer_tar(&info.chain_id).unwrap().verify().is_err());
    std::fs::write(f.store.layer_diff(&info.chain_id).join("f"), "cut").unwrap();
    assert!(f.store.layer_tar(&info.chain_id).unwrap().read_to_end(&mut out).is_err());
    let missing = f.store.layer_tar(&Digest::sha256(b"none"));
    assert!(matches!(missing, Err(Error::NoLayer { .. })));
}

#[derive(Debug, Clone)]
enum Step {
    File(String, Vec<u8>),
    Dir(String),
    Symlink(String, String),
    Link(String, String),
    Whiteout(String),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few names, so that entries meet.
    let name = "[ab](/[ab]){0,2}";
    let step = prop_oneof![
        (name, proptest::collection::vec(any::<u8>(), 0..1500)).prop_map(|(n, c)| Step::File(n, c)),
        name.prop_map(Step::Dir),
        (name, "(\\.\\./)?[ab](/[ab])?").prop_map(|(n, t)| Step::Symlink(n, t)),
        (name, name).prop_map(|(n, t)| Step::Link(n, t)),
        name.prop_map(Step::Whiteout),
    ];
    proptest::collection::vec(step, 0..25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    /// Whatever is accepted is given back byte for byte; whatever is not leaves nothing.
    #[test]
    fn archives_come_back_or_are_refused(steps in steps(), tail in 0usize..1500) {
        let f = fixture();
        let mut tar = steps.iter().fold(archive(), |archive, step| match step {
            Step::File(name, content) => archive.file(name, content),
            Step::Dir(name) => archive.dir(&format!("{name}/")),
            Step::Symlink(name, target) => archive.symlink(name, target),
            Step::Link(name, target) => archive.link(name, target),
            Step::Whiteout(name) => match name.rsplit_once('/') {
                Some((folder, name)) => archive.file(&format!("{folder}/.wh.{name}"), b""),
                None => archive.file(&format!(".wh.{name}"), b""),
            },
        }).bytes();
        tar.extend(vec![b'x'; tail]);
        match f.ingest(&tar) {
            Ok(info) => {
                prop_assert_eq!(f.rebuilt(&info.chain_id), tar);
                let size: u64 = listing_size(&f.store.layer_diff(&info.chain_id));
                prop_assert_eq!(info.size, size);
            }
            Err(error) => {
                prop_assert!(matches!(error, Error::Entry { .. }), "{:?}", error);
                prop_assert!(f.folders().is_empty());
            }
        }
    }

    /// Noise is refused or, rarely, an archive; never a panic, never anything left behind.
    #[test]
    fn damaged_archives_never_hurt(steps in steps(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let f = fixture();
        let mut tar = steps.iter().fold(archive(), |archive, step| match step {
            Step::File(name, content) => archive.file(name, content),
            Step::Dir(name) | Step::Whiteout(name) => archive.dir(&format!("{name}/")),
            Step::Symlink(name, target) | Step::Link(name, target) => archive.symlink(name, target),
        }).bytes();
        let at = at.index(tar.len());
        tar[at] = byte;
        match f.ingest(&tar) {
            Ok(info) => prop_assert_eq!(f.rebuilt(&info.chain_id), tar),
            Err(_) => prop_assert!(f.folders().is_empty()),
        }
    }
}

fn listing_size(root: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut seen = std::collections::HashSet::new();
    let mut size = 0;
    for path in listing(root).keys() {
        let stat = std::fs::symlink_metadata(root.join(path)).unwrap();
        if !stat.is_dir() && seen.insert(stat.ino()) {
            size += stat.len();
        }
    }
    size
}

#[test]
fn layers_that_a_power_cut_damaged_go_with_their_images() {
    let f = fixture();
    let good = f.ingest(&archive().file("f", b"good").bytes()).unwrap();
    let lease = f.store.lease();
    let bad = f
        .store
        .ingest_layer(archive().file("f", b"bad").bytes().as_slice(), LayerSource::default(), &lease)
        .unwrap();
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        bad.diff_id
    );
    let new = wharf_store::NewImage { config: config.as_bytes(), manifest: None, parent: None };
    let image = f.db.write(|tx| f.store.images().put(tx, new)).unwrap();
    std::fs::write(f.store.layer_diff(&bad.chain_id).join("f"), "").unwrap();
    let live = std::collections::HashSet::new();
    drop(lease);
    assert_eq!(f.store.sweep(&live).unwrap().damaged_images, [], "same boot: nothing to check");
    const LAYERS: wharf_db::Table<serde_json::Value> = wharf_db::Table::new("layers", 1);
    f.db.write(|tx| {
        let mut row = LAYERS.get(tx, bad.chain_id.as_str())?.unwrap();
        (row["boot"], row["synced"]) = ("another".into(), false.into());
        LAYERS.put(tx, bad.chain_id.as_str(), &row)?;
        Ok::<_, DbError>(())
    })
    .unwrap();
    let swept = f.store.sweep(&live).unwrap();
    assert_eq!(swept.damaged_images, [image.id]);
    assert!(f.folders().is_empty(), "{good:?} was not held by anything either");
}
