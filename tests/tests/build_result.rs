//! What comes out of a build: the same for the same input, for several platforms, to several places.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use wharf_tests::{Registry, TestDaemon};

/// The id of an image.
fn id(daemon: &TestDaemon, name: &str) -> String {
    daemon.run(&["image", "inspect", "-f", "{{.Id}}", name])
}

/// Gives the base image of one engine to another.
fn share_base(from: &TestDaemon, to: &TestDaemon) {
    let tar = from.folder.join("base.tar");
    from.run(&["save", "-o", tar.to_str().unwrap(), "busybox"]);
    to.run(&["load", "-i", tar.to_str().unwrap()]);
}

#[test]
fn the_same_input_gives_the_same_image() {
    let text = "FROM busybox AS make\nRUN mkdir -p /o/sub && echo made >/o/sub/a && ln /o/sub/a /o/b && rm /bin/nc\n\
                FROM busybox\nARG SOURCE_DATE_EPOCH\nRUN echo \"$SOURCE_DATE_EPOCH\" >/epoch; rm -f /bin/vi\n\
                COPY --from=make /o /o\nCOPY . /ctx/\nCOPY <<EOF /inline/doc\ntext\nEOF\nWORKDIR /w/here\n\
                COPY --link sub /linked/\nLABEL a=b\n";
    let files = [("sub/f", "one"), ("sub/g", "two"), ("z", ""), ("a", "")];
    let one = TestDaemon::start("repone");
    // The second engine has one processor, a file system that was filled in another order, and other times.
    let cpu = {
        let mut set = rustix::thread::CpuSet::new();
        set.set(0);
        set
    };
    rustix::thread::sched_setaffinity(None, &cpu).unwrap();
    let two = TestDaemon::start("reptwo");
    share_base(&one, &two);
    let first = one.context(text, &files);
    let mut backwards = files;
    backwards.reverse();
    let second = two.context(text, &backwards);
    let later = SystemTime::now() + Duration::from_secs(86_400);
    for (path, _) in files {
        fs::File::options().write(true).open(second.join(path)).unwrap().set_modified(later).unwrap();
    }
    let mut ids = Vec::new();
    for (daemon, folder) in [(&one, &first), (&two, &second)] {
        let args = ["--reproducible", "--build-arg", "SOURCE_DATE_EPOCH=1700000000", "-t", "same"];
        let built = daemon.build(folder, &args);
        assert_eq!(built.code, 0, "{}", built.stderr);
        ids.push(id(daemon, "same"));
        assert_eq!(daemon.run(&["image", "inspect", "-f", "{{.Created}}", "same"]), "2023-11-14T22:13:20Z");
        let script = "cat /epoch; find / -xdev -newermt @1700000000 ! -path '/dev*' ! -path '/etc*' ! -path '/proc*' \
                      ! -path '/sys*' ! -path / 2>/dev/null; stat -c %Y /inline/doc /linked /ctx/z /o/b";
        let expected = format!("1700000000\n{}", ["1700000000"; 4].join("\n"));
        assert_eq!(daemon.run(&["run", "--rm", "same", "sh", "-c", script]), expected);
    }
    assert_eq!(ids[0], ids[1]);
    // Without it, each build has times of its own.
    for (daemon, folder) in [(&one, &first), (&two, &second)] {
        assert_eq!(daemon.build(folder, &["-t", "other"]).code, 0);
    }
    assert_ne!(id(&one, "other"), id(&two, "other"));
    // The flag alone is as good as the beginning of time; an output's option needs to be told the time.
    assert_eq!(one.build(&first, &["--reproducible", "-t", "zero"]).code, 0);
    assert_eq!(one.run(&["image", "inspect", "-f", "{{.Created}}", "zero"]), "1970-01-01T00:00:00Z");
    let output =
        ["--build-arg", "SOURCE_DATE_EPOCH=1700000000", "-o", "type=image,rewrite-timestamp=true", "-t", "o"];
    assert_eq!(one.build(&first, &output).code, 0);
    assert_eq!(id(&one, "o"), ids[0]);
    let bad = one.build(&first, &["--build-arg", "SOURCE_DATE_EPOCH=soon"]);
    assert!(bad.stderr.contains("invalid SOURCE_DATE_EPOCH: soon"), "{}", bad.stderr);
}

