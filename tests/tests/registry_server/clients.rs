//! Other programs, and wharf itself, against the registry.

use std::{fs, process::Command, sync::Barrier};

use wharf_tests::{Archive, Oracle, Output, TestDaemon, until};

use crate::{
    auth,
    server::{Server, noise},
};

fn skopeo(args: &[&str]) -> String {
    let output = Command::new("skopeo").arg("--insecure-policy").args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn skopeo_pushes_lists_copies_and_deletes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&["--delete"]);
    let archive = folder.path().join("image.tar");
    fs::write(&archive, Archive::busybox("by skopeo").to_tar("x:latest")).unwrap();
    let from = format!("docker-archive:{}", archive.display());
    let at = |name: &str| format!("docker://{}/{name}", server.address);
    for format in ["v2s2", "oci"] {
        skopeo(&[
            "copy",
            "--dest-tls-verify=false",
            "--format",
            format,
            &from,
            &at(&format!("app:{format}")),
        ]);
    }
    let listed = skopeo(&["list-tags", "--tls-verify=false", &at("app")]);
    assert!(listed.contains("\"oci\"") && listed.contains("\"v2s2\""), "{listed}");
    let (source, destination) = ("--src-tls-verify=false", "--dest-tls-verify=false");
    skopeo(&["copy", source, destination, &at("app:oci"), &at("other/app:oci")]);
    let layout = format!("oci:{}:x", folder.path().join("layout").display());
    skopeo(&["copy", source, &at("other/app:oci"), &layout]);
    skopeo(&["delete", "--tls-verify=false", &at("app:v2s2")]);
    assert_eq!(server.get("/v2/app/manifests/v2s2").status, 404);
    assert_eq!(server.get("/v2/app/manifests/oci").status, 200);
}

#[test]
fn many_clients_at_once_take_little_memory() {
    const CLIENTS: usize = 64;
    let server = Server::start(&[]);
    let blobs: Vec<Vec<u8>> = (0..CLIENTS).map(|client| noise((4 << 20) + client)).collect();
    let all_at_once = Barrier::new(CLIENTS);
    std::thread::scope(|scope| {
        for blob in &blobs {
            scope.spawn(|| {
                all_at_once.wait();
                let digest = server.blob("many", blob);
                all_at_once.wait();
                let answer = server.get(&format!("/v2/many/blobs/{digest}"));
                assert!(answer.status == 200 && answer.body == *blob);
            });
        }
    });
    let peak = server.peak_memory();
    assert!(peak < 64 << 10, "{peak} KiB");
}

#[test]
fn the_embedded_image_is_a_registry() {
    let daemon = TestDaemon::start("regimage");
    let data = daemon.folder.join("data");
    let volume = format!("{}:/var/lib/registry", data.display());
    fs::create_dir_all(&data).unwrap();
    // There is no network in which another could be found; a registry that answers would win.
    let id =
        daemon.run(&["run", "-d", "-e", "REGISTRY_STORAGE_DELETE_ENABLED=true", "-v", &volume, "registry:2"]);
    let address = daemon.run(&["inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", &id]);
    let address = format!("{address}:5000");
    let answers = || wharf_tests::http_get(&*address, "/v2/").is_ok_and(|body| body == "{}");
    assert!(until(std::time::Duration::from_secs(20), answers), "{}", daemon.run(&["logs", &id]));
    let archive = daemon.folder.join("image.tar");
    fs::write(&archive, Archive::busybox("pushed").to_tar("x:latest")).unwrap();
    let from = format!("docker-archive:{}", archive.display());
    skopeo(&["copy", "--dest-tls-verify=false", &from, &format!("docker://{address}/app:v1")]);
    assert!(data.join("docker/registry/v2/repositories/app/_manifests/tags/v1/current/link").exists());
    // As people collect garbage in the reference image.
    let said = daemon.run(&["exec", &id, "registry", "garbage-collect", "/etc/docker/registry/config.yml"]);
    assert!(said.starts_with("removed 0 blobs"), "{said}");
    assert_eq!(daemon.run(&["inspect", "-f", "{{.Config.ExposedPorts}}", &id]), "map[5000/tcp:{}]");
    // It knows whom to trust when it is to fetch from others.
    let authorities = "/etc/ssl/certs/ca-certificates.crt";
    if let Ok(ours) = fs::read(authorities) {
        let copy = daemon.folder.join("authorities");
        daemon.run(&["cp", &format!("{id}:{authorities}"), copy.to_str().unwrap()]);
        assert!(fs::read(copy).unwrap() == ours);
    }
}

/// An engine with the image `app` of the server, which prints `greeting`; the digest of its manifest there.
fn pushed(daemon: &TestDaemon, server: &Server, greeting: &str) -> String {
    let (archive, name) = (daemon.folder.join("image.tar"), format!("{}/app:1", server.address));
    fs::write(&archive, Archive::busybox(greeting).to_tar(&name)).unwrap();
    daemon.run(&["load", "-q", "-i", archive.to_str().unwrap()]);
    daemon.run(&["push", "-q", &name]);
    server.digest("app")
}

