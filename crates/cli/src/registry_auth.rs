//! Credentials for registries from the client's configuration file and its credential helpers.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use serde_json::Value;
use wharf_api::auth::AuthConfig;

use crate::config::ConfigFile;

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
    let mut child = Command::new(format!("docker-credential-{name}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(server.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
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
}