#[test]
fn a_linked_copy_survives_another_base() {
    let daemon = TestDaemon::start("buildlink");
    let text = |mark: &str| {
        format!(
            "FROM busybox\nRUN echo {mark} >/base; mkdir -p /etc/app /d && ln -s /etc/app /lnk; echo old >/d/old; \
             mkdir -m 1777 /open\nCOPY --link f /d/f\nCOPY --link --chown=7:8 f /new/f\nCOPY --link f /lnk/f\n\
             COPY --link f /open/\nRUN cat /base /d/f /d/old /new/f >/all\n"
        )
    };
    let folder = daemon.context(&text("one"), &[("f", "copied\n")]);
    let first = daemon.build(&folder, &["-t", "one"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert_eq!(first.cached(), [""; 0]);
    fs::write(folder.join("Dockerfile"), text("two")).unwrap();
    let second = daemon.build(&folder, &["-t", "two"]);
    let linked = ["3/7] COPY --link f /d/f", "4/7] COPY --link --chown=7:8 f /new/f"];
    assert_eq!(second.cached()[..2], linked.map(|name| format!("[{name}")));
    for name in ["one", "two"] {
        let script = "cat /all; stat -c %u:%g /new/f; ls /etc/app; test -L /lnk && stat -c %a /open";
        let seen = daemon.run(&["run", "--rm", name, "sh", "-c", script]);
        assert_eq!(seen, format!("{name}\ncopied\nold\ncopied\n7:8\nf\n1777"));
    }
    // What only adds is the same blob in both.
    let layers = |name: &str| daemon.run(&["image", "inspect", "-f", "{{json .RootFS.Layers}}", name]);
    let (one, two): (Vec<String>, Vec<String>) =
        (serde_json::from_str(&layers("one")).unwrap(), serde_json::from_str(&layers("two")).unwrap());
    assert_eq!(one[2..4], two[2..4]);
    assert_ne!(one[1], two[1]);
    // The same again is the same image, below links as well.
    daemon.build(&folder, &["-t", "three"]);
    let id = |name: &str| daemon.run(&["image", "inspect", "-f", "{{.Id}}", name]);
    assert_eq!(id("three"), id("two"));
    // Another file is another layer; an owner by name is looked up in the base.
    fs::write(folder.join("f"), "changed\n").unwrap();
    assert_eq!(daemon.build(&folder, &[]).cached().len(), 1);
    let named =
        "FROM busybox\nRUN echo 'bob:x:44:55::/:/bin/sh' >>/etc/passwd\nCOPY --link --chown=bob f /f\n";
    let folder = daemon.context(named, &[("f", "")]);
    assert_eq!(daemon.build(&folder, &["-t", "named"]).code, 0);
    assert_eq!(daemon.run(&["run", "--rm", "named", "stat", "-c", "%u:%g", "/f"]), "44:55");
    // Images and cache gone, nothing of it stays.
    daemon.run(&["rmi", "one", "two", "three", "named"]);
    daemon.run(&["builder", "prune", "-af"]);
    assert_eq!(daemon.run(&["system", "check"]), "No problems found");
}

/// A native stage for all platforms, one that differs, and files.
const PLATFORMS: &str = "FROM --platform=$BUILDPLATFORM busybox AS shared\nRUN cat /proc/sys/kernel/random/uuid >/id\n\
    FROM --platform=$BUILDPLATFORM busybox AS cross\nARG TARGETARCH TARGETPLATFORM BUILDPLATFORM\n\
    RUN echo $BUILDPLATFORM $TARGETPLATFORM $TARGETARCH >/target; uname -m >/ran\n\
    FROM scratch\nCOPY --from=shared /id /\nCOPY --from=cross /target /ran /\nCOPY f /f\nENTRYPOINT [\"/f\"]\n";

#[test]
fn several_platforms_come_out_together() {
    let daemon = TestDaemon::start("buildmulti");
    let folder = daemon.context(PLATFORMS, &[("f", "x")]);
    let (out, tar) = (daemon.folder.join("out"), daemon.folder.join("image.tar"));
    let oci = format!("type=oci,dest={}", tar.display());
    let built = daemon.build(
        &folder,
        &["--platform", "linux/amd64,linux/arm64", "-t", "multi:1", "-o", out.to_str().unwrap(), "-o", &oci],
    );
    assert_eq!(built.code, 0, "{}", built.stderr);
    assert!(built.stderr.contains("[linux/arm64 stage-2 1/3] COPY"), "{}", built.stderr);
    let native = format!("linux/{}", daemon.run(&["version", "-f", "{{.Server.Arch}}"]));
    let read = |path: &str| fs::read_to_string(out.join(path)).unwrap();
    for architecture in ["amd64", "arm64"] {
        let expected = format!("{native} linux/{architecture} {architecture}\n");
        assert_eq!(read(&format!("linux_{architecture}/target")), expected);
    }
    for same in ["id", "ran", "f"] {
        assert_eq!(read(&format!("linux_amd64/{same}")), read(&format!("linux_arm64/{same}")), "{same}");
    }
    // The archive is one index, from which the engine takes what is for it.
    let layout = daemon.folder.join("layout");
    let oci = format!("type=oci,tar=false,dest={}", layout.display());
    let again = daemon.build(&folder, &["--platform=linux/amd64", "--platform=linux/arm64", "-o", &oci]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    let document = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let index = document(&layout.join("index.json"));
    let digest = index["manifests"][0]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let inner = document(&layout.join("blobs/sha256").join(&digest));
    let platforms: Vec<_> =
        inner["manifests"].as_array().unwrap().iter().map(|entry| entry["platform"].clone()).collect();
    assert_eq!(
        platforms,
        [json!({"os": "linux", "architecture": "amd64"}), json!({"os": "linux", "architecture": "arm64"})]
    );
    assert!(daemon.run(&["load", "-i", tar.to_str().unwrap()]).contains("multi:1"));
    assert_eq!(daemon.run(&["image", "inspect", "-f", "{{.Os}}/{{.Architecture}}", "multi:1"]), native);
    // The engine itself keeps one image under a name.
    let refused = daemon.build(&folder, &["--platform", "linux/amd64,linux/arm64", "-t", "multi:2"]);
    assert!(
        refused.stderr.starts_with("ERROR: failed to build: Multi-platform build is not supported"),
        "{}",
        refused.stderr
    );
    assert_ne!(daemon.wharf(&["image", "inspect", "multi:2"]).code, 0);
}

#[test]
fn an_index_is_pushed() {
    let daemon = TestDaemon::start("buildindex");
    let registry = Registry::start(&daemon.folder);
    let name = format!("{}/group/multi:1", registry.address);
    let folder = daemon.context(PLATFORMS, &[("f", "x")]);
    let metadata = daemon.folder.join("metadata.json");
    let built = daemon.build(
        &folder,
        &[
            "--platform",
            "linux/amd64,linux/arm64",
            "-t",
            &name,
            "--push",
            "--metadata-file",
            metadata.to_str().unwrap(),
        ],
    );
    assert_eq!(built.code, 0, "{}", built.stderr);
    let metadata: Value = serde_json::from_slice(&fs::read(metadata).unwrap()).unwrap();
    assert_eq!(metadata, json!({"containerimage.digest": registry.digest(&name), "image.name": name}));
    for architecture in ["arm64", "amd64"] {
        daemon.run(&["pull", "-q", "--platform", &format!("linux/{architecture}"), &name]);
        assert_eq!(daemon.run(&["image", "inspect", "-f", "{{.Architecture}}", &name]), architecture);
    }
    let nameless = daemon.build(&folder, &["--platform", "linux/amd64,linux/arm64", "--push"]);
    assert_eq!(nameless.stderr, "ERROR: failed to build: tag is needed when pushing to registry\n");
}

#[test]
fn what_cannot_run_here_is_told_before_anything_is_done() {
    let daemon = TestDaemon::start("buildforeign");
    let base = daemon.context("FROM scratch\nCOPY f /f\n", &[("f", "x")]);
    assert_eq!(daemon.build(&base, &["--platform", "linux/s390x", "-t", "foreign"]).code, 0);
    let text = "FROM --platform=$BUILDPLATFORM busybox AS first\nRUN sleep 1\nFROM foreign AS last\nCOPY --from=first /bin/sh /bin/sh\nRUN make\n";
    let folder = daemon.context(text, &[]);
    let failed = daemon.build(&folder, &["--platform", "linux/s390x"]);
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    let reason = "[last 3/3] RUN make: cannot run programs for linux/s390x on this host: no emulator for s390x is \
                  registered with the kernel (binfmt_misc)";
    assert!(failed.stderr.contains(reason), "{}", failed.stderr);
    assert!(!failed.stderr.contains("sleep 1"), "{}", failed.stderr);
}

#[test]
fn results_go_to_several_places() {
    let daemon = TestDaemon::start("buildouts");
    let folder = daemon.context("FROM scratch\nCOPY f /f\n", &[("f", "x")]);
    let path = |name: &str| daemon.folder.join(name).display().to_string();
    let built = daemon.build(
        &folder,
        &[
            "-o",
            &path("out"),
            "-o",
            &format!("type=tar,dest={}", path("out.tar")),
            "-o",
            "type=image,name=named:1",
            "--metadata-file",
            &path("metadata"),
            "-t",
            "other",
        ],
    );
    assert_eq!(built.code, 0, "{}", built.stderr);
    assert_eq!(fs::read_to_string(daemon.folder.join("out/f")).unwrap(), "x");
    let mut archive = tar::Archive::new(fs::File::open(path("out.tar")).unwrap());
    assert_eq!(archive.entries().unwrap().count(), 1);
    let image = id(&daemon, "named:1");
    assert_eq!(id(&daemon, "other"), image);
    let metadata: Value = serde_json::from_slice(&fs::read(path("metadata")).unwrap()).unwrap();
    assert_eq!(
        metadata,
        json!({
            "containerimage.config.digest": image,
            "containerimage.digest": image,
            "image.name": "docker.io/library/other,docker.io/library/named:1",
        })
    );
    let refused = daemon.build(&folder, &["-o", &path("out"), "--iidfile", &path("iid")]);
    assert_eq!(refused.stderr, "ERROR: local and tar exporters are incompatible with image ID file\n");
    // An archive alone leaves nothing in the engine.
    let oci = format!("type=oci,dest={}", path("oci.tar"));
    assert_eq!(daemon.build(&folder, &["-o", &oci, "-t", "away"]).code, 0);
    assert_ne!(daemon.wharf(&["image", "inspect", "away"]).code, 0);
    assert!(daemon.run(&["load", "-i", &path("oci.tar")]).contains("away"));
}

#[test]
fn a_dockerfile_is_asked_about() {
    let daemon = TestDaemon::start("buildcall");
    let text = "# V says which\nARG V=1\n# base is the base\nFROM busybox AS Base\nARG V FOO\n\
                RUN --mount=type=secret,id=tok true\nFROM base\nRUN --mount=type=ssh,id=k,required true\n";
    let folder = daemon.context(text, &[]);
    let call = |args: &[&str]| {
        let output = daemon.wharf(&[&["build", "--call"], args, &[folder.to_str().unwrap()]].concat());
        (output.code, output.stdout)
    };
    let outline = "BUILD ARG   VALUE   DESCRIPTION\nV           1       says which\nFOO                 \n\n\
                   SECRET   REQUIRED\ntok      \n\nSSH   REQUIRED\nk     true\n\n";
    assert_eq!(call(&["outline"]), (0, outline.to_owned()));
    let targets = "TARGET    DESCRIPTION\nbase      is the base\n(default) \n";
    assert_eq!(call(&["targets"]), (0, targets.to_owned()));
    let (code, text) = call(&["targets,format=json"]);
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &found["targets"][0]["base"]), (0, &json!("busybox")));
    assert_eq!(found["targets"][1]["location"]["ranges"][0]["start"]["line"], 7);
    let check = "Check complete, 1 warning has been found!\n\nWARNING: StageNameCasing - \
                 https://docs.docker.com/go/dockerfile/rule/stage-name-casing/\nStage name 'Base' should be lowercase\n\
                 Dockerfile:4\n--------------------\n";
    let (code, text) = call(&["check"]);
    assert!(code == 1 && text.starts_with(check), "{text}");
    let (code, text) = call(&["check,format=json"]);
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &found["warnings"][0]["ruleName"]), (1, &json!("StageNameCasing")));
    assert_eq!(call(&["bogus"]).0, 1);
}

