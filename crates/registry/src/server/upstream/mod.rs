//! Registries whose content is cached here.
//!
//! A manifest by tag is asked for each time and served as it was when its registry does not answer; what has a digest is
//! fetched once.

mod fetch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::Response;
use reqwest::Url;
use wharf_oci::{Digest, Reference as ImageReference};

use self::fetch::Fetch;
use super::call::Call;
use super::config::{Config, UpstreamConfig};
use super::document::Document;
use super::failure::{Code, Failure, Result};
use super::manifests::{self, Found};
use super::metrics::Upstream as Outcome;
use super::name::Name;
use super::reply::Body;
use super::route::Reference;
use super::store::References;
use super::{Registry, ServeError, blobs, blocking};
use crate::{Client, ClientConfig, Credentials, Error, Fetched, Repository};

/// How long an upstream may take to answer at all.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an upstream that did not answer is left alone, as long as there is something else to serve.
const REST: Duration = Duration::from_secs(10);
/// Docker Hub's host, and its name in references.
const HUB: (&str, &str) = ("registry-1.docker.io", "docker.io");

/// All upstreams of a registry.
pub(crate) struct Upstreams(Vec<Arc<Upstream>>);

/// A registry whose content is cached.
pub(crate) struct Upstream {
    /// First part of the names that belong to it.
    name: Option<String>,
    /// Host with its port, as references have it.
    domain: String,
    client: Client,
    credentials: Option<Credentials>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    down: Option<Instant>,
    fetching: HashMap<(Name, Digest), Arc<Fetch>>,
}

impl Upstreams {
    /// Reads the configuration. Asks nobody anything.
    pub(crate) fn new(config: &Config) -> std::result::Result<Self, ServeError> {
        config.upstreams.iter().map(Upstream::new).collect::<std::result::Result<_, _>>().map(Self)
    }

    /// The upstream that a repository is a copy of.
    pub(crate) fn find(&self, name: &Name) -> Option<&Arc<Upstream>> {
        self.0.iter().find(|upstream| upstream.path(name).is_some())
    }

    /// What stands before the names of an upstream that clients call `namespace`.
    pub(crate) fn prefix(&self, namespace: &str) -> Option<&str> {
        let named = |upstream: &&Arc<Upstream>| {
            upstream.name.as_deref() == Some(namespace)
                || (upstream.name.is_some() && upstream.domain == namespace)
        };
        self.0.iter().find(named)?.name.as_deref()
    }
}

impl Upstream {
    fn new(config: &UpstreamConfig) -> std::result::Result<Arc<Self>, ServeError> {
        let wrong =
            |reason: &str| ServeError::Upstream { url: config.url.clone(), reason: reason.to_owned() };
        let url = Url::parse(&config.url).map_err(|error| wrong(&error.to_string()))?;
        let plain = match url.scheme() {
            "http" => true,
            "https" => false,
            _ => return Err(wrong("neither http nor https")),
        };
        if !url.path().trim_matches('/').is_empty() {
            return Err(wrong("a registry behind a path is not supported"));
        }
        let host = url.host_str().ok_or_else(|| wrong("has no host"))?;
        let port = match (url.port(), plain) {
            (Some(port), _) => Some(port),
            // References tell a host from a path by a dot or a port.
            (None, true) => Some(80),
            (None, false) => (!host.contains('.')).then_some(443),
        };
        let domain = match port {
            Some(port) => format!("{host}:{port}"),
            None if host == HUB.0 => HUB.1.to_owned(),
            None => host.to_owned(),
        };
        let insecure = if plain { vec![domain.clone()] } else { Vec::new() };
        let client = Client::new(ClientConfig {
            insecure,
            ping_timeout: PATIENCE,
            retries: 1,
            ..ClientConfig::default()
        });
        let credentials = (!config.username.is_empty()).then(|| Credentials {
            username: config.username.clone(),
            password: config.password.clone(),
            ..Credentials::default()
        });
        let name = config.name.clone();
        Ok(Arc::new(Self { name, domain, client, credentials, state: Mutex::default() }))
    }

