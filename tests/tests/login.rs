//! Logging in to registries with a credential helper, and the settings of registries while the engine runs.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use wharf_tests::{Output, TestDaemon, until};

/// `me:secret`, as basic authentication has it.
const SECRET: &str = "Basic bWU6c2VjcmV0";

/// A request as far as these servers look at it.
struct Request {
    method: String,
    path: String,
    authorization: String,
    body: String,
}

/// A server that answers with status line (and more headers) and body; returns its address.
fn serve(answer: impl Fn(&str, &Request) -> (String, String) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (own, answer) = (address.clone(), Arc::new(answer));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (own, answer) = (own.clone(), answer.clone());
            std::thread::spawn(move || {
                // What is no HTTP, such as the greeting of TLS, is told so in HTTP.
                let bad = |_| ("400 Bad Request".to_owned(), String::new());
                let (status, body) = read(&stream).map_or_else(bad, |request| answer(&own, &request));
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
                (&stream).write_all(format!("{head}{body}").as_bytes())
            });
        }
    });
    address
}

fn read(stream: &TcpStream) -> std::io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let (mut authorization, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => authorization = value.into(),
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap()
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    Ok(Request { method, path, authorization, body: String::from_utf8_lossy(&body).into_owned() })
}

/// What a registry without images says to those it lets in.
fn empty_registry(request: &Request) -> (String, String) {
    let unknown = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
    match request.path.contains("/manifests/") {
        false => ("200 OK".to_owned(), "{}".to_owned()),
        true => ("404 Not Found".to_owned(), unknown.to_owned()),
    }
}

/// A registry that is empty and lets nobody but `me` in; returns its address.
fn guarded_registry() -> String {
    serve(|_, request| match request.authorization == SECRET {
        false => ("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"here\"".to_owned(), "{}".to_owned()),
        true => empty_registry(request),
    })
}

/// The same with a token service that hands out identity tokens; what it was asked is noted.
fn token_registry(asked: Arc<Mutex<Vec<String>>>) -> String {
    serve(move |own, request| {
        if request.path.starts_with("/token") {
            asked.lock().unwrap().push(format!("{} {}{}", request.method, request.path, request.body));
            let with_password = request.authorization == SECRET;
            let with_token = request.method == "POST" && request.body.contains("refresh_token=for+me%21");
            return match (with_password, with_token) {
                (true, _) => ok(r#"{"token":"pass","refresh_token":"for me!"}"#),
                (_, true) => ok(r#"{"access_token":"pass"}"#),
                _ => ("401 Unauthorized".to_owned(), r#"{"details":"who are you"}"#.to_owned()),
            };
        }
        if request.authorization == "Bearer pass" {
            return empty_registry(request);
        }
        let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{own}/token\",service=\"here\"");
        (format!("401 Unauthorized\r\n{challenge}"), "{}".to_owned())
    })
}

fn ok(body: &str) -> (String, String) {
    ("200 OK".to_owned(), body.to_owned())
}

#[test]
fn an_identity_token_takes_the_place_of_the_password() {
    let daemon = TestDaemon::start("idtoken");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let registry = token_registry(asked.clone());
    let login = daemon.wharf(&["login", "-u", "me", "-p", "secret", &registry]);
    assert_eq!((login.code, login.stdout.trim_end()), (0, "Login Succeeded"), "{}", login.stderr);
    assert_eq!(
        asked.lock().unwrap().drain(..).collect::<Vec<_>>(),
        ["GET /token?account=me&service=here&offline_token=true&client_id=wharf"]
    );
    assert!(!login.stderr.contains("unencrypted"), "{}", login.stderr);
    let config = fs::read_to_string(daemon.folder.join(".docker/config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    // `me:`, as Docker writes it: the password is nowhere.
    assert_eq!(config["auths"][&registry], serde_json::json!({"auth": "bWU6", "identitytoken": "for me!"}));

    let image = format!("{registry}/some/image");
    let missing = daemon.wharf(&["pull", &image]);
    assert!(missing.stderr.contains("manifest unknown"), "{}", missing.stderr);
    let form = |scope: &str| {
        format!(
            "POST /tokengrant_type=refresh_token&refresh_token=for+me%21&service=here&client_id=wharf&scope={scope}"
        )
    };
    let drained = || asked.lock().unwrap().drain(..).collect::<Vec<_>>();
    assert_eq!(drained(), [form("repository%3Asome%2Fimage%3Apull")]);
    daemon.run(&["tag", "busybox", &image]);
    // It gets in; that this registry takes no uploads is another matter.
    assert_eq!(daemon.wharf(&["push", &image]).code, 1);
    assert_eq!(drained(), [form("repository%3Asome%2Fimage%3Apull%2Cpush")]);
    let inspect = daemon.wharf(&["manifest", "inspect", "--insecure", &image]);
    assert_eq!(inspect.stderr.trim_end(), format!("no such manifest: {image}:latest"));
    assert_eq!(drained(), [form("repository%3Asome%2Fimage%3Apull")]);

    daemon.run(&["logout", &registry]);
    assert!(daemon.wharf(&["pull", &image]).stderr.contains("who are you"));
    let wrong = daemon.wharf(&["login", "-u", "me", "-p", "wrong", &registry]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.stderr.contains("who are you"), "{}", wrong.stderr);
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