#[test]
fn the_cache_is_listed_and_pruned_by_rules() {
    let daemon = TestDaemon::start("buildrules");
    let text = |size: u32, name: &str| {
        format!("FROM busybox\nRUN dd if=/dev/zero of=/{name} bs=1024 count={size}\n")
    };
    for (size, name) in [(100, "a"), (200, "b"), (300, "c")] {
        let folder = daemon.context(&text(size, name), &[]);
        assert_eq!(daemon.build(&folder, &["-o", "type=cacheonly"]).code, 0);
    }
    let mount =
        "FROM busybox\nRUN --mount=type=cache,target=/m,id=mine dd if=/dev/zero of=/m/z bs=1024 count=50\n";
    assert_eq!(daemon.build(&daemon.context(mount, &[]), &["-o", "type=cacheonly"]).code, 0);
    let count = |filter: &[&str]| {
        let rows = daemon
            .run(&[&["builder", "du", "--format", "{{.Type}} {{.Size}} {{.Description}}"], filter].concat());
        rows.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(count(&["--filter", "type=exec.cachemount"]), ["exec.cachemount 51.2kB cached mount mine"]);
    assert_eq!(count(&["--filter", "description=of=/b"]).len(), 1);
    assert!(daemon.run(&["builder", "du", "--verbose"]).contains("\nDescription:  cached mount mine\n"));
    let prune = |args: &[&str]| daemon.run(&[&["builder", "prune", "-f"], args].concat());
    // So much is free: nothing has to go.
    assert!(prune(&["--min-free-space", "1"]).ends_with("Total:\t0B"));
    assert!(prune(&["--filter", "until=24h"]).ends_with("Total:\t0B"));
    assert!(prune(&["--reserved-space", "10gb"]).ends_with("Total:\t0B"));
    // The oldest go until little enough is left, but what is reserved stays.
    assert!(prune(&["--max-used-space", "400kb", "--reserved-space", "10gb"]).ends_with("Total:\t0B"));
    let gone = prune(&["--max-used-space", "400kb"]);
    assert!(gone.ends_with("Total:\t307.2kB"), "{gone}");
    assert_eq!(gone.lines().count(), 4, "{gone}");
    assert!(prune(&["--filter", "type=exec.cachemount", "--verbose"]).contains("cached mount mine\n"));
    assert_eq!(count(&["--filter", "type=exec.cachemount"]), [""; 0]);
    let refused = daemon.wharf(&["builder", "prune", "-f", "--filter", "bogus=x"]);
    assert_eq!(refused.stderr, "Error response from daemon: invalid filter 'bogus'\n");
    assert_eq!(daemon.wharf(&["builder", "du", "--filter", "bogus=x"]).code, 1);
    prune(&["-a"]);
    assert_eq!(count(&[]), [""; 0]);
}

/// The JSON documents of an image layout by their media types.
fn documents(layout: &Path) -> Vec<Value> {
    let read = |path: &Path| serde_json::from_slice::<Value>(&fs::read(path).ok()?).ok();
    let mut found = vec![read(&layout.join("index.json")).unwrap()];
    let mut at = 0;
    while let Some(document) = found.get(at).cloned() {
        for entry in document["manifests"].as_array().into_iter().flatten() {
            let digest = entry["digest"].as_str().unwrap().replace(':', "/");
            found.extend(read(&layout.join("blobs").join(digest)));
        }
        at += 1;
    }
    found
}

#[test]
fn annotations_are_where_they_belong() {
    let daemon = TestDaemon::start("annotate");
    let registry = Registry::start(&daemon.folder);
    let folder = daemon.context("FROM busybox\nCOPY Dockerfile /x\n", &[]);
    let layout = daemon.folder.join("layout");
    let to_layout = format!("type=oci,tar=false,dest={}", layout.display());
    let one = [
        "--annotation",
        "a=b",
        "--annotation",
        "manifest-descriptor:c=d",
        "--annotation",
        "manifest[linux/s390x]:e=f",
    ];
    let built = daemon.build(&folder, &[&one[..], &["-o", &to_layout]].concat());
    assert_eq!(built.code, 0, "{}", built.stderr);
    let found = documents(&layout);
    assert_eq!(found[0]["manifests"][0]["annotations"]["c"], "d");
    assert_eq!(found[1]["annotations"], json!({"a": "b"}));
    fs::remove_dir_all(&layout).unwrap();
    let several = [
        "--platform=linux/amd64,linux/arm64",
        "--annotation=index,index-descriptor:i=j",
        "--annotation=manifest[linux/arm64]:a=b",
    ];
    let base = daemon.context("FROM scratch\nCOPY Dockerfile /x\n", &[]);
    let built = daemon.build(&base, &[&several[..], &["-o", &to_layout]].concat());
    assert_eq!(built.code, 0, "{}", built.stderr);
    let found = documents(&layout);
    assert_eq!(found[0]["manifests"][0]["annotations"]["i"], "j");
    assert_eq!(found[1]["annotations"]["i"], "j");
    assert_eq!((&found[2]["annotations"]["a"], &found[3]["annotations"]["a"]), (&Value::Null, &"b".into()));
    let folder = daemon.context("FROM busybox\nCOPY Dockerfile /x\n", &[]);
    // A registry's manifest has them, the engine's own store has no place for them.
    let name = format!("{}/annotated:1", registry.address);
    let built = daemon.build(&folder, &["--annotation", "a=b", "--push", "-t", &name]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    let mut skopeo = std::process::Command::new("skopeo");
    skopeo.args(["inspect", "--raw", "--tls-verify=false"]).arg(format!("docker://{name}"));
    let manifest: Value = serde_json::from_slice(&skopeo.output().unwrap().stdout).unwrap();
    assert_eq!(manifest["annotations"]["a"], "b");
    assert_eq!(daemon.run(&["run", "--rm", &name, "cat", "/x"]).lines().count(), 2);
    assert_eq!(daemon.build(&folder, &["--annotation", "a=b", "-t", "local"]).code, 0);
    for (annotation, reason) in [
        ("index:a=b", "index annotations not supported for single platform export"),
        ("foo:a=b", "parse annotations: unknown annotation type \"foo\""),
        ("ab", "parse annotations: invalid annotation \"ab\", expected key=value"),
    ] {
        let refused = daemon.build(&folder, &["--annotation", annotation]);
        assert_eq!(refused.stderr, format!("ERROR: failed to build: {reason}\n"));
    }
}
