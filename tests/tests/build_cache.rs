//! Caches that builds share by a registry, a folder or an image.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use wharf_tests::{Output, Registry, TestDaemon, sha256};

/// Two stages: what only the first has is not part of the image.
const TEXT: &str = "FROM busybox AS first\nRUN cat /proc/sys/kernel/random/uuid >/id; echo big >/only-here\n\
    RUN cp /id /result\nFROM busybox\nCOPY --from=first /result /result\nRUN cat /result >/copy\nCOPY f /f\n";

const FILES: &[(&str, &str)] = &[("f", "file\n")];

fn build(daemon: &TestDaemon, folder: &Path, args: &[&str]) -> Output {
    let built = daemon.build(folder, args);
    assert_eq!(built.code, 0, "{}\n{}", built.stderr, daemon.log());
    built
}

fn cached(output: &Output) -> usize {
    output.stderr.lines().filter(|line| line.ends_with(" CACHED")).count()
}

fn layers(daemon: &TestDaemon, name: &str) -> String {
    daemon.run(&["image", "inspect", "-f", "{{json .RootFS.Layers}}", name])
}

/// Whether a layer of the first stage was fetched.
fn knows_first_stage(daemon: &TestDaemon) -> bool {
    let snapshots = daemon.data().join("snapshots");
    let entries = fs::read_dir(snapshots).unwrap().flatten();
    entries.map(|entry| entry.path().join("diff/only-here")).any(|path| path.exists())
}

#[test]
fn a_registry_has_the_whole_cache() {
    let (one, two) = (TestDaemon::start("cacheone"), TestDaemon::start("cachetwo"));
    let registry = Registry::start(&one.folder);
    let cache = format!("{}/cache:x", registry.address);
    let folder = one.context(TEXT, FILES);
    let exported =
        build(&one, &folder, &["-t", "a", "--cache-to", &format!("type=registry,ref={cache},mode=max")]);
    for part in
        ["exporting cache to registry", "writing layer sha256:", "writing cache image manifest sha256:"]
    {
        assert!(exported.stderr.contains(part), "{part} in {}", exported.stderr);
    }
    let imported = build(&two, &folder, &["-t", "a", "--cache-from", &cache]);
    assert_eq!(cached(&imported), 5, "{}", imported.stderr);
    assert!(imported.stderr.contains(&format!("importing cache manifest from {cache}\n")));
    assert_eq!(layers(&one, "a"), layers(&two, "a"));
    assert!(!knows_first_stage(&two), "nobody needs the layers of the first stage");
    assert_eq!(two.run(&["run", "--rm", "a", "cat", "/f"]), "file");
    // What the final stage has is this engine's own now; what it only knew is not.
    assert_eq!(cached(&build(&two, &folder, &["--cache-from", &cache])), 5);
    // A step on top of the first stage needs its layers, and nothing needs to be done again.
    let more = format!("{TEXT}FROM first\nRUN cat /id /only-here >/more\n");
    fs::write(folder.join("Dockerfile"), more).unwrap();
    let fetched = build(&two, &folder, &["-t", "b", "--cache-from", &cache]);
    assert_eq!(cached(&fetched), 2, "{}", fetched.stderr);
    assert!(knows_first_stage(&two));
    let ids = two.run(&["run", "--rm", "b", "cat", "/id", "/result"]);
    assert_eq!(ids, one.run(&["run", "--rm", "a", "cat", "/result", "/result"]));
    assert_eq!(two.run(&["system", "check"]), one.run(&["system", "check"]));
}

#[test]
fn a_small_cache_knows_the_steps_it_has_no_layers_of() {
    let (one, two) = (TestDaemon::start("cachemin"), TestDaemon::start("cachemi2"));
    let registry = Registry::start(&one.folder);
    let cache = format!("{}/cache", registry.address);
    let to = format!("type=registry,ref={cache},image-manifest=false");
    let folder = one.context(TEXT, FILES);
    build(&one, &folder, &["-t", "a", "--cache-to", &to]);
    let imported = build(&two, &folder, &["-t", "a", "--cache-from", &format!("type=registry,ref={cache}")]);
    assert_eq!(cached(&imported), 5, "{}", imported.stderr);
    assert_eq!(layers(&one, "a"), layers(&two, "a"));
    assert!(!knows_first_stage(&two));
    // Something new of the first stage: its steps are done after all.
    let changed = TEXT.replace("/result /result", "/only-here /result");
    fs::write(folder.join("Dockerfile"), changed).unwrap();
    let redone = build(&two, &folder, &["-t", "b", "--cache-from", &cache]);
    assert!(redone.stderr.matches("RUN cat /proc/sys/kernel/random/uuid").count() >= 2, "{}", redone.stderr);
    assert_eq!(two.run(&["run", "--rm", "b", "cat", "/result", "/f"]), "big\nfile");
}

