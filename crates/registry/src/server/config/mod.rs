//! What an administrator says: the reference registry's file and environment, and flags over them.

mod duration;
mod tree;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;

use self::tree::Tree;
use super::collect::retention::Rule;

pub(crate) use duration::parse as parse_duration;

/// The file that the reference image names on its command line; the only one that may be missing.
const REFERENCE_FILE: &str = "/etc/docker/registry/config.yml";
/// Sections of the file.
const SECTIONS: [&str; 10] =
    ["auth", "collect", "health", "http", "limits", "log", "loglevel", "proxy", "retention", "storage"];
/// Keys of the reference registry that change nothing here: ways to be fast, and ways to look at itself.
const WITHOUT_EFFECT: [&str; 12] = [
    "catalog",
    "compatibility",
    "health",
    "http.draintimeout",
    "http.http2",
    "http.relativeurls",
    "http.secret",
    "log",
    "redis",
    "storage.cache",
    "storage.filesystem.maxthreads",
    "version",
];

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not YAML, or not a map.
    #[error("malformed configuration: {0}")]
    Syntax(String),
    /// A value that makes no sense.
    #[error("{key}: {reason}")]
    Value {
        /// Where, with dots.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// Something that this registry does not do.
    #[error("not supported by this registry: {0}")]
    Unsupported(String),
}

impl ConfigError {
    pub(super) fn value(key: &str, reason: impl Into<String>) -> Self {
        Self::Value { key: key.to_owned(), reason: reason.into() }
    }
}

/// Who may do what.
#[derive(Debug, Clone)]
pub(crate) enum Auth {
    /// Everybody everything.
    Open,
    /// Whoever is in a file of names and bcrypt hashes everything.
    Htpasswd { realm: String, path: PathBuf },
    /// What a token says that an issuer signed.
    Token(TokenAuth),
}

/// Tokens that are accepted, and where clients get them.
#[derive(Debug, Clone)]
pub(crate) struct TokenAuth {
    pub(crate) realm: String,
    pub(crate) service: String,
    pub(crate) issuer: String,
    /// Certificates in PEM form.
    pub(crate) roots: Option<PathBuf>,
    /// A JSON Web Key Set.
    pub(crate) jwks: Option<PathBuf>,
}

/// Files in PEM form.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Authorities of client certificates; with some, clients need one.
    pub(crate) client_authorities: Vec<PathBuf>,
}

/// A registry whose content is cached.
#[derive(Debug, Clone)]
pub(crate) struct UpstreamConfig {
    /// First part of the names that belong to it; without one, all do.
    pub(crate) name: Option<String>,
    pub(crate) url: String,
    pub(crate) username: String,
    pub(crate) password: String,
}

/// What a collection removes, and when there is one.
#[derive(Debug, Clone)]
pub(crate) struct CollectConfig {
    /// Pause between two collections of a server; without one it makes none by itself.
    pub(crate) interval: Option<Duration>,
    /// Younger blobs are left alone: their manifest may be on its way.
    pub(crate) grace: Duration,
    /// Whether manifests without a tag go.
    pub(crate) untagged: bool,
    /// Age at which unfinished uploads go; `None` for never.
    pub(crate) uploads: Option<Duration>,
    /// Which tags stay.
    pub(crate) retention: Vec<Rule>,
}

/// A registry's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of the storage.
    pub root: PathBuf,
    /// Where to listen, `ADDRESS:PORT`.
    pub address: String,
    /// Filter of the log: `info`, `debug`.
    pub log_level: String,
    pub(crate) debug_address: Option<String>,
    /// Its address for the outside.
    pub(crate) host: Option<String>,
    /// Headers of every answer.
    pub(crate) headers: http::HeaderMap,
    pub(crate) delete: bool,
    pub(crate) read_only: bool,
    pub(crate) auth: Auth,
    pub(crate) tls: Option<Tls>,
    pub(crate) upstreams: Vec<UpstreamConfig>,
    /// Age at which what was cached goes.
    pub(crate) upstream_age: Option<Duration>,
    pub(crate) collect: CollectConfig,
    /// Bytes of a manifest at most.
    pub(crate) manifest_limit: usize,
    /// How long the headers of a request may take.
    pub(crate) header_timeout: Duration,
    /// How long a connection may stay silent while it is waited for.
    pub(crate) body_timeout: Duration,
    /// Clients at once.
    pub(crate) connections: usize,
}

