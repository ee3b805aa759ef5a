//! The engine as a client, over a wire that breaks, through proxies, and where nothing is to be moved.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    process::Stdio,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use wharf_tests::{Archive, TestDaemon, Wire, until};

use crate::server::{Server, noise};

/// More than what requests and answers without blobs come to.
const SMALL: u64 = 32 << 10;

/// Loads an image of `length` bytes that do not compress under `name`; it prints `greeting`.
fn loaded(daemon: &TestDaemon, name: &str, greeting: &str, length: usize) {
    let archive = daemon.folder.join("image.tar");
    fs::write(&archive, Archive::busybox_with(greeting, &noise(length)).to_tar(name)).unwrap();
    daemon.run(&["load", "-q", "-i", archive.to_str().unwrap()]);
    fs::remove_file(archive).unwrap();
}

#[test]
fn a_push_and_a_pull_over_a_wire_that_breaks() {
    let (server, daemon) = (Server::start(&[]), TestDaemon::start("wire"));
    let wire = Wire::to(&server.address);
    let name = format!("{}/app:1", wire.address);
    loaded(&daemon, &name, "whole", 4 << 20);
    wire.cut_after(1 << 20);
    daemon.run(&["push", &name]);
    let of_push = wire.cuts();
    assert!(of_push >= 3, "{of_push}");
    daemon.run(&["rmi", &name]);
    daemon.run(&["pull", &name]);
    assert!(wire.cuts() >= of_push + 3, "{}", wire.cuts());
    let digests = daemon.run(&["inspect", "-f", "{{.RepoDigests}}", &name]);
    assert!(digests.contains(&server.digest("app")), "{digests}");
    assert_eq!(daemon.run(&["run", "--rm", &name]), "whole");
}

#[test]
fn a_registry_that_is_killed_during_a_push() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = TestDaemon::start("regkill");
    let server = Server::at(folder.path(), &[], &[]);
    let wire = Wire::to(&server.address);
    let name = format!("{}/app:1", wire.address);
    loaded(&daemon, &name, "survived", 8 << 20);
    wire.break_after(3 << 20);
    let mut push = daemon.command(&["push", &name]);
    let push = push.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(until(Duration::from_secs(60), || wire.is_broken()));
    server.kill();
    let server = Server::at(folder.path(), &[], &[]);
    server.get("/v2/app/manifests/1").refused(404, "MANIFEST_UNKNOWN");
    wire.lead_to(&server.address);
    // It goes on by itself where the registry comes back in time; else it says what is wrong, and can be repeated.
    let ended = push.wait_with_output().unwrap();
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(said.contains(&wire.address) && said.lines().count() == 1, "{said}");
        daemon.run(&["push", &name]);
    }
    daemon.run(&["rmi", &name]);
    daemon.run(&["pull", &name]);
    assert_eq!(daemon.run(&["run", "--rm", &name]), "survived");
}

#[test]
fn what_is_known_is_not_moved() {
    let (server, daemon) = (Server::start(&[]), TestDaemon::start("known"));
    let wire = Wire::to(&server.address);
    let at = |name: &str| format!("{}/{name}:1", wire.address);
    loaded(&daemon, &at("app"), "known", 2 << 20);
    daemon.run(&["push", &at("app")]);
    assert!(wire.moved() > 2 << 20);
    let little = |what: &str| {
        let moved = wire.moved();
        assert!(moved < SMALL, "{what}: {moved} bytes");
    };
    let digest = server.digest("app");
    daemon.run(&["push", &at("app")]);
    little("a push of what is there");
    daemon.run(&["tag", &at("app"), &at("mounted/app")]);
    daemon.run(&["push", &at("mounted/app")]);
    assert_eq!(server.digest("mounted/app"), digest);
    little("a push from one repository to another");
    daemon.run(&["rmi", &at("app")]);
    assert!(daemon.run(&["pull", &at("app")]).contains("Digest: "));
    little("a pull of layers that are here");
    daemon.run(&["pull", &at("app")]);
    little("a pull of an image that is here");
    // Another engine has none of it; this one sends back what it has got, and that is nothing new.
    let other = TestDaemon::start("known2");
    other.run(&["pull", "-q", &at("app")]);
    assert!(wire.moved() > 2 << 20);
    other.run(&["tag", &at("app"), &at("back/app")]);
    other.run(&["push", &at("back/app")]);
    assert_eq!(server.digest("back/app"), digest);
    little("a push of what was pulled");
    // Of a new image only what is new.
    let id = other.run(&["create", &at("app"), "echo", "new"]);
    other.run(&["commit", &id, &at("new")]);
    other.run(&["push", &at("new")]);
    little("a push of an image with one small layer more");
}