    /// What the upstream itself calls a repository; `None` for one that is not its.
    fn path<'a>(&self, name: &'a Name) -> Option<&'a str> {
        match &self.name {
            None => Some(name.as_str()),
            Some(prefix) => name.as_str().strip_prefix(prefix.as_str())?.strip_prefix('/'),
        }
    }

    fn reference(&self, name: &Name) -> Result<ImageReference> {
        let path = self.path(name).unwrap_or(name.as_str());
        ImageReference::parse(&format!("{}/{path}", self.domain))
            .map_err(|error| Failure::new(Code::NameInvalid, error.to_string()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A manifest, and whether it could not be checked with the upstream.
    pub(crate) async fn manifest(
        &self,
        registry: &Arc<Registry>,
        name: &Name,
        reference: &Reference,
    ) -> Result<Option<(Found, bool)>> {
        let local = manifests::find(registry, name, reference).await?;
        if let (Some(found), Reference::Digest(_)) = (&local, reference) {
            registry.metrics.upstream(Outcome::Hit);
            return Ok(Some((Found { digest: found.digest.clone(), data: found.data.clone() }, false)));
        }
        if local.is_some() && self.state().down.is_some_and(|since| since.elapsed() < REST) {
            registry.metrics.upstream(Outcome::Stale);
            return Ok(local.map(|found| (found, true)));
        }
        let wanted = self.reference(name)?;
        let wanted = match reference {
            Reference::Tag(tag) => wanted.with_tag(tag),
            Reference::Digest(digest) => Ok(wanted.with_digest(digest.clone())),
        };
        let wanted = wanted.map_err(|error| Failure::new(Code::ManifestInvalid, error.to_string()))?;
        let known = local.as_ref().map(|found| (found.digest.clone(), found.data.clone()));
        match self.resolve(wanted, known).await? {
            Ok((_, fetched)) => {
                self.state().down = None;
                let digest = fetched.descriptor.digest.clone();
                let hit = local.as_ref().is_some_and(|found| found.digest == digest);
                registry.metrics.upstream(if hit { Outcome::Hit } else { Outcome::Miss });
                let found = Found { digest, data: fetched.body.to_vec() };
                if !registry.config.read_only {
                    keep(registry, name, reference, &found).await?;
                }
                Ok(Some((found, false)))
            }
            Err(error) => match refusal(&error) {
                Some(Code::ManifestUnknown) => Ok(None),
                Some(code) => Err(Failure::new(code, format!("upstream {}: {error}", self.domain))),
                None => self.stale(registry, local, &error).map(Some),
            },
        }
    }

    fn stale(&self, registry: &Registry, local: Option<Found>, error: &Error) -> Result<(Found, bool)> {
        tracing::warn!(upstream = self.domain, %error, stale = local.is_some(), "the upstream does not answer");
        self.state().down = Some(Instant::now());
        let outcome = if local.is_some() { Outcome::Stale } else { Outcome::Failure };
        registry.metrics.upstream(outcome);
        local.map(|found| (found, true)).ok_or_else(|| self.unavailable(error))
    }

    /// The answer with a blob that is not here yet.
    pub(crate) async fn blob(
        self: &Arc<Self>,
        call: &Call,
        name: &Name,
        digest: &Digest,
    ) -> Result<Response<Body>> {
        if call.registry.config.read_only {
            return Err(Failure::blob_unknown(digest));
        }
        let running = self.state().fetching.get(&(name.clone(), digest.clone())).cloned();
        let fetch = match running {
            Some(fetch) => fetch,
            None => self.fetch(call, name, digest).await?,
        };
        if call.headers.contains_key(http::header::RANGE) {
            fetch.done().await?;
            let (store, name, wanted) = (call.registry.store.clone(), name.clone(), digest.clone());
            let reader = blocking::run(move || store.open_blob(&name, &wanted)).await?;
            return Ok(blobs::serve(call, digest, reader.into()));
        }
        Ok(fetch.response(call, digest))
    }

    async fn fetch(self: &Arc<Self>, call: &Call, name: &Name, digest: &Digest) -> Result<Arc<Fetch>> {
        call.registry.metrics.upstream(Outcome::Miss);
        let failed = |error: Error| match refusal(&error) {
            Some(Code::ManifestUnknown) => Failure::blob_unknown(digest),
            Some(code) => Failure::new(code, format!("upstream {}: {error}", self.domain)),
            None => {
                call.registry.metrics.upstream(Outcome::Failure);
                self.unavailable(&error)
            }
        };
        let repository = self.connect(name).await?.map_err(failed)?;
        let (_, response) = repository.open_blob(digest, 0).await.map_err(failed)?;
        let prepared = Fetch::prepare(&call.registry, name, digest, response).await?;
        let key = (name.clone(), digest.clone());
        let fetch = self.state().fetching.entry(key.clone()).or_insert_with(|| prepared.fetch()).clone();
        if !Arc::ptr_eq(&fetch, &prepared.fetch()) {
            // Another request was faster.
            prepared.discard(&call.registry).await;
            return Ok(fetch);
        }
        let (registry, running) = (call.registry.clone(), Running { upstream: self.clone(), key });
        tokio::spawn(async move {
            let _running = running;
            prepared.run(&registry, &repository).await;
        });
        Ok(fetch)
    }

    /// A connection to a repository, its authentication learnt.
    async fn connect(&self, name: &Name) -> Result<std::result::Result<Repository, Error>> {
        // The client connects on the way to a manifest: this one need not be fetched.
        const KNOWN: &[u8] = br#"{"schemaVersion":2,"manifests":[]}"#;
        let digest = Digest::sha256(KNOWN);
        let wanted = self.reference(name)?.with_digest(digest.clone());
        let resolved = self.resolve(wanted, Some((digest, KNOWN.to_vec()))).await?;
        Ok(resolved.map(|(repository, _)| repository))
    }

    /// Asks the upstream for a manifest, which is not sent if it is `known` already.
    async fn resolve(
        &self,
        wanted: ImageReference,
        known: Option<(Digest, Vec<u8>)>,
    ) -> Result<std::result::Result<(Repository, Fetched), Error>> {
        let (client, credentials) = (self.client.clone(), self.credentials.clone());
        // On a thread of its own: the client's future stays on the thread that made it.
        let runtime = tokio::runtime::Handle::current();
        blocking::join(blocking::spawn(move || {
            let cached = |digest: &Digest| {
                known.as_ref().filter(|(known, _)| known == digest).map(|(_, data)| data.clone())
            };
            runtime.block_on(client.resolve(&wanted, credentials.as_ref(), &cached))
        }))
        .await
    }

    fn unavailable(&self, error: &Error) -> Failure {
        let message = format!("upstream {}: {error}", self.domain);
        match status_of(error) {
            Some(429) => Failure::new(Code::TooManyRequests, message),
            _ => Failure::new(Code::Unavailable, message).status(http::StatusCode::BAD_GATEWAY),
        }
    }
}

/// Keeps a fetch for others to join, to its end however it ends.
struct Running {
    upstream: Arc<Upstream>,
    key: (Name, Digest),
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(fetch) = self.upstream.state().fetching.remove(&self.key) {
            fetch.give_up();
        }
    }
}

/// What an upstream means that did answer; `None` if it is unwell, so that old content may take its place.
fn refusal(error: &Error) -> Option<Code> {
    match status_of(error)? {
        404 => Some(Code::ManifestUnknown),
        401 | 403 => Some(Code::Denied),
        429 | 500.. => None,
        _ => Some(Code::Unknown),
    }
}

/// The HTTP status of the answer, whether or not there was an error document in it; `None` if there was no answer.
fn status_of(error: &Error) -> Option<u16> {
    match error {
        Error::Registry { status, .. } | Error::Body { status, .. } => Some(*status),
        Error::Status(line) => line.split(' ').next()?.parse().ok(),
        Error::Authentication { source, .. } => status_of(source),
        Error::NoCredentials => Some(401),
        Error::UnknownBlob(_) => Some(404),
        _ => None,
    }
}

async fn keep(registry: &Arc<Registry>, name: &Name, reference: &Reference, found: &Found) -> Result<()> {
    let document = Document::parse(None, &found.data)
        .map_err(|reason| Failure::new(Code::Unavailable, format!("the upstream's manifest: {reason}")))?;
    let tag = match reference {
        Reference::Tag(tag) => Some(tag.clone()),
        Reference::Digest(_) => None,
    };
    let (store, name) = (registry.store.clone(), name.clone());
    let (digest, data) = (found.digest.clone(), found.data.clone());
    blocking::run(move || {
        store.put_manifest(
            &name,
            tag.as_deref().as_slice(),
            &digest,
            (&data, &document),
            References::ComeLater,
        )
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_silence() {
        let body = |status| Error::Body { status, reason: String::new(), body: String::new() };
        let by_token =
            |source| Error::Authentication { verb: "Get", url: String::new(), source: Box::new(source) };
        let silence = || Error::Transport {
            verb: "Get",
            url: String::new(),
            reason: "EOF".to_owned(),
            unreachable: true,
        };
        for (error, expected) in [
            (body(404), Some(Code::ManifestUnknown)),
            (body(401), Some(Code::Denied)),
            (Error::NoCredentials, Some(Code::Denied)),
            (Error::UnknownBlob(Digest::sha256(b"")), Some(Code::ManifestUnknown)),
            (by_token(body(403)), Some(Code::Denied)),
            (body(400), Some(Code::Unknown)),
            // Unwell: what is here may be served.
            (body(429), None),
            (Error::Status("503 Service Unavailable".to_owned()), None),
            (by_token(Error::Status("500 Internal Server Error".to_owned())), None),
            (by_token(silence()), None),
            (silence(), None),
        ] {
            assert_eq!(refusal(&error), expected, "{error}");
        }
    }
}
