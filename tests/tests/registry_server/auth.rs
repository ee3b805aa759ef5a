//! Who is let in: passwords, tokens, certificates.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use wharf_tests::sha256;

use crate::server::{MANIFEST, Server};

/// The hash of "U*U", from the tests of the reference implementation of bcrypt.
pub(crate) const HASH: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
/// me:U*U and me:wrong.
const RIGHT: &str = "Basic bWU6VSpV";
const WRONG: &str = "Basic bWU6d3Jvbmc=";

#[test]
fn passwords() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("htpasswd");
    fs::write(&users, format!("me:{HASH}\n")).unwrap();
    let environment = [
        ("REGISTRY_AUTH", "htpasswd"),
        ("REGISTRY_AUTH_HTPASSWD_REALM", "Some Realm"),
        ("REGISTRY_AUTH_HTPASSWD_PATH", users.to_str().unwrap()),
    ];
    let server = Server::at(&folder.path().join("data"), &[], &environment);
    for path in ["/v2/", "/v2/_catalog", "/v2/a/tags/list", "/v2/a/manifests/v1", "/metrics", "/", "/r/a"] {
        for authorization in [None, Some(WRONG), Some("Basic x"), Some("Bearer x")] {
            let headers: Vec<_> = authorization.iter().map(|value| ("Authorization", *value)).collect();
            let answer = server.send("GET", path, &headers, b"");
            answer.refused(401, "UNAUTHORIZED");
            assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"Some Realm\""));
        }
    }
    server.send("POST", "/v2/a/blobs/uploads/", &[], b"").refused(401, "UNAUTHORIZED");
    let right = [("Authorization", RIGHT)];
    assert_eq!(server.send("GET", "/v2/", &right, b"").status, 200);
    assert_eq!(server.send("POST", "/v2/a/blobs/uploads/", &right, b"").status, 202);
    // Whoever watches over it needs no password to see that it lives.
    assert_eq!(server.get("/healthz").status, 200);
}

struct Issuer {
    folder: tempfile::TempDir,
}

