//! `manifest`: what a registry has, and lists that are made here, against a real registry.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{fs, path::Path, process::Command};

use serde_json::Value;
use wharf_tests::{Archive, Output, Registry, binary, sha256};

/// The command line with a configuration of its own; no engine is needed, and none can be reached.
fn wharf(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("manifest").args(args).env("DOCKER_CONFIG", folder).env("DOCKER_HOST", "unix:///nowhere");
    command.output().unwrap().into()
}

fn fails(folder: &Path, args: &[&str]) -> String {
    let output = wharf(folder, args);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{args:?}");
    output.stderr.trim_end().to_owned()
}

/// The bytes of a manifest, as another tool gets them.
fn raw(reference: &str) -> String {
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{reference}")]);
    Output::from(skopeo.output().expect("the tests need skopeo")).ok()
}

#[test]
fn inspect_shows_what_the_registry_has() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start(folder.path());
    let name = registry.push(&Archive::busybox("seen"), "group/seen:v1");
    let shown = wharf(folder.path(), &["inspect", "--insecure", &name]).ok();
    let body = raw(&name);
    assert!(shown.starts_with("{\n\t\"schemaVersion\": 2,\n\t\"mediaType\": \""), "{shown}");
    let (shown, body): (Value, Value) =
        (serde_json::from_str(&shown).unwrap(), serde_json::from_str(&body).unwrap());
    assert_eq!(shown, body);

    let verbose = wharf(folder.path(), &["inspect", "-v", "--insecure", &name]).ok();
    let document: Value = serde_json::from_str(&verbose).unwrap();
    assert!(
        verbose
            .starts_with(&format!("{{\n\t\"Ref\": \"{name}\",\n\t\"Descriptor\": {{\n\t\t\"mediaType\": "))
    );
    assert_eq!(document["SchemaV2Manifest"], body);
    assert_eq!(document["Descriptor"]["digest"], registry.digest(&name).as_str());
    assert_eq!(document["Descriptor"]["platform"]["os"], "linux");

    let (missing, unsafe_) =
        (format!("{}/group/none", registry.address), fails(folder.path(), &["inspect", &name]));
    assert_eq!(unsafe_, format!("no such manifest: {name}"));
    let words = fails(folder.path(), &["inspect", "--insecure", &missing]);
    assert_eq!(words, format!("no such manifest: {missing}:latest"));
    assert_eq!(
        fails(folder.path(), &["inspect", "127.0.0.1:1/x"]),
        "failed to configure transport: error pinging v2 registry: Get \"https://127.0.0.1:1/v2/\": dial tcp \
         127.0.0.1:1: connect: connection refused"
    );
}

#[test]
fn lists_are_made_annotated_pushed_and_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let (config, registry) = (folder.path(), Registry::start(folder.path()));
    let one = registry.push(&Archive::busybox("one"), "app/amd:1");
    let two = registry.push(&Archive::busybox("two"), "app/arm:1");
    let list = format!("{}/app/all:1", registry.address);
    let create = ["create", "--insecure", &list, &one, &two];
    assert_eq!(wharf(config, &create).ok(), format!("Created manifest list {list}"));
    let files = config.join("manifests").join(list.replace(':', "-").replace('/', "_"));
    assert_eq!(fs::read_dir(&files).unwrap().count(), 2);
    assert_eq!(fails(config, &create), "refusing to amend an existing manifest list with no --amend flag");

    assert_eq!(
        fails(config, &["annotate", "--arch", "pdp11", &list, &two]),
        "manifest entry for image has unsupported os/arch combination: /pdp11"
    );
    assert_eq!(
        fails(config, &["annotate", &list, "none"]),
        format!("manifest for image none does not exist in {list}")
    );
    let annotate = ["annotate", "--os", "linux", "--arch", "arm", "--variant", "v6", "--os-features", "a,b"];
    assert_eq!(wharf(config, &[&annotate[..], &[&list, &two]].concat()).ok(), "");
    // What is known already stays annotated.
    wharf(config, &["create", "--amend", &list, &two]).ok();
    let shown = wharf(config, &["inspect", &list]).ok();
    let platform = "         \"platform\": {\n            \"architecture\": \"arm\",\n            \"os\": \"linux\",\n            \
                    \"os.features\": [\n               \"a\",\n               \"b\"\n            ],\n            \
                    \"variant\": \"v6\"\n         }\n";
    assert!(shown.contains(platform), "{shown}");

    let plain = fails(config, &["push", &list]);
    assert!(plain.ends_with("http: server gave HTTP response to HTTPS client"), "{plain}");
    let pushed = wharf(config, &["push", "--insecure", "--purge", &list]).ok();
    let digests = [registry.digest(&one), registry.digest(&two), sha256(shown.as_bytes())];
    let lines: Vec<String> = digests[..2]
        .iter()
        .map(|digest| format!("Pushed ref {}/app/all@{digest} with digest: {digest}", registry.address))
        .chain([digests[2].clone()])
        .collect();
    assert_eq!(pushed.lines().collect::<Vec<_>>(), lines);
    assert!(!files.exists());
    // Now the registry's own is shown, and it is the same.
    assert_eq!(wharf(config, &["inspect", "--insecure", &list]).ok(), shown);
    let verbose = wharf(config, &["inspect", "--insecure", "-v", &list]).ok();
    let verbose: Value = serde_json::from_str(&verbose).unwrap();
    assert_eq!(verbose[1]["Ref"], format!("{list}@{}", digests[1]));
    assert_eq!(verbose[1]["Descriptor"]["platform"]["variant"], "v6");
    assert_eq!(fails(config, &["create", "--insecure", "x", &list]), format!("{list} is a manifest list"));
}

#[test]
fn lists_stay_within_a_registry() {
    let folder = tempfile::tempdir().unwrap();
    let (config, registry) = (folder.path(), Registry::start(folder.path()));
    let one = registry.push(&Archive::busybox("one"), "one:1");
    wharf(config, &["create", "--insecure", "other/list", &one]).ok();
    let words = format!(
        "cannot use source images from a different registry than the target image: {} != docker.io",
        registry.address
    );
    assert_eq!(fails(config, &["push", "other/list"]), words);
    assert_eq!(
        fails(config, &["inspect", "other/list"]),
        format!("failed to assemble ManifestDescriptor: {words}")
    );
    assert_eq!(wharf(config, &["rm", "other/list"]).ok(), "");
    assert_eq!(
        fails(config, &["rm", "other/list", "Bad/x", "a:b:c"]),
        "No such manifest: docker.io/other/list:latest\nNo such manifest: Bad/x:latest\ninvalid reference format"
    );
}