/// What of an image that another client pushed this engine sees: it is pulled and run.
fn arrives(daemon: &TestDaemon, server: &Server, name: &str, digest: &str, command: &[&str]) -> String {
    assert_eq!(server.digest(name), digest, "{name}");
    let image = format!("{}/{name}:1", server.address);
    daemon.run(&["pull", "-q", &image]);
    let digests = daemon.run(&["inspect", "-f", "{{.RepoDigests}}", &image]);
    assert!(digests.contains(&format!("{}/{name}@{digest}", server.address)), "{digests}");
    daemon.run(&[&["run", "--rm", &image], command].concat())
}

#[test]
fn docker_pulls_and_pushes() {
    let Some(oracle) = Oracle::find("docker") else { return };
    let (server, daemon) = (Server::start(&[]), TestDaemon::start("ordocker"));
    let digest = pushed(&daemon, &server, "for docker");
    let (ours, theirs) = (format!("{}/app:1", server.address), format!("{}/by/docker:1", server.address));
    let said = oracle.docker(&["pull", &ours]).ok();
    assert!(said.contains(&format!("Digest: {digest}")), "{said}");
    assert_eq!(oracle.docker(&["run", "--rm", &ours]).ok(), "for docker");
    let id = oracle.docker(&["inspect", "-f", "{{.Id}}", &ours]).ok();
    assert_eq!(daemon.run(&["inspect", "-f", "{{.Id}}", &ours]), id);
    oracle.docker(&["tag", &ours, &theirs]).ok();
    let said = oracle.docker(&["push", &theirs]).ok();
    oracle.docker(&["rmi", &ours, &theirs]).ok();
    assert!(said.contains("Mounted from app") && said.contains(&digest), "{said}");
    assert_eq!(arrives(&daemon, &server, "by/docker", &digest, &[]), "for docker");
}

#[test]
fn podman_and_buildah_pull_and_push() {
    let Some(oracle) = Oracle::find("podman") else { return };
    let (server, daemon) = (Server::start(&[]), TestDaemon::start("orpodman"));
    let digest = pushed(&daemon, &server, "for podman");
    let said = oracle.script(&format!(
        "at={} options='--root {1}/root --runroot {1}/run --storage-driver vfs'; tls=--tls-verify=false
         podman $options pull -q $tls $at/app:1 >/dev/null
         podman $options images --format '{{{{.Digest}}}}'
         podman $options tag $at/app:1 $at/by/podman:1
         podman $options push -q $tls --digestfile digest $at/by/podman:1; cat digest; echo
         container=$(buildah $options from --pull=never $at/app:1)
         buildah $options config --label by=buildah $container
         buildah $options commit -q $container $at/by/buildah:1 >/dev/null
         buildah $options push -q $tls --digestfile digest $at/by/buildah:1; cat digest",
        server.address,
        oracle.folder.display()
    ));
    let digests: Vec<&str> = said.lines().collect();
    assert_eq!(digests[0], digest);
    assert_eq!(arrives(&daemon, &server, "by/podman", digests[1], &[]), "for podman");
    assert_eq!(arrives(&daemon, &server, "by/buildah", digests[2], &[]), "for podman");
    let image = format!("{}/by/buildah:1", server.address);
    assert_eq!(daemon.run(&["inspect", "-f", "{{.Config.Labels.by}}", &image]), "buildah");
}

#[test]
fn umoci_changes_what_it_pulled() {
    let Some(oracle) = Oracle::find("umoci") else { return };
    let (server, daemon) = (Server::start(&[]), TestDaemon::start("orumoci"));
    pushed(&daemon, &server, "for umoci");
    oracle.script(&format!(
        "at={}
         skopeo --insecure-policy copy -q --src-tls-verify=false docker://$at/app:1 oci:layout:before
         umoci unpack --image layout:before bundle
         echo changed >bundle/rootfs/etc/new
         umoci repack --image layout:after bundle
         skopeo --insecure-policy copy -q --dest-tls-verify=false oci:layout:after docker://$at/by/umoci:1",
        server.address
    ));
    let digest = server.digest("by/umoci");
    assert_eq!(arrives(&daemon, &server, "by/umoci", &digest, &["cat", "/etc/new"]), "changed");
}

