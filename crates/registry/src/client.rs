//! What is configured about registries, and the way from a name to an endpoint that answers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Once};
use std::time::Duration;

use reqwest::Url;
use reqwest::redirect::Policy;
use wharf_oci::{Digest, Reference};

use crate::auth::{Authorizer, Challenge, Credentials};
use crate::endpoint::{self, Endpoint, Insecure};
use crate::error::{Error, Result};
use crate::failure::{self, Lookup};
use crate::repository::{Fetched, Repository};
use crate::tls::Certificates;

const MAX_REDIRECTS: usize = 10;
/// How long a registry that need not have TLS may be silent when asked by TLS, before it is asked without as well.
const SILENCE: Duration = Duration::from_secs(1);

/// What an administrator says about registries.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// `insecure-registries` of daemon.json: hosts with an optional port, or networks. Loopback needs no mention.
    pub insecure: Vec<String>,
    /// URLs tried before a registry, by its host; those of `registry-mirrors` are under `docker.io`.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// What is used instead of the proxies that the environment names.
    pub proxies: Proxies,
    /// Folders with a subfolder per registry host that holds `*.crt` (authorities) and `*.cert` with `*.key` (client).
    pub certificates: Vec<PathBuf>,
    /// How long a first answer may take.
    pub ping_timeout: Duration,
    /// How long an answer or a part of a blob may be awaited without a byte coming.
    pub stall_timeout: Duration,
    /// How often a fault is overcome by asking again before it is an error.
    pub retries: u32,
    /// `User-Agent`.
    pub user_agent: String,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            insecure: Vec::new(),
            mirrors: BTreeMap::new(),
            proxies: Proxies::default(),
            certificates: vec!["/etc/wharf/certs.d".into(), "/etc/docker/certs.d".into()],
            ping_timeout: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(30),
            retries: 5,
            user_agent: concat!("wharf/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Proxies by what goes through them; an empty one is the environment's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For plain HTTP.
    pub http: String,
    /// For HTTPS.
    pub https: String,
    /// Hosts, domains and networks that are reached without one, separated by commas.
    pub none: String,
}

impl Proxies {
    /// What is in effect: these, and the environment's in place of empty ones.
    pub fn effective(&self) -> Self {
        let or = |own: &str, names: [&str; 2]| match own {
            "" => names.iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default(),
            own => own.to_owned(),
        };
        Self {
            http: or(&self.http, ["HTTP_PROXY", "http_proxy"]),
            https: or(&self.https, ["HTTPS_PROXY", "https_proxy"]),
            none: or(&self.none, ["NO_PROXY", "no_proxy"]),
        }
    }

    fn apply(&self, mut builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder> {
        let Self { http, https, none } = self.effective();
        let bad = |error: reqwest::Error| Error::Setup(innermost(&error));
        let except = || reqwest::NoProxy::from_string(&none);
        if !http.is_empty() {
            builder = builder.proxy(reqwest::Proxy::http(&http).map_err(bad)?.no_proxy(except()));
        }
        if !https.is_empty() {
            builder = builder.proxy(reqwest::Proxy::https(&https).map_err(bad)?.no_proxy(except()));
        }
        Ok(builder)
    }
}

/// A client of all registries. Cheap to clone. Connections live as long as the [`Repository`] they were opened for, so
/// an idle client holds neither sockets nor certificates.
#[derive(Debug, Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    insecure: Arc<Insecure>,
}

/// Looks up a manifest that is already here, so that it need not be fetched again.
pub type Cached<'a> = &'a (dyn Fn(&Digest) -> Option<Vec<u8>> + Send + Sync);

impl Client {
    /// A client. Opens nothing.
    pub fn new(config: ClientConfig) -> Self {
        let insecure = Insecure::new(&config.insecure);
        Self { config: Arc::new(config), insecure: Arc::new(insecure) }
    }

    /// The configuration.
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    pub(crate) fn insecure(&self) -> &Insecure {
        &self.insecure
    }