/// A proxy that leads everything to one server; returns its address. What it is asked for is noted.
fn proxy(target: &str, asked: Arc<Mutex<Vec<String>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let target = target.to_owned();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (target, asked) = (target.clone(), asked.clone());
            thread::spawn(move || pass(&client, &target, &asked).ok());
        }
    });
    address
}

fn pass(client: &TcpStream, target: &str, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut server = TcpStream::connect(target)?;
    let mut reader = BufReader::new(client);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    asked.lock().unwrap().push(first.trim_end().trim_end_matches(" HTTP/1.1").to_owned());
    let tunnel = first.starts_with("CONNECT ");
    if !tunnel {
        // One request a connection is enough here: RFC 9112, section 3.2.2.
        let line = first.replacen("http://registry.test:5000", "", 1);
        write!(server, "{line}Connection: close\r\n")?;
    }
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if !tunnel && !line.to_lowercase().starts_with("connection:") {
            server.write_all(line.as_bytes())?;
        }
        if line.trim_end().is_empty() {
            break;
        }
    }
    if tunnel {
        (&*client).write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = std::io::copy(&mut reader, &mut &server);
            server.shutdown(std::net::Shutdown::Write)
        });
        let _ = std::io::copy(&mut &server, &mut &*client);
        let _ = client.shutdown(std::net::Shutdown::Both);
    });
    Ok(())
}

#[test]
fn proxies_of_the_engine_and_of_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let flags = crate::auth::tls_flags(folder.path());
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let root = folder.path().join("data");
    let (plain, tls) = (Server::at(&root, &[], &[]), Server::at(&root, &flags, &[]));
    let mut daemon = TestDaemon::start("proxy");
    loaded(&daemon, &format!("{}/app:1", plain.address), "by proxy", 1000);
    daemon.run(&["push", "-q", &format!("{}/app:1", plain.address)]);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (http, https) = (proxy(&plain.address, asked.clone()), proxy(&tls.address, asked.clone()));
    let drained = || asked.lock().unwrap().drain(..).collect::<Vec<String>>();
    let image = "registry.test:5000/app:1";
    let mut pull = |proxies: &str| {
        daemon.stop();
        let text =
            format!("{{\"insecure-registries\": [\"registry.test:5000\"], \"proxies\": {{{proxies}}}}}");
        fs::write(daemon.folder.join("daemon.json"), text).unwrap();
        daemon.launch();
        daemon.wharf(&["rmi", "-f", image]);
        let pulled = daemon.wharf(&["pull", image]);
        if pulled.code == 0 {
            assert_eq!(daemon.run(&["run", "--rm", image]), "by proxy");
        }
        pulled
    };
    // Whether names resolve that nobody has is up to the resolver: only what the proxies see counts.
    pull(&format!("\"http-proxy\": \"http://{http}\"")).ok();
    let first = drained();
    assert!(first.contains(&"HEAD http://registry.test:5000/v2/app/manifests/1".to_owned()), "{first:?}");
    pull(&format!("\"https-proxy\": \"http://{https}\"")).ok();
    let first = drained();
    assert!(!first.is_empty() && first.iter().all(|line| line == "CONNECT registry.test:5000"), "{first:?}");
    let none = pull(&format!("\"http-proxy\": \"http://{http}\", \"no-proxy\": \"registry.test\""));
    assert_eq!((none.code, drained()), (1, vec![]));

    let mut inspect = daemon.command(&["manifest", "inspect", "--insecure", image]);
    let output = inspect.env("HTTPS_PROXY", format!("http://{https}")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let first = drained();
    assert!(!first.is_empty() && first.iter().all(|line| line == "CONNECT registry.test:5000"), "{first:?}");
}

#[test]
fn search_and_a_platform_that_is_there() {
    let (server, daemon) = (Server::start(&[]), TestDaemon::start("search"));
    let at = |name: &str| format!("{}/{name}:1", server.address);
    loaded(&daemon, &at("group/tool"), "found", 1000);
    let platform = daemon.run(&["inspect", "-f", "{{.Os}}/{{.Architecture}}", &at("group/tool")]);
    let pushed = daemon.wharf(&["push", "--platform", &platform, &at("group/tool")]);
    assert!(
        pushed.stdout.contains("Using --platform pushes only the specified platform manifest"),
        "{}",
        pushed.stdout
    );
    let said = pushed.ok();
    assert!(said.contains(&server.digest("group/tool")), "{said}");
    daemon.run(&["tag", &at("group/tool"), &at("other")]);
    daemon.run(&["push", "-q", &at("other")]);
    let found = daemon.run(&["search", "--format", "{{.Name}}", &format!("{}/tool", server.address)]);
    assert_eq!(found, "group/tool");
}