impl Config {
    /// Reads `file`, lays `environment` over it (variables `REGISTRY_…`, others are skipped), then `flags`: paths such as
    /// `http.addr` with their values.
    ///
    /// # Errors
    /// A file that cannot be read, a wrong value, or something that is not supported.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        flags: &[(String, Value)],
    ) -> Result<Self, ConfigError> {
        let text = match file.map(|path| (path, std::fs::read_to_string(path))) {
            None => String::new(),
            Some((_, Ok(text))) => text,
            // compat: the embedded image has the command line of the reference image, but not its file.
            Some((path, Err(error)))
                if path == Path::new(REFERENCE_FILE) && error.kind() == std::io::ErrorKind::NotFound =>
            {
                String::new()
            }
            Some((path, Err(source))) => {
                return Err(ConfigError::Read { path: path.to_owned(), source });
            }
        };
        let mut tree = Tree::parse(&text)?;
        tree.overlay_environment(environment, &SECTIONS);
        for (path, value) in flags {
            tree.set(&path.split('.').collect::<Vec<_>>(), value.clone());
        }
        Self::read(tree)
    }

    fn read(mut tree: Tree) -> Result<Self, ConfigError> {
        let log_level = tree.text("log.level")?.or(tree.text("loglevel")?);
        let config = Self {
            root: tree
                .text("storage.filesystem.rootdirectory")?
                .unwrap_or_else(|| "/var/lib/registry".to_owned())
                .into(),
            address: with_host(&tree.text("http.addr")?.unwrap_or_else(|| ":5000".to_owned())),
            log_level: log_level.map_or("info".to_owned(), |level| level.replace("warning", "warn")),
            debug_address: debug_address(&mut tree)?,
            host: tree.text("http.host")?.filter(|host| !host.is_empty()),
            headers: headers(&mut tree)?,
            delete: tree.flag("storage.delete.enabled")?.unwrap_or(false),
            read_only: tree.flag("storage.maintenance.readonly.enabled")?.unwrap_or(false),
            auth: auth(&mut tree)?,
            tls: tls(&mut tree)?,
            upstreams: upstreams(&mut tree)?,
            upstream_age: duration::take(&mut tree, "proxy.ttl")?.filter(|age| !age.is_zero()),
            collect: collect(&mut tree)?,
            manifest_limit: limit(&mut tree, "limits.manifest")?.unwrap_or(4 << 20),
            header_timeout: patience(&mut tree, "limits.headertimeout")?.unwrap_or(Duration::from_secs(30)),
            body_timeout: patience(&mut tree, "limits.bodytimeout")?.unwrap_or(Duration::from_secs(60)),
            connections: limit(&mut tree, "limits.connections")?.unwrap_or(1024).min(Semaphore::MAX_PERMITS),
        };
        let rest: Vec<_> = tree.rest().into_iter().filter(|key| !is_without_effect(key)).collect();
        if !rest.is_empty() {
            return Err(ConfigError::Unsupported(rest.join(", ")));
        }
        Ok(config)
    }
}

fn is_without_effect(key: &str) -> bool {
    WITHOUT_EFFECT
        .iter()
        .any(|known| key.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// `:5000` is every address.
fn with_host(address: &str) -> String {
    if address.starts_with(':') { format!("[::]{address}") } else { address.to_owned() }
}

/// A number that is not 0: a limit of that many lets nothing through.
fn limit(tree: &mut Tree, key: &str) -> Result<Option<usize>, ConfigError> {
    let text = tree.text(key)?;
    let read = |text: String| match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(ConfigError::value(key, format!("{text:?} is not a number above 0"))),
    };
    text.map(read).transpose()
}

/// A duration that is not 0: nobody could ever be in time.
fn patience(tree: &mut Tree, key: &str) -> Result<Option<Duration>, ConfigError> {
    match duration::take(tree, key)? {
        Some(Duration::ZERO) => Err(ConfigError::value(key, "needs to be above 0")),
        other => Ok(other),
    }
}

fn headers(tree: &mut Tree) -> Result<http::HeaderMap, ConfigError> {
    let mut headers = http::HeaderMap::new();
    let Some(Value::Object(map)) = tree.take("http.headers") else { return Ok(headers) };
    for (name, value) in map {
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        for value in values {
            let Value::String(value) = value else {
                return Err(ConfigError::value("http.headers", format!("{name}: expected texts")));
            };
            let (Ok(name), Ok(value)) =
                (http::HeaderName::try_from(&name), http::HeaderValue::try_from(&value))
            else {
                return Err(ConfigError::value("http.headers", format!("{name} cannot be sent")));
            };
            headers.append(name, value);
        }
    }
    Ok(headers)
}

fn debug_address(tree: &mut Tree) -> Result<Option<String>, ConfigError> {
    // The metrics are always there; these say where the reference registry has them.
    tree.flag("http.debug.prometheus.enabled")?;
    if let Some(path) = tree.text("http.debug.prometheus.path")?
        && path != "/metrics"
    {
        return Err(ConfigError::Unsupported("http.debug.prometheus.path other than /metrics".to_owned()));
    }
    Ok(tree.text("http.debug.addr")?.map(|address| with_host(&address)))
}

fn auth(tree: &mut Tree) -> Result<Auth, ConfigError> {
    let needed = |value: Option<String>, key: &str| {
        value.filter(|value| !value.is_empty()).ok_or_else(|| ConfigError::value(key, "is missing"))
    };
    if let Some(path) = tree.text("auth.htpasswd.path")? {
        let realm = tree.text("auth.htpasswd.realm")?.unwrap_or_else(|| "registry".to_owned());
        return Ok(Auth::Htpasswd { realm, path: path.into() });
    }
    if let Some(realm) = tree.text("auth.token.realm")? {
        tree.flag("auth.token.autoredirect")?;
        let (roots, jwks) = (tree.text("auth.token.rootcertbundle")?, tree.text("auth.token.jwks")?);
        if roots.is_none() && jwks.is_none() {
            return Err(ConfigError::value("auth.token.rootcertbundle", "is missing"));
        }
        return Ok(Auth::Token(TokenAuth {
            realm,
            service: needed(tree.text("auth.token.service")?, "auth.token.service")?,
            issuer: needed(tree.text("auth.token.issuer")?, "auth.token.issuer")?,
            roots: roots.map(Into::into),
            jwks: jwks.map(Into::into),
        }));
    }
    match tree.take("auth") {
        None => Ok(Auth::Open),
        Some(Value::String(kind)) if kind == "none" || kind.is_empty() => Ok(Auth::Open),
        Some(Value::Object(map)) if map.is_empty() => Ok(Auth::Open),
        Some(Value::Object(map)) if map.contains_key("htpasswd") => {
            Err(ConfigError::value("auth.htpasswd.path", "is missing"))
        }
        Some(Value::Object(map)) if map.contains_key("token") => {
            Err(ConfigError::value("auth.token.realm", "is missing"))
        }
        // Opening a registry because its lock is unknown would be the worst way to fail.
        Some(other) => Err(ConfigError::Unsupported(format!("auth: {other}"))),
    }
}

fn tls(tree: &mut Tree) -> Result<Option<Tls>, ConfigError> {
    let certificate = tree.text("http.tls.certificate")?.filter(|path| !path.is_empty());
    let key = tree.text("http.tls.key")?.filter(|path| !path.is_empty());
    let client_authorities = tree.texts("http.tls.clientcas")?.into_iter().map(PathBuf::from).collect();
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            Ok(Some(Tls { certificate: certificate.into(), key: key.into(), client_authorities }))
        }
        (None, None) => Ok(None),
        _ => Err(ConfigError::value("http.tls", "needs both a certificate and a key")),
    }
}

