//! Credentials for registries from the client's configuration file and its credential helpers.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use base64::{
    DecodeError, Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use serde_json::{Value, json};
use wharf_api::auth::AuthConfig;

use crate::{Error, Result, config::ConfigFile, print};

/// The name of Docker Hub in the configuration file.
pub(crate) const HUB: &str = "https://index.docker.io/v1/";

/// The value of `X-Registry-Auth` for the registry `domain`; empty if nothing is known about it.
pub(crate) fn header(config: &ConfigFile, domain: &str) -> String {
    known(config, domain).map_or_else(String::new, |auth| encode(&auth))
}

/// As [`header`] for a push: the engine insists on the header, also where there are no credentials.
pub(crate) fn header_of_push(config: &ConfigFile, domain: &str) -> String {
    encode(&known(config, domain).unwrap_or_default())
}

/// What is known about the registry `domain`. A helper that fails knows nothing, as for Docker: what is public can be had
/// all the same, and the warning tells why the rest cannot.
pub(crate) fn known(config: &ConfigFile, domain: &str) -> Option<AuthConfig> {
    find(config, server(domain)).unwrap_or_else(|error| {
        print::warn(&format!("WARNING: {error}"));
        None
    })
}

/// The name under which a registry is in the configuration file.
pub(crate) fn server(domain: &str) -> &str {
    match host(domain) {
        "docker.io" | "index.docker.io" | "" => HUB,
        host => host,
    }
}

/// Credentials in the form of the header.
pub(crate) fn encode(auth: &AuthConfig) -> String {
    URL_SAFE.encode(serde_json::to_vec(auth).unwrap_or_default())
}

/// The credential helper that is responsible for a registry; empty if its credentials are in the file.
fn helper<'a>(config: &'a ConfigFile, server: &str) -> &'a str {
    let own = |key: &str| config.get("credHelpers")?.get(key)?.as_str();
    own(server).or_else(|| own(host(server))).unwrap_or_else(|| config.text("credsStore"))
}

/// The credentials for a registry.
///
/// # Errors
/// The credential helper fails for another reason than that it knows none.
pub(crate) fn find(config: &ConfigFile, server: &str) -> Result<Option<AuthConfig>> {
    match helper(config, server) {
        "" => Ok(from_file(config, server)),
        name => from_helper(name, server),
    }
}

fn from_file(config: &ConfigFile, server: &str) -> Option<AuthConfig> {
    let auths = config.get("auths")?.as_object()?;
    let entry = auths.get(server).or_else(|| {
        let same = |key: &str| host(key) == host(server);
        auths.iter().find(|(key, _)| same(key)).map(|(_, entry)| entry)
    })?;
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let decoded = STANDARD.decode(text("auth")).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let (username, password) = match decoded.as_deref().and_then(|pair| pair.split_once(':')) {
        Some((user, password)) => (user.to_owned(), password.trim_end_matches('\0').to_owned()),
        None => (text("username"), text("password")),
    };
    Some(AuthConfig {
        username,
        password,
        serveraddress: server.to_owned(),
        identitytoken: text("identitytoken"),
        registrytoken: text("registrytoken"),
        ..AuthConfig::default()
    })
}

/// The host of a key, which may be a whole address.
fn host(key: &str) -> &str {
    let key = key.trim_start_matches("http://").trim_start_matches("https://");
    key.split('/').next().unwrap_or(key)
}

/// What is wrong with the logins in the file, in Docker's words.
pub(crate) fn check(auths: &serde_json::Map<String, Value>) -> std::result::Result<(), String> {
    for auth in auths.values().filter_map(|entry| entry.get("auth")?.as_str()).filter(|auth| !auth.is_empty())
    {
        let decoded = STANDARD.decode(auth).map_err(|error| match error {
            DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => {
                format!("illegal base64 data at input byte {at}")
            }
            _ => format!("illegal base64 data at input byte {}", auth.len()),
        })?;
        if !decoded.contains(&b':') {
            return Err("Invalid auth configuration file".to_owned());
        }
    }
    Ok(())
}

/// Asks `docker-credential-NAME`.
fn from_helper(name: &str, server: &str) -> Result<Option<AuthConfig>> {
    let output = match run_helper(name, "get", server.as_bytes()) {
        Ok(output) => output,
        Err(HelperError { output, .. }) if output == NOT_FOUND => return Ok(None),
        Err(error) => return Err(error.into_error("getting")),
    };
    let answer: Value = serde_json::from_slice(&output).map_err(|error| {
        Error::message(format!(
            "error getting credentials - err: answer of docker-credential-{name}: {error}"
        ))
    })?;
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut auth = AuthConfig { serveraddress: server.to_owned(), ..AuthConfig::default() };
    if text("Username") == TOKEN_USER {
        auth.identitytoken = text("Secret");
    } else {
        auth.username = text("Username");
        auth.password = text("Secret");
    }
    Ok(Some(auth))
}