#[test]
fn oras_keeps_artifacts_and_what_refers_to_them() {
    let Some(oracle) = Oracle::find("oras") else { return };
    let server = Server::start(&["--delete"]);
    let said = oracle.script(&format!(
        "at={}; plain=--plain-http; echo content >file
         oras push $plain $at/art:1 file:text/plain >/dev/null
         oras attach $plain --artifact-type test/signature $at/art:1 file:text/plain >/dev/null
         oras discover $plain --format json $at/art:1 | jq -r '(.referrers // .manifests)[0].artifactType'
         oras cp --recursive --from-plain-http --to-plain-http $at/art:1 $at/copy:2 >/dev/null
         oras pull $plain --output out $at/copy:2 >/dev/null; cat out/file
         oras discover $plain --format json $at/copy:2 | jq -r '(.referrers // .manifests)[0].digest'
         oras resolve $plain $at/art:1; oras resolve $plain $at/copy:2
         oras repo tags $plain $at/copy; oras manifest delete $plain --force $at/copy:2 >/dev/null",
        server.address
    ));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines[0], lines[1], lines[5]), ("test/signature", "content", "2"), "{said}");
    assert_eq!(lines[3], lines[4]);
    assert_eq!(server.digest("art"), lines[3]);
    assert_eq!(server.get(&format!("/v2/copy/manifests/{}", lines[2])).status, 200);
    server.get("/v2/copy/manifests/2").refused(404, "MANIFEST_UNKNOWN");
}

/// Docker's library for Python, from the package index or from Debian.
fn with_docker_py(script: &str, daemon: &TestDaemon, server: &Server) -> String {
    let has = |python: &&str| {
        let output = Command::new(python).args(["-c", "import docker"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let python =
        ["python3", "/usr/bin/python3"].into_iter().find(has).expect("the tests need python3-docker");
    let mut command = Command::new(python);
    command.args(["-c", script]).env("DOCKER_HOST", daemon.host()).env("REGISTRY", &server.address);
    command.env("FOLDER", &daemon.folder).env("DOCKER_CONFIG", daemon.folder.join(".docker"));
    Output::from(command.output().unwrap()).ok()
}

#[test]
fn docker_py_pulls_and_pushes() {
    let (server, daemon) = (Server::start(&[]), TestDaemon::start("dockerpy"));
    let digest = pushed(&daemon, &server, "for python");
    let script = r#"
import docker, os
at = os.environ['REGISTRY']
client = docker.from_env()
client.images.remove(at + '/app:1')
image = client.images.pull(at + '/app', tag='1')
print(image.attrs['RepoDigests'][0].split('@')[1])
print(client.containers.run(image, remove=True).decode().strip())
image.tag(at + '/by/python', '1')
for line in client.images.push(at + '/by/python', tag='1', stream=True, decode=True):
    assert 'error' not in line, line
    if 'Digest' in line.get('aux', {}):
        print(line['aux']['Digest'])
print(client.images.get_registry_data(at + '/by/python:1').id)
"#;
    let said = with_docker_py(script, &daemon, &server);
    assert_eq!(said.lines().collect::<Vec<_>>(), [&*digest, "for python", &*digest, &*digest]);
    assert_eq!(arrives(&daemon, &server, "by/python", &digest, &[]), "for python");
}

/// The base needs a password, which the library sends as `X-Registry-Config`.
#[test]
fn docker_py_builds() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("htpasswd");
    fs::write(&users, format!("me:{}\n", auth::HASH)).unwrap();
    let environment =
        [("REGISTRY_AUTH", "htpasswd"), ("REGISTRY_AUTH_HTPASSWD_PATH", users.to_str().unwrap())];
    let server = Server::at(&folder.path().join("data"), &[], &environment);
    let daemon = TestDaemon::start("dockerpyb");
    daemon.run(&["login", "-u", "me", "-p", "U*U", &server.address]);
    let base = format!("{}/base:1", server.address);
    daemon.run(&["tag", "busybox", &base]);
    daemon.run(&["push", "-q", &base]);
    daemon.run(&["rmi", &base]);
    let script = r#"
import docker, io, os
at, folder = os.environ['REGISTRY'], os.environ['FOLDER'] + '/context'
os.mkdir(folder)
open(folder + '/f', 'w').write('copied\n')
text = f"FROM {at}/base:1\nARG WHO\nCOPY f /f\nRUN cat /f; echo built for $WHO >/who\nLABEL a=b\nCMD [\"cat\", \"/who\"]\n"
open(folder + '/Dockerfile', 'w').write(text)
client = docker.from_env()
image, log = client.images.build(path=folder, tag='py:1', buildargs={'WHO': 'python'}, rm=True)
text = ''.join(line.get('stream', '') for line in log)
assert 'copied' in text and 'Successfully built' in text and 'Successfully tagged py:1' in text, text
print(image.tags[0], image.labels['a'])
print(client.containers.run(image, remove=True).decode().strip())
try:
    client.images.build(fileobj=io.BytesIO(b'FROM py:1\nRUN exit 3\n'))
except docker.errors.BuildError as error:
    print(error)
"#;
    let said = with_docker_py(script, &daemon, &server);
    let failed = "The command '/bin/sh -c exit 3' returned a non-zero code: 3";
    assert_eq!(said.lines().collect::<Vec<_>>(), ["py:1 b", "built for python", failed]);
}