impl Issuer {
    fn new() -> Issuer {
        let folder = tempfile::tempdir().unwrap();
        certificate(folder.path());
        Issuer { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn token(&self, claims: &Value) -> String {
        let signed = format!(
            "{}.{}",
            base64url(json!({"alg": "RS256", "typ": "JWT"}).to_string().as_bytes()),
            base64url(claims.to_string().as_bytes())
        );
        let input = self.path("input");
        fs::write(&input, &signed).unwrap();
        let mut openssl = Command::new("openssl");
        openssl.args(["dgst", "-sha256", "-sign"]).arg(self.path("key.pem")).arg(&input);
        let output = openssl.output().unwrap();
        assert!(output.status.success());
        format!("{signed}.{}", base64url(&output.stdout))
    }

    fn claims(access: Value) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        json!({"iss": "issuer", "aud": "service", "sub": "me", "exp": now + 300, "nbf": now, "access": access})
    }
}

/// Makes `cert.pem` for the loopback address, and `key.pem`.
fn certificate(folder: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]);
    openssl.args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"]).arg(folder.join("key.pem"));
    let output = openssl.arg("-out").arg(folder.join("cert.pem")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What a server needs for TLS, made in a folder.
pub(crate) fn tls_flags(folder: &Path) -> Vec<String> {
    certificate(folder);
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    vec!["--tls-cert".to_owned(), file("cert.pem"), "--tls-key".to_owned(), file("key.pem")]
}

fn base64url(data: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in data.chunks(3) {
        let bits =
            three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..=three.len() {
            text.push(char::from(LETTERS[(bits >> (18 - 6 * at)) as usize & 63]));
        }
    }
    text
}

#[test]
fn tokens() {
    let issuer = Issuer::new();
    let roots = issuer.path("cert.pem");
    let environment = [
        ("REGISTRY_AUTH", "token"),
        ("REGISTRY_AUTH_TOKEN_REALM", "https://auth.test/token"),
        ("REGISTRY_AUTH_TOKEN_SERVICE", "service"),
        ("REGISTRY_AUTH_TOKEN_ISSUER", "issuer"),
        ("REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE", roots.to_str().unwrap()),
    ];
    let server = Server::at(&issuer.path("data"), &["--delete"], &environment);
    let send = |method: &str, path: &str, token: &str, body: &[u8]| {
        let bearer = format!("Bearer {token}");
        server.send(method, path, &[("Authorization", &bearer), ("Content-Type", MANIFEST)], body)
    };
    let challenge =
        |scope: &str| format!("Bearer realm=\"https://auth.test/token\",service=\"service\"{scope}");
    let asked = |answer: &crate::server::Answer| {
        answer.refused(401, "UNAUTHORIZED");
        answer.header("www-authenticate").unwrap().to_owned()
    };
    assert_eq!(asked(&server.get("/v2/")), challenge(""));
    assert_eq!(asked(&server.get("/v2/a/b/tags/list")), challenge(",scope=\"repository:a/b:pull\""));
    let push = server.send("POST", "/v2/a/b/blobs/uploads/", &[], b"");
    assert_eq!(asked(&push), challenge(",scope=\"repository:a/b:pull,push\""));
    assert_eq!(asked(&server.get("/v2/_catalog")), challenge(",scope=\"registry:catalog:*\""));

    let repository = |actions: &[&str]| json!([{"type": "repository", "name": "a/b", "actions": actions}]);
    let pull = issuer.token(&Issuer::claims(repository(&["pull"])));
    let push = issuer.token(&Issuer::claims(repository(&["pull", "push"])));
    assert_eq!(send("GET", "/v2/", &pull, b"").status, 200);
    assert_eq!(send("GET", "/v2/a/b/tags/list", &pull, b"").status, 404);
    let refused = asked(&send("POST", "/v2/a/b/blobs/uploads/", &pull, b""));
    assert!(refused.ends_with(",error=\"insufficient_scope\""), "{refused}");
    assert!(asked(&send("GET", "/v2/other/tags/list", &push, b"")).contains("repository:other:pull"));
    assert_eq!(send("POST", "/v2/a/b/blobs/uploads/", &push, b"").status, 202);
    asked(&send("DELETE", "/v2/a/b/manifests/v1", &push, b""));
    let delete = issuer.token(&Issuer::claims(repository(&["delete"])));
    assert_eq!(send("DELETE", "/v2/a/b/manifests/v1", &delete, b"").status, 404);
    let catalog = json!([{"type": "registry", "name": "catalog", "actions": ["*"]}]);
    assert_eq!(send("GET", "/v2/_catalog", &issuer.token(&Issuer::claims(catalog)), b"").status, 200);
    // A blob is not mounted from where the token does not reach; it is uploaded instead.
    let mount = format!("/v2/a/b/blobs/uploads/?mount={}&from=secret", sha256(b"x"));
    assert_eq!(send("POST", &mount, &push, b"").status, 202);

    let mut bad = Vec::new();
    for (key, value) in
        [("iss", json!("x")), ("aud", json!("x")), ("exp", json!(1)), ("nbf", json!(9_999_999_999u64))]
    {
        let mut claims = Issuer::claims(repository(&["pull"]));
        claims[key] = value;
        bad.push(issuer.token(&claims));
    }
    bad.push(Issuer::new().token(&Issuer::claims(repository(&["pull"]))));
    let (signed, _) = pull.rsplit_once('.').unwrap();
    bad.push(format!("{signed}."));
    let unsigned = base64url(br#"{"alg":"none"}"#);
    bad.push(format!("{unsigned}.{}.", signed.split('.').nth(1).unwrap()));
    bad.extend(["a", "a.b", "a.b.c"].map(str::to_owned));
    for token in bad {
        let refused = asked(&send("GET", "/v2/a/b/tags/list", &token, b""));
        assert!(refused.ends_with(",error=\"invalid_token\""), "{token}: {refused}");
    }
}

#[test]
fn tls() {
    let folder = tempfile::tempdir().unwrap();
    let flags = tls_flags(folder.path());
    let cert = folder.path().join("cert.pem");
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let server = Server::at(&folder.path().join("data"), &flags, &[]);
    let fetch = |authority: &[&str]| {
        let mut openssl = Command::new("openssl");
        openssl
            .args(["s_client", "-quiet", "-verify_return_error", "-connect", &server.address])
            .args(authority);
        let mut child = openssl
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let request = crate::server::head("GET", "/v2/", &[], Some(0));
        let _ = std::io::Write::write_all(child.stdin.as_mut().unwrap(), request.as_bytes());
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    let answer = fetch(&["-CAfile", cert.to_str().unwrap()]);
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert_eq!(fetch(&[]), "");
    // Those who can get HTTP/2.
    let negotiated = |protocols: &str| {
        let mut openssl = std::process::Command::new("openssl");
        openssl.args(["s_client", "-alpn", protocols, "-connect", &server.address]);
        let output = openssl.stdin(std::process::Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().find_map(|line| line.strip_prefix("ALPN protocol: ")).unwrap_or_default().to_owned()
    };
    assert_eq!((negotiated("h2,http/1.1").as_str(), negotiated("http/1.1").as_str()), ("h2", "http/1.1"));
}
