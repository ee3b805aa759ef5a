//! Logging in to registries with a credential helper, and the settings of registries while the engine runs.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    time::Duration,
};

use serde_json::Value;
use wharf_tests::{Output, TestDaemon, until};

/// `me:secret`, as basic authentication has it.
const SECRET: &str = "Basic bWU6c2VjcmV0";

/// A registry that is empty and lets nobody but `me` in; returns its address.
fn guarded_registry() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(&stream).ok());
        }
    });
    address
}

fn answer(stream: &TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut known = false;
    for line in lines {
        let line = line?;
        known |= line.to_lowercase().starts_with("authorization: ") && line.ends_with(SECRET);
        if line.is_empty() {
            break;
        }
    }
    let (status, body) = match (known, first.contains("/manifests/")) {
        (false, _) => ("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"here\"", "{}"),
        (true, false) => ("200 OK", "{}"),
        (true, true) => {
            ("404 Not Found", r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#)
        }
    };
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    (&*stream).write_all(answer.as_bytes())
}

/// A helper that keeps one secret in a file, and notes what it was asked.
const HELPER: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
input=$(cat)
echo "$1 $input" >>asked
case $1 in
store) echo "$input" >secret ;;
erase) rm -f secret ;;
get) cat secret 2>/dev/null || { echo "credentials not found in native keychain"; exit 1; } ;;
esac
"#;

#[test]
fn a_credential_helper_keeps_the_secret() {
    let daemon = TestDaemon::start("login");
    let registry = guarded_registry();
    let bin = daemon.folder.join("bin");
    fs::create_dir(&bin).unwrap();
    let helper = bin.join("docker-credential-test");
    fs::write(&helper, HELPER).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let config = daemon.folder.join(".docker/config.json");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(&config, r#"{"credsStore": "test"}"#).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let wharf = |args: &[&str]| Output::from(daemon.command(args).env("PATH", &path).output().unwrap());
    let asked = || {
        let text = fs::read_to_string(bin.join("asked")).unwrap_or_default();
        let _ = fs::remove_file(bin.join("asked"));
        text
    };
    let image = format!("{registry}/some/image");

    let refused = wharf(&["pull", &image]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("no basic auth credentials"), "{}", refused.stderr);
    assert_eq!(asked(), format!("get {registry}\n"));

    let login = wharf(&["login", "-u", "me", "-p", "secret", &registry]);
    assert_eq!((login.code, login.stdout.trim_end()), (0, "Login Succeeded"), "{}", login.stderr);
    let stored = asked();
    let document = stored.lines().find_map(|line| line.strip_prefix("store ")).expect(&stored);
    let document: Value = serde_json::from_str(document).unwrap();
    assert_eq!(document, serde_json::json!({"ServerURL": registry, "Username": "me", "Secret": "secret"}));
    assert!(!fs::read_to_string(&config).unwrap().contains("secret"));

    // The engine gets the secret with the request: the registry lets it in and has no such image.
    let missing = wharf(&["pull", &image]);
    assert!(missing.stderr.contains("manifest unknown"), "{}", missing.stderr);
    assert_eq!(asked(), format!("get {registry}\n"));

    assert_eq!(wharf(&["logout", &registry]).code, 0);
    assert!(asked().contains(&format!("erase {registry}\n")));
    assert!(wharf(&["pull", &image]).stderr.contains("no basic auth credentials"));
}

#[test]
fn a_helper_that_is_missing_is_named() {
    let daemon = TestDaemon::start("nohelp");
    let config = daemon.folder.join(".docker/config.json");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(&config, r#"{"credHelpers": {"127.0.0.1:1": "nosuch"}}"#).unwrap();
    let output = daemon.wharf(&["login", "-u", "me", "-p", "secret", "127.0.0.1:1"]);
    assert_ne!(output.code, 0);
    let words = "docker-credential-nosuch\": executable file not found in $PATH";
    assert!(daemon.wharf(&["pull", "127.0.0.1:1/a"]).stderr.contains(words));
}

#[test]
fn a_hangup_reloads_the_settings() {
    let daemon = TestDaemon::start("hup");
    let file = daemon.folder.join("daemon.json");
    let hang_up = |text: &str| {
        fs::write(&file, text).unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(daemon.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    };
    hang_up(r#"{"labels": ["place=here"], "insecure-registries": ["reg.example:5000"]}"#);
    assert!(until(Duration::from_secs(20), || {
        daemon.run(&["info", "--format", "{{.Labels}}"]) == "[place=here]"
    }));
    let now = daemon.run(&["info", "--format", "{{.SystemTime}}"]);
    let filter = ["--filter", "type=daemon", "--filter", "event=reload"];
    let mut events =
        vec!["events", "--since", "2000-01-01", "--until", &now, "--format", "{{json .Actor.Attributes}}"];
    events.extend(filter);
    let attributes: Value = serde_json::from_str(&daemon.run(&events)).unwrap();
    assert_eq!(attributes["labels"], r#"["place=here"]"#);
    assert!(attributes["insecure-registries"].as_str().unwrap().contains("reg.example:5000"));

    // A file with a mistake changes nothing, and the log says what is wrong.
    hang_up(r#"{"labels": ["place=there"], "nosuch": 1}"#);
    assert!(until(Duration::from_secs(20), || daemon.log().contains("nosuch")), "{}", daemon.log());
    assert_eq!(daemon.run(&["info", "--format", "{{.Labels}}"]), "[place=here]");
}