    /// Finds what `reference` (its digest, else its tag, else `latest`) names: on the mirrors, then on the registry.
    ///
    /// The tag is asked for by HEAD first; a manifest that `cached` has is not fetched.
    pub async fn resolve(
        &self,
        reference: &Reference,
        credentials: Option<&Credentials>,
        cached: Cached<'_>,
    ) -> Result<(Repository, Fetched)> {
        let reference = reference.clone().with_default_tag();
        self.first(&reference, credentials, async |repository: &Repository| {
            repository.fetch(&reference, cached).await
        })
        .await
    }

    /// The tags of the repository of `reference`, as the registry orders them.
    pub async fn tags(
        &self,
        reference: &Reference,
        credentials: Option<&Credentials>,
    ) -> Result<(Repository, Vec<String>)> {
        self.first(reference, credentials, Repository::tags).await
    }

    /// The repository of `reference` for pushing to it. Mirrors have no part in that.
    ///
    /// `sources` are paths of other repositories of the same registry, from which blobs may be mounted.
    pub async fn push_to(
        &self,
        reference: &Reference,
        credentials: Option<&Credentials>,
        sources: &[String],
    ) -> Result<Repository> {
        let mut scopes = vec![format!("repository:{}:pull,push", reference.path())];
        scopes.extend(sources.iter().map(|path| format!("repository:{path}:pull")));
        let mut last = Error::Address(reference.domain().to_owned());
        for endpoint in endpoint::endpoints(reference.domain(), &[], &self.insecure).await {
            let authorizer = Authorizer::new(credentials.cloned(), scopes.clone());
            match self.connect(&endpoint, reference.path(), authorizer).await {
                Ok(repository) => return Ok(repository),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The repository of `reference` for reading, or with `write` for writing too, as Docker's command line reaches it:
    /// without mirrors, and by plain HTTP only where [`ClientConfig::insecure`] names the host and HTTPS was answered by it.
    pub async fn direct(
        &self,
        reference: &Reference,
        credentials: Option<&Credentials>,
        write: bool,
    ) -> Result<Repository> {
        let actions = if write { "pull,push" } else { "pull" };
        let scope = format!("repository:{}:{actions}", reference.path());
        let plain = self.config.insecure.iter().any(|host| host == reference.domain());
        let mut last = Error::Address(reference.domain().to_owned());
        for endpoint in endpoint::endpoints(reference.domain(), &[], &self.insecure).await {
            let authorizer = Authorizer::new(credentials.cloned(), vec![scope.clone()]);
            match self.connect(&endpoint, reference.path(), authorizer).await {
                Err(error) if plain && error.is_plain_http() => last = error,
                connected => return connected,
            }
        }
        Err(last)
    }

    /// Checks credentials with the registry at `domain`. Returns once a request signed with them was let in: the identity
    /// token that stands in for them from now on, if the registry's token service gives one.
    pub async fn login(&self, domain: &str, credentials: &Credentials) -> Result<Option<String>> {
        let mut last = Error::Address(domain.to_owned());
        for endpoint in endpoint::endpoints(domain, &[], &self.insecure).await {
            let authorizer = Authorizer::new(Some(credentials.clone()), Vec::new()).offline();
            match self.connect(&endpoint, "", authorizer).await {
                Ok(repository) => return repository.login().await,
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Does `work` on the first endpoint that can do it. An answer other than success is final, except from a mirror.
    async fn first<T>(
        &self,
        reference: &Reference,
        credentials: Option<&Credentials>,
        work: impl AsyncFn(&Repository) -> Result<T>,
    ) -> Result<(Repository, T)> {
        let mut last = Error::Address(reference.domain().to_owned());
        let scopes = vec![format!("repository:{}:pull", reference.path())];
        let mirrors = self.config.mirrors.get(reference.domain()).map_or(&[][..], Vec::as_slice);
        for endpoint in &endpoint::endpoints(reference.domain(), mirrors, &self.insecure).await {
            let mirror = endpoint.mirror;
            // Credentials are the registry's, not the mirror's.
            let authorizer = Authorizer::new(credentials.filter(|_| !mirror).cloned(), scopes.clone());
            let repository = match self.connect(endpoint, reference.path(), authorizer).await {
                Ok(repository) => repository,
                Err(error) => {
                    tracing::debug!(endpoint = endpoint.base, %error, "registry endpoint does not answer");
                    last = error;
                    continue;
                }
            };
            match work(&repository).await {
                Ok(done) => return Ok((repository, done)),
                Err(error) if mirror => {
                    tracing::debug!(endpoint = endpoint.base, %error, "mirror cannot help");
                    last = error;
                }
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Pings an endpoint and learns which authentication it wants. Any HTTP answer means that a registry is there.
    pub(crate) async fn connect(
        &self,
        endpoint: &Endpoint,
        path: &str,
        authorizer: Authorizer,
    ) -> Result<Repository> {
        let http = self.http(endpoint)?;
        let address = format!("{}/v2/", endpoint.base);
        let url = Url::parse(&address).map_err(|_| Error::Address(address))?;
        let response = self.first_answer(&http, endpoint, &url).await?;
        if response.status() == reqwest::StatusCode::UNAUTHORIZED {
            authorizer.challenged(Challenge::of(response.headers())).await;
        }
        Ok(Repository::new(http, endpoint.clone(), path, authorizer, self.config.clone()))
    }

    /// The answer to a ping of an endpoint, unless it turns out to be one without TLS that was asked with.
    async fn first_answer(
        &self,
        http: &reqwest::Client,
        endpoint: &Endpoint,
        url: &Url,
    ) -> Result<reqwest::Response> {
        match endpoint.base.strip_prefix("https://").filter(|_| endpoint.may_be_plain()) {
            None => self.ping(http, url).await,
            Some(host) => tokio::select! {
                response = self.ping(http, url) => response,
                true = self.is_plain(http, host) => Err(failure::plain_http("Get", url)),
            },
        }
    }

    async fn ping(&self, http: &reqwest::Client, url: &Url) -> Result<reqwest::Response> {
        match tokio::time::timeout(self.config.ping_timeout, http.get(url.clone()).send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(failure::transport("Get", url, &error).await),
            Err(_) => Err(failure::timeout("Get", url)),
        }
    }

    /// Whether a registry without TLS answers; asked only after it was silent for a while. A server without TLS may take
    /// the greeting of TLS for the beginning of a request, and wait for the rest of it.
    async fn is_plain(&self, http: &reqwest::Client, host: &str) -> bool {
        tokio::time::sleep(SILENCE).await;
        let Ok(url) = Url::parse(&format!("http://{host}/v2/")) else { return false };
        let status = self.ping(http, &url).await.map(|response| response.status());
        // One with TLS answers as well, but not so.
        status.is_ok_and(|status| status.is_success() || status == reqwest::StatusCode::UNAUTHORIZED)
    }

    pub(crate) fn http(&self, endpoint: &Endpoint) -> Result<reqwest::Client> {
        install_crypto();
        let verify = endpoint.verify;
        let mut builder = reqwest::Client::builder()
            .user_agent(&self.config.user_agent)
            .connect_timeout(self.config.ping_timeout)
            .referer(false)
            .dns_resolver(Lookup)
            .tls_danger_accept_invalid_certs(!verify)
            .redirect(Policy::custom(move |attempt| {
                let from_https = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
                if attempt.previous().len() > MAX_REDIRECTS {
                    attempt.error("stopped after 10 redirects")
                } else if verify && from_https && attempt.url().scheme() != "https" {
                    attempt.error("refusing a redirect from HTTPS to plain HTTP")
                } else if attempt
                    .previous()
                    .last()
                    .is_some_and(|from| endpoint::is_lured(from, attempt.url()))
                {
                    attempt.error("refusing a redirect to a link-local address")
                } else {
                    attempt.follow()
                }
            }));
        builder = match endpoint.loopback {
            true => builder.no_proxy(),
            false => self.config.proxies.apply(builder)?,
        };
        if verify {
            let certificates = Certificates::read(&self.config.certificates, &endpoint.host)?;
            if !certificates.is_empty() {
                builder = builder.tls_backend_preconfigured(certificates.config()?);
            }
        }
        builder.build().map_err(|error| Error::Setup(innermost(&error)))
    }
}

fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Makes ring the process's TLS cryptography; the HTTP client is built without one.
pub fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that another part of the process was first, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
