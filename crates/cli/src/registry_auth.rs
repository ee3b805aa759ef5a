//! Credentials for registries from the client's configuration file and its credential helpers.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use serde_json::{Value, json};
use wharf_api::auth::AuthConfig;

use crate::{Error, Result, config::ConfigFile, print};

/// The name of Docker Hub in the configuration file.
pub(crate) const HUB: &str = "https://index.docker.io/v1/";

/// The value of `X-Registry-Auth` for the registry `domain`; empty if nothing is known about it.
pub(crate) fn header(config: &ConfigFile, domain: &str) -> String {
    find(config, server(domain)).map_or_else(String::new, |auth| encode(&auth))
}

/// The name under which a registry is in the configuration file.
pub(crate) fn server(domain: &str) -> &str {
    if matches!(domain, "docker.io" | "index.docker.io" | "") { HUB } else { domain }
}

/// Credentials in the form of the header.
pub(crate) fn encode(auth: &AuthConfig) -> String {
    URL_SAFE.encode(serde_json::to_vec(auth).unwrap_or_default())
}

/// The credentials for a registry.
pub(crate) fn find(config: &ConfigFile, server: &str) -> Option<AuthConfig> {
    let helper = config.get("credHelpers").and_then(|helpers| helpers.get(server)).and_then(Value::as_str);
    let store = helper.unwrap_or_else(|| config.text("credsStore"));
    if !store.is_empty() {
        return from_helper(store, server);
    }
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

/// Asks `docker-credential-NAME`.
fn from_helper(name: &str, server: &str) -> Option<AuthConfig> {
    let output = run_helper(name, "get", server.as_bytes()).ok()?;
    let answer: Value = serde_json::from_slice(&output).ok()?;
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut auth = AuthConfig { serveraddress: server.to_owned(), ..AuthConfig::default() };
    if text("Username") == "<token>" {
        auth.identitytoken = text("Secret");
    } else {
        auth.username = text("Username");
        auth.password = text("Secret");
    }
    Some(auth)
}

/// Remembers credentials: with the credential helper, or else in the configuration file.
///
/// # Errors
/// The helper fails or the file cannot be written.
pub(crate) fn store(dir: &Path, auth: &AuthConfig) -> Result<()> {
    let config = ConfigFile::load(dir);
    let helper = config.text("credsStore").to_owned();
    if !helper.is_empty() {
        let (user, secret) = match auth.identitytoken.as_str() {
            "" => (auth.username.as_str(), auth.password.as_str()),
            token => ("<token>", token),
        };
        let document = json!({"ServerURL": auth.serveraddress, "Username": user, "Secret": secret});
        return run_helper(&helper, "store", document.to_string().as_bytes()).map(drop);
    }
    let pair = STANDARD.encode(format!("{}:{}", auth.username, auth.password));
    let entry = match auth.identitytoken.as_str() {
        "" => json!({"auth": pair}),
        token => json!({"auth": STANDARD.encode(format!("{}:", auth.username)), "identitytoken": token}),
    };
    let path = dir.join("config.json");
    config.with_auth(&auth.serveraddress, Some(entry)).save(dir)?;
    print::warn(&format!(
        "\nWARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper to remove this \
         warning. See\nhttps://docs.docker.com/go/credential-store/\n",
        path.display()
    ));
    Ok(())
}

/// Forgets credentials.
///
/// # Errors
/// As [`store`].
pub(crate) fn erase(dir: &Path, server: &str) -> Result<()> {
    let config = ConfigFile::load(dir);
    let helper = config.text("credsStore").to_owned();
    if !helper.is_empty() {
        return run_helper(&helper, "erase", server.as_bytes()).map(drop);
    }
    if config.get("auths").is_some_and(|auths| auths.get(server).is_some()) {
        config.with_auth(server, None).save(dir)?;
    }
    Ok(())
}

fn run_helper(name: &str, action: &str, input: &[u8]) -> Result<Vec<u8>> {
    let program = format!("docker-credential-{name}");
    let failed = |why: String| Error::message(format!("error {action} credentials - {program}: {why}"));
    let mut child = Command::new(&program)
        .arg(action)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input)?;
    }
    let output = child.wait_with_output()?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(failed(String::from_utf8_lossy(&output.stdout).trim().to_owned())),
    }
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
        let auth = find(&config, server("docker.io")).unwrap();
        assert_eq!((auth.username.as_str(), auth.password.as_str()), ("me", "secret"));
        let auth = find(&config, server("reg.example:5000")).unwrap();
        assert_eq!((auth.username.as_str(), auth.password.as_str()), ("you", "pass:word"));
        assert!(find(&config, "other.example").is_none());
        assert_eq!(header(&config, "other.example"), "");
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
        assert_eq!(find(&config, "reg.example").unwrap().password, "secret");
        erase(dir.path(), "reg.example").unwrap();
        assert!(find(&ConfigFile::load(dir.path()), "reg.example").is_none());
    }
}