#[test]
fn an_image_has_its_own_cache() {
    let (one, two) = (TestDaemon::start("cacheinl"), TestDaemon::start("cachein2"));
    let registry = Registry::start(&one.folder);
    let name = format!("{}/app:1", registry.address);
    let folder = one.context(TEXT, FILES);
    build(&one, &folder, &["-t", &name, "--cache-to", "type=inline", "--push"]);
    let imported = build(&two, &folder, &["-t", &name, "--cache-from", &name]);
    assert_eq!(cached(&imported), 5, "{}", imported.stderr);
    assert_eq!(layers(&one, &name), layers(&two, &name));
    assert!(!knows_first_stage(&two));
    // Without a registry: the image is here, but the cache is not.
    one.run(&["builder", "prune", "-af"]);
    drop(registry);
    let local = build(&one, &folder, &["--cache-from", &name]);
    assert_eq!(cached(&local), 5, "{}", local.stderr);
}

#[test]
fn a_folder_has_the_whole_cache() {
    let (one, two) = (TestDaemon::start("cachefol"), TestDaemon::start("cachefo2"));
    let folder = one.context(TEXT, FILES);
    let cache = one.folder.join("cache");
    let (to, from) = (
        format!("type=local,dest={},mode=max", cache.display()),
        format!("type=local,src={}", cache.display()),
    );
    build(&one, &folder, &["-t", "a", "--cache-to", &to]);
    assert!(cache.join("oci-layout").exists());
    for blob in fs::read_dir(cache.join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap();
        let name = blob.file_name().into_string().unwrap();
        assert_eq!(sha256(&fs::read(blob.path()).unwrap()), format!("sha256:{name}"));
    }
    let imported = build(&two, &folder, &["-t", "a", "--cache-from", &from, "--output", "type=cacheonly"]);
    assert_eq!(cached(&imported), 5, "{}", imported.stderr);
    assert!(!two.log().contains("ingest"), "{}", two.log());
    assert_eq!(cached(&build(&two, &folder, &["-t", "a", "--cache-from", &from])), 5);
    assert_eq!(layers(&one, "a"), layers(&two, "a"));
    assert!(!knows_first_stage(&two));
}

#[test]
fn a_bad_cache_is_no_reason_to_fail() {
    let (one, two) = (TestDaemon::start("cachebad"), TestDaemon::start("cacheba2"));
    let folder = one.context(TEXT, FILES);
    let cache = one.folder.join("cache");
    let (to, from) = (
        format!("type=local,dest={},mode=max", cache.display()),
        format!("type=local,src={}", cache.display()),
    );
    build(&one, &folder, &["-t", "a", "--cache-to", &to]);
    let missing =
        build(&two, &folder, &["--cache-from", "type=local,src=/no/where", "--cache-from", "127.0.0.1:1/x"]);
    assert!(
        missing
            .stderr
            .contains("WARNING: local cache import at /no/where not found due to err: could not lock"),
        "{}",
        missing.stderr
    );
    assert!(
        missing.stderr.contains("ERROR: failed to configure registry cache importer: ")
            && missing.stderr.contains("------\n > importing cache manifest from 127.0.0.1:1/x:\n------\n"),
        "{}",
        missing.stderr
    );
    two.run(&["builder", "prune", "-af"]);
    // Layers that are not what their digests say: all is built.
    let blobs = fs::read_dir(cache.join("blobs/sha256")).unwrap().map(|blob| blob.unwrap().path());
    let layers: Vec<PathBuf> =
        blobs.filter(|path| fs::read(path).unwrap().starts_with(b"\x1f\x8b")).collect();
    assert!(layers.len() >= 5);
    for layer in &layers {
        fs::write(layer, wharf_tests::busybox_tar()).unwrap();
    }
    let rebuilt = build(&two, &folder, &["-t", "a", "--cache-from", &from]);
    assert!(rebuilt.stderr.contains("fetching cached layers from local:0\n"), "{}", rebuilt.stderr);
    assert_eq!(two.run(&["run", "--rm", "a", "cat", "/f"]), "file");
    assert!(!two.run(&["run", "--rm", "a", "cat", "/copy"]).is_empty());
    two.run(&["builder", "prune", "-af"]);
    // Documents that are not what their digests say, or claim to be giant.
    let index = fs::read_to_string(cache.join("index.json")).unwrap();
    let digest = index.split("\"digest\":\"sha256:").nth(1).unwrap()[..64].to_owned();
    let manifest = cache.join("blobs/sha256").join(&digest);
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replacen("sha256:", "sha256:0", 1)).unwrap();
    let refused = build(&two, &folder, &["--cache-from", &from]);
    assert!(refused.stderr.contains("is not what its digest says"), "{}", refused.stderr);
    let size = index.split("\"size\":").nth(1).unwrap().split([',', '}']).next().unwrap().to_owned();
    fs::write(cache.join("index.json"), index.replace(&size, "99999999999")).unwrap();
    let refused = build(&two, &folder, &["--cache-from", &from]);
    assert!(refused.stderr.contains("exceeds the limit"), "{}", refused.stderr);
}