/// Remembers credentials: with the credential helper, or else in the configuration file.
///
/// # Errors
/// The helper fails or the file cannot be written.
pub(crate) fn store(dir: &Path, auth: &AuthConfig) -> Result<()> {
    let config = ConfigFile::load(dir);
    let helper = helper(&config, &auth.serveraddress);
    if !helper.is_empty() {
        let (user, secret) = match auth.identitytoken.as_str() {
            "" => (auth.username.as_str(), auth.password.as_str()),
            token => (TOKEN_USER, token),
        };
        let document = json!({"ServerURL": auth.serveraddress, "Username": user, "Secret": secret});
        let stored = run_helper(helper, "store", document.to_string().as_bytes());
        stored.map_err(|error| error.into_error("storing"))?;
        // The file says which registries there is a login for.
        return config.with_auth(&auth.serveraddress, Some(json!({}))).save(dir);
    }
    let pair = STANDARD.encode(format!("{}:{}", auth.username, auth.password));
    let entry = match auth.identitytoken.as_str() {
        "" => json!({"auth": pair}),
        token => json!({"auth": STANDARD.encode(format!("{}:", auth.username)), "identitytoken": token}),
    };
    if config.get("auths").and_then(|auths| auths.get(&auth.serveraddress)) == Some(&entry) {
        return Ok(());
    }
    let path = dir.join("config.json");
    config.with_auth(&auth.serveraddress, Some(entry)).save(dir)?;
    if auth.password.is_empty() {
        // An identity token can be taken back.
        return Ok(());
    }
    print::warn(&format!(
        "\nWARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper to remove this \
         warning. See\nhttps://docs.docker.com/go/credential-store/\n",
        path.display()
    ));
    Ok(())
}

/// Forgets credentials, under all names the registry may have.
///
/// # Errors
/// As [`store`].
pub(crate) fn erase(dir: &Path, server: &str) -> Result<()> {
    let mut names = vec![server.to_owned()];
    if server != HUB {
        names.extend(["http://", "https://"].map(|scheme| format!("{scheme}{server}")));
    }
    let config = ConfigFile::load(dir);
    let helper = helper(&config, server);
    if !helper.is_empty() {
        let erased = run_helper(helper, "erase", server.as_bytes());
        erased.map_err(|error| error.into_error("erasing"))?;
    }
    let known = |name: &String| config.get("auths").is_some_and(|auths| auths.get(name).is_some());
    if !names.iter().any(known) {
        return Ok(());
    }
    names.iter().fold(config, |config, name| config.with_auth(name, None)).save(dir)
}

/// What helpers answer, all of them, when they know nothing of a registry.
const NOT_FOUND: &str = "credentials not found in native keychain";
/// The name under which helpers keep identity tokens.
const TOKEN_USER: &str = "<token>";

/// A credential helper that failed.
struct HelperError {
    reason: String,
    output: String,
}

impl HelperError {
    fn into_error(self, doing: &str) -> Error {
        Error::message(format!("error {doing} credentials - err: {}, out: `{}`", self.reason, self.output))
    }
}

/// Runs `docker-credential-NAME ACTION` and returns what it prints.
fn run_helper(name: &str, action: &str, input: &[u8]) -> std::result::Result<Vec<u8>, HelperError> {
    let program = format!("docker-credential-{name}");
    let failed = |error: std::io::Error| {
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => "executable file not found in $PATH".to_owned(),
            _ => error.to_string(),
        };
        HelperError { reason: format!("exec: {program:?}: {reason}"), output: String::new() }
    };
    let mut child = Command::new(&program)
        .arg(action)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read its input says by its answer what is wrong.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let reason = match output.status.code() {
        Some(code) => format!("exit status {code}"),
        None => output.status.to_string(),
    };
    Err(HelperError { reason, output: String::from_utf8_lossy(&output.stdout).trim().to_owned() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_by_host() {
        let config = ConfigFile::from(serde_json::json!({"auths": {
            HUB: {"auth": STANDARD.encode("me:secret")},
            "http://reg.example:5000/v1/": {"auth": STANDARD.encode("you:pass:word")},
        }}));
        let auth = known(&config, "docker.io").unwrap();
        assert_eq!((auth.username.as_str(), auth.password.as_str()), ("me", "secret"));
        let auth = known(&config, "reg.example:5000").unwrap();
        assert_eq!((auth.username.as_str(), auth.password.as_str()), ("you", "pass:word"));
        assert_eq!(header(&config, "other.example"), "");
        assert!(header_of_push(&config, "other.example").starts_with("e30"));
    }

    #[test]
    fn logins_are_kept_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let auth = AuthConfig {
            username: "me".to_owned(),
            password: "secret".to_owned(),
            serveraddress: "reg.example".to_owned(),
            ..AuthConfig::default()
        };
        std::fs::write(dir.path().join("config.json"), r#"{"psFormat":"x"}"#).unwrap();
        store(dir.path(), &auth).unwrap();
        let config = ConfigFile::load(dir.path());
        assert_eq!(config.text("psFormat"), "x");
        assert_eq!(find(&config, "reg.example").unwrap().unwrap().password, "secret");
        erase(dir.path(), "reg.example").unwrap();
        assert!(find(&ConfigFile::load(dir.path()), "reg.example").unwrap().is_none());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, "{\"auths\": ").unwrap();
        let auth = AuthConfig { serveraddress: "reg.example".to_owned(), ..AuthConfig::default() };
        assert!(store(dir.path(), &auth).unwrap_err().to_string().contains("unexpected EOF"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"auths\": ");
    }

    #[test]
    fn a_link_to_the_file_stays_one() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (link, target) = (dir.path().join("config.json"), elsewhere.path().join("mine.json"));
        std::fs::write(&target, "{}").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let auth = AuthConfig { serveraddress: "reg.example".to_owned(), ..AuthConfig::default() };
        store(dir.path(), &auth).unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(std::fs::read_to_string(&target).unwrap().contains("reg.example"));
    }

    #[test]
    fn broken_logins_are_told_of_in_dockers_words() {
        let said = |auth: &str| {
            let auths = serde_json::json!({"r": {"auth": auth}});
            check(auths.as_object().unwrap()).err().unwrap_or_default()
        };
        assert_eq!(said("!!!"), "illegal base64 data at input byte 0");
        assert_eq!(said("bWU="), "Invalid auth configuration file");
        assert_eq!(said("bWU6c2VjcmV0"), "");
        assert_eq!(said(""), "");
    }
}