fn upstreams(tree: &mut Tree) -> Result<Vec<UpstreamConfig>, ConfigError> {
    let mut found = Vec::new();
    let username = tree.text("proxy.username")?.unwrap_or_default();
    let password = tree.text("proxy.password")?.unwrap_or_default();
    if let Some(url) = tree.text("proxy.remoteurl")?.filter(|url| !url.is_empty()) {
        found.push(UpstreamConfig { name: None, url, username, password });
    }
    if let Some(value) = tree.take("proxy.upstreams") {
        let wrong = || ConfigError::value("proxy.upstreams", "expected a list of name and remoteurl");
        let Value::Array(items) = value else { return Err(wrong()) };
        for item in items {
            let text =
                |key: &str| item.get(key).and_then(Value::as_str).map(str::to_owned).unwrap_or_default();
            let (name, url) = (text("name"), text("remoteurl"));
            if super::name::Name::parse(&name).is_none() || name.contains('/') || url.is_empty() {
                return Err(wrong());
            }
            let (username, password) = (text("username"), text("password"));
            found.push(UpstreamConfig { name: Some(name), url, username, password });
        }
    }
    Ok(found)
}

fn collect(tree: &mut Tree) -> Result<CollectConfig, ConfigError> {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let purge = tree.flag("storage.maintenance.uploadpurging.enabled")?.unwrap_or(true);
    let age = duration::take(tree, "storage.maintenance.uploadpurging.age")?.unwrap_or(DAY * 7);
    // Uploads are purged with everything else.
    duration::take(tree, "storage.maintenance.uploadpurging.interval")?;
    if tree.flag("storage.maintenance.uploadpurging.dryrun")? == Some(true) {
        return Err(ConfigError::Unsupported("storage.maintenance.uploadpurging.dryrun".to_owned()));
    }
    let mut retention = Vec::new();
    match tree.take("retention") {
        None => {}
        Some(Value::Array(rules)) => {
            for rule in &rules {
                retention.push(Rule::read(rule).map_err(|reason| ConfigError::value("retention", reason))?);
            }
        }
        Some(_) => return Err(ConfigError::value("retention", "expected a list of rules")),
    }
    Ok(CollectConfig {
        interval: duration::take(tree, "collect.interval")?.filter(|interval| !interval.is_zero()),
        grace: duration::take(tree, "collect.grace")?.unwrap_or(Duration::from_secs(3600)),
        untagged: tree.flag("collect.untagged")?.unwrap_or(false),
        uploads: purge.then_some(age),
        retention,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