#[test]
fn secrets_are_in_no_cache() {
    let daemon = TestDaemon::start("cachesec");
    let registry = Registry::start(&daemon.folder);
    let text = "FROM busybox\nRUN --mount=type=secret,id=s --mount=type=secret,id=e,env=E \
        test -s /run/secrets/s && test -n \"$E\" && echo done >/done\n";
    let folder = daemon.context(text, FILES);
    let secret = daemon.folder.join("secret");
    fs::write(&secret, "GEHEIMNIS-OF-FILE").unwrap();
    let cache = daemon.folder.join("cache");
    let reference = format!("{}/sec:1", registry.address);
    let mut command = daemon.command(&["build", "--progress", "plain", "-t", &reference, "--push"]);
    command.args(["--secret", &format!("id=s,src={}", secret.display()), "--secret", "id=e,env=THE_SECRET"]);
    command.args(["--cache-to", &format!("type=local,dest={},mode=max", cache.display())]);
    command.args(["--cache-to", &format!("type=registry,ref={}/sec:cache,mode=max", registry.address)]);
    command.args(["--cache-to", "type=inline"]).arg(&folder).env("THE_SECRET", "GEHEIMNIS-OF-VARIABLE");
    let built = Output::from(command.output().unwrap());
    assert_eq!(built.code, 0, "{}", built.stderr);
    fs::remove_file(&secret).unwrap();
    daemon.run(&["save", "-o", daemon.folder.join("saved.tar").to_str().unwrap(), &reference]);
    assert!(!built.stderr.contains("GEHEIMNIS"), "{}", built.stderr);
    let mut seen = 0;
    let mut folders = vec![daemon.folder.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let mut bytes = fs::read(entry.path()).unwrap();
                if bytes.starts_with(b"\x1f\x8b") {
                    let unpacked =
                        std::process::Command::new("gzip").arg("-dc").arg(entry.path()).output().unwrap();
                    bytes = unpacked.stdout;
                }
                seen += 1;
                let leaked = bytes.windows(9).any(|window| window == b"GEHEIMNIS");
                assert!(!leaked, "{}", entry.path().display());
            }
        }
    }
    assert!(seen > 20);
}

#[test]
fn layers_of_base_images_are_fetched_when_something_needs_them() {
    let (one, two) = (TestDaemon::start("cachebas"), TestDaemon::start("cacheba3"));
    let registry = Registry::start(&one.folder);
    let name = |name: &str| format!("{}/{name}:1", registry.address);
    let (tools, small, cache) = (name("tools"), name("small"), name("cache"));
    for (base, text) in
        [(&tools, "FROM busybox\nRUN echo tool >/only-here\n"), (&small, "FROM busybox\nENV A=b\n")]
    {
        build(&one, &one.context(text, FILES), &["-t", base, "--push"]);
    }
    let text =
        format!("FROM {tools} AS make\nRUN cat /only-here >/out\nFROM {small}\nCOPY --from=make /out /out\n");
    let folder = one.context(&text, FILES);
    build(&one, &folder, &["--cache-to", &format!("type=registry,ref={cache},mode=max")]);
    let cached_all = build(&two, &folder, &["-t", "a", "--cache-from", &cache]);
    assert_eq!(cached(&cached_all), 2, "{}", cached_all.stderr);
    assert!(
        cached_all.stderr.contains(&format!("[internal] load metadata for {tools}\n")),
        "{}",
        cached_all.stderr
    );
    assert!(!knows_first_stage(&two), "nothing runs on top of it");
    assert_eq!(two.run(&["run", "--rm", "a", "sh", "-c", "cat /out; echo $A"]), "tool\nb");
    assert_eq!(two.run(&["images", "-q", &tools]), "");
    assert_ne!(two.run(&["images", "-q", &small]), "");
    // A step on top of the other one needs it.
    fs::write(folder.join("Dockerfile"), text.replace("cat /only-here", "cat /only-here /only-here"))
        .unwrap();
    let fetched = build(&two, &folder, &["-t", "a", "--cache-from", &cache]);
    assert!(knows_first_stage(&two) && cached(&fetched) == 0, "{}", fetched.stderr);
    for part in [format!("resolve {tools}@sha256:"), "extracting sha256:".to_owned()] {
        assert!(fetched.stderr.contains(&part), "{part} in {}", fetched.stderr);
    }
    // Without a cache it is fetched at once.
    let three = TestDaemon::start("cacheba4");
    let plain = build(&three, &folder, &["-t", "a"]);
    assert_eq!(plain.stderr.matches(" FROM ").count(), 2, "{}", plain.stderr);
    assert!(plain.stderr.contains("extracting sha256:"), "{}", plain.stderr);
    assert_eq!(three.run(&["run", "--rm", "a", "cat", "/out"]), "tool\ntool");
    let missing = format!("FROM {}\n", name("none"));
    fs::write(folder.join("Dockerfile"), missing).unwrap();
    let failed = three.wharf(&["build", "--progress", "plain", folder.to_str().unwrap()]);
    assert!(failed.code == 1 && failed.stderr.contains("load metadata for"), "{}", failed.stderr);
}
