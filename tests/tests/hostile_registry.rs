//! Pulls from registries whose images are not what they should be: no such image is ever there, not even half, and the
//! space is given back.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tar::EntryType;
use wharf_tests::{Archive, TestDaemon, Web, sha256, until};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Puts a document or layer where a registry that is a folder of files has it; returns its descriptor.
fn put_blob(folder: &Path, name: &str, kind: &str, content: &[u8]) -> Value {
    let blobs = folder.join(format!("v2/{name}/blobs"));
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(sha256(content)), content).unwrap();
    json!({"mediaType": kind, "digest": sha256(content), "size": content.len()})
}

fn put_manifest(folder: &Path, name: &str, manifest: &Value) {
    let manifests = folder.join(format!("v2/{name}/manifests"));
    fs::create_dir_all(&manifests).unwrap();
    fs::write(manifests.join("latest"), manifest.to_string()).unwrap();
}

/// An image of busybox and what is put on it, as configuration and manifest; layers come as they are stored and as they
/// are unpacked.
fn image(folder: &Path, name: &str, layers: &[(Vec<u8>, Vec<u8>)]) -> (Value, Value) {
    let base = Archive::busybox(name);
    let mut config: Value = serde_json::from_slice(&base.config).unwrap();
    let mut entries = vec![put_blob(folder, name, LAYER, &base.layer)];
    for (stored, unpacked) in layers {
        config["rootfs"]["diff_ids"].as_array_mut().unwrap().push(sha256(unpacked).into());
        entries.push(put_blob(folder, name, LAYER, stored));
    }
    (config, json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": entries}))
}

/// The image with what `change` makes of it.
fn serve(folder: &Path, name: &str, layers: &[Vec<u8>], change: impl FnOnce(&mut Value, &mut Value)) {
    let plain: Vec<_> = layers.iter().map(|layer| (layer.clone(), layer.clone())).collect();
    let (mut config, mut manifest) = image(folder, name, &plain);
    let kind = "application/vnd.oci.image.config.v1+json";
    manifest["config"] = put_blob(folder, name, kind, config.to_string().as_bytes());
    change(&mut config, &mut manifest);
    if manifest["config"]["digest"] == sha256(b"") {
        manifest["config"] = put_blob(folder, name, kind, config.to_string().as_bytes());
    }
    put_manifest(folder, name, &manifest);
}

/// Has the configuration stored again, as it was changed.
fn rewritten(manifest: &mut Value) {
    manifest["config"]["digest"] = sha256(b"").into();
}

/// A layer of one entry, with a name that no library would write.
fn entry(name: &str, kind: EntryType, link: &str) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(0);
    header.set_cksum();
    let mut tar = header.as_bytes().to_vec();
    tar.resize(512 * 3, 0);
    tar
}

fn is_clean(daemon: &TestDaemon) {
    assert_eq!(daemon.run(&["images", "-a", "--format", "{{.Repository}}"]), "busybox");
    // It is freed in the background.
    let consistent = || daemon.wharf(&["system", "check"]).code == 0;
    assert!(until(Duration::from_secs(20), consistent), "{}", daemon.wharf(&["system", "check"]).stdout);
    let folders = || fs::read_dir(daemon.data().join("snapshots")).unwrap().count();
    // Those of busybox and of the mount points of containers.
    assert!(until(Duration::from_secs(20), || folders() <= 2), "{} folders", folders());
}

#[test]
fn what_is_no_image_is_refused_and_leaves_nothing() {
    let daemon = TestDaemon::start("hostile");
    let folder = daemon.folder.join("web");
    let nothing = |_: &mut Value, _: &mut Value| {};
    let file = |name: &str| entry(name, EntryType::Regular, "");
    serve(&folder, "up", &[file("../../evil")], nothing);
    serve(&folder, "whiteout", &[file("etc/.wh...")], nothing);
    serve(&folder, "link", &[entry("l", EntryType::Link, "../../etc/passwd")], nothing);
    serve(
        &folder,
        "through",
        &[[&entry("s", EntryType::Symlink, "/etc")[..512], &file("s/evil")].concat()],
        nothing,
    );
    serve(&folder, "diff", &[file("a")], |config, manifest| {
        config["rootfs"]["diff_ids"][1] = sha256(b"another").into();
        rewritten(manifest);
    });
    serve(&folder, "more", &[file("a")], |_, manifest| {
        let again = manifest["layers"][1].clone();
        manifest["layers"].as_array_mut().unwrap().push(again);
    });
    serve(&folder, "os", &[], |config, manifest| {
        config["os"] = "plan9".into();
        rewritten(manifest);
    });
    serve(&folder, "deep", &vec![file("a"); 499], nothing);
    serve(&folder, "artifact", &[], |_, manifest| {
        manifest["layers"][0]["mediaType"] = "application/vnd.x\u{1b}[1m".into()
    });
    serve(&folder, "swapped", &[file("a")], |_, manifest| {
        let blob = folder.join("v2/swapped/blobs").join(manifest["layers"][1]["digest"].as_str().unwrap());
        fs::write(blob, file("b")).unwrap();
    });
    serve(&folder, "config", &[], |_, manifest| {
        let blob = folder.join("v2/config/blobs").join(manifest["config"]["digest"].as_str().unwrap());
        let length = fs::metadata(&blob).unwrap().len();
        fs::write(blob, vec![b' '; usize::try_from(length).unwrap()]).unwrap();
    });
    serve(&folder, "long", &[file("a")], |_, manifest| manifest["layers"][1]["size"] = 7.into());
    serve(&folder, "gone", &[file("a")], |_, manifest| {
        manifest["layers"][1]["digest"] = sha256(b"gone").into()
    });
    serve(&folder, "huge", &[], |_, manifest| manifest["config"]["size"] = 1_000_000_000_000_u64.into());
    put_manifest(&folder, "both", &json!({"schemaVersion": 2, "layers": [], "config": {}, "manifests": []}));
    put_manifest(&folder, "neither", &json!({"schemaVersion": 2}));
    let web = Web::serve(&folder);
    for (name, words) in [
        ("up", "failed to register layer: refusing archive entry \"../../evil\": its name leaves the root"),
        ("whiteout", "failed to register layer: refusing archive entry \"etc/.wh...\""),
        ("link", "failed to register layer: refusing archive entry \"l\": it links to a file outside"),
        ("through", "failed to register layer: archive entry \"s/evil\": "),
        ("diff", "layers from manifest don't match image configuration"),
        ("more", "layers from manifest don't match image configuration"),
        (
            "os",
            "image operating system \"plan9\" cannot be used on this platform: operating system is not supported",
        ),
        ("deep", "failed to register layer: max depth exceeded"),
        ("artifact", "unsupported media type application/vnd.x\\x1b[1m"),
        ("swapped", "filesystem layer verification failed for digest sha256:"),
        ("config", "image verification failed for digest sha256:"),
        ("long", ": the registry sent 1536 bytes instead of 7"),
        ("gone", "unknown blob"),
        ("huge", "image configuration is larger than 16777216 bytes"),
        ("both", "the manifest has both layers and manifests"),
        ("neither", "neither an image manifest nor an index"),
    ] {
        let output = daemon.wharf(&["pull", "-q", &format!("{}/{name}", web.address)]);
        assert_eq!(output.code, 1, "{name}: {}", output.stdout);
        assert!(output.stderr.contains(words), "{name}: {}", output.stderr);
    }
    is_clean(&daemon);
}

/// What a program makes of `content`.
fn packed(program: &str, content: &[u8]) -> Vec<u8> {
    let mut child =
        Command::new(program).arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let content = content.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&content).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output.stdout
}

#[test]
fn what_is_only_unusual_is_taken() {
    let daemon = TestDaemon::start("unusual");
    let folder = daemon.folder.join("web");
    let empty = vec![0; 1024];
    let layer =
        [&entry("/absolute", EntryType::Regular, "")[..512], &entry("/link", EntryType::Link, "/absolute")]
            .concat();
    let plain = |tar: &Vec<u8>| (tar.clone(), tar.clone());
    let mut layers = vec![plain(&empty), plain(&empty), plain(&layer), plain(&layer)];
    layers.push((packed("gzip", &layer), layer.clone()));
    layers.push((packed("xz", &layer), layer.clone()));
    layers.push((packed("bzip2", &layer), layer.clone()));
    layers.push(plain(&entry("node", EntryType::Fifo, "")));
    let (config, mut manifest) = image(&folder, "odd", &layers);
    manifest["config"] = put_blob(&folder, "odd", "application/octet-stream", config.to_string().as_bytes());
    put_manifest(&folder, "odd", &manifest);
    let web = Web::serve(&folder);
    let name = format!("{}/odd", web.address);
    daemon.run(&["pull", "-q", &name]);
    let listed = daemon.run(&["run", "--rm", &name, "ls", "-d", "/absolute", "/link", "/node"]);
    assert_eq!(listed, "/absolute\n/link\n/node");
    daemon.run(&["rmi", &name]);
    is_clean(&daemon);
}
