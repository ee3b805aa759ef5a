//! One repository on one endpoint: manifests, tags, blobs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LINK, RANGE};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use wharf_oci::image::{Descriptor, Document, Manifest, media_type};
use wharf_oci::platform::Matcher;
use wharf_oci::{Digest, Platform, Reference};

use crate::auth::{Authorizer, Challenge};
use crate::blob::BlobStream;
use crate::client::{Cached, ClientConfig};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::failure;
use crate::retry::{Pause, is_busy};

/// The registry project's own limit for manifests.
const MAX_MANIFEST: u64 = 4 << 20;
/// Image configurations are a few KiB; labels and history can swell them.
const MAX_CONFIG: u64 = 16 << 20;
const MAX_PAGES: usize = 1000;
/// An index in an index is legal; more than a few of them nobody makes.
const MAX_DEPTH: usize = 8;
/// The configuration of a plugin for Docker's engine.
const DOCKER_PLUGIN: &str = "application/vnd.docker.plugin.v1+json";
pub(crate) const DIGEST_HEADER: &str = "docker-content-digest";

const ACCEPTED: [&str; 6] = [
    media_type::DOCKER_MANIFEST_LIST,
    media_type::DOCKER_MANIFEST,
    media_type::OCI_INDEX,
    media_type::OCI_MANIFEST,
    media_type::DOCKER_MANIFEST_V1_SIGNED,
    media_type::DOCKER_MANIFEST_V1,
];

/// A repository on an endpoint that answered. Cheap to clone; its connections are shared.
#[derive(Clone)]
pub struct Repository(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    /// `https://host/v2/path`, or `https://host/v2` without a path.
    base: String,
    path: String,
    endpoint: Endpoint,
    authorizer: Authorizer,
    config: Arc<ClientConfig>,
}

/// A manifest or index as it was fetched, its digest verified.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its media type, digest and size in bytes.
    pub descriptor: Descriptor,
    /// The bytes the digest is of.
    pub body: Bytes,
    /// What they say.
    pub document: Document,
}

/// An image for one platform.
#[derive(Debug, Clone)]
pub struct Image {
    /// What the reference names: the digest of the index if there is one, else of the manifest.
    pub digest: Digest,
    /// Media type, digest and size in bytes of the manifest.
    pub descriptor: Descriptor,
    /// The bytes of the manifest.
    pub body: Bytes,
    /// The manifest.
    pub manifest: Manifest,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository").field("base", &self.0.base).finish_non_exhaustive()
    }
}

impl Repository {
    pub(crate) fn new(
        http: reqwest::Client,
        endpoint: Endpoint,
        path: &str,
        authorizer: Authorizer,
        config: Arc<ClientConfig>,
    ) -> Self {
        let base = format!("{}/v2/{path}", endpoint.base);
        Self(Arc::new(Inner { http, base, path: path.to_owned(), endpoint, authorizer, config }))
    }

    pub(crate) fn config(&self) -> &ClientConfig {
        &self.0.config
    }

    /// The path of the repository in its registry, `library/ubuntu`.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// A request that must be let in, for checking credentials; returns the identity token that came meanwhile.
    pub(crate) async fn login(&self) -> Result<Option<String>> {
        let url = self.url("")?;
        let response = self.send(Method::GET, url.clone(), |request| request).await?;
        if response.status().is_success() {
            return Ok(self.0.authorizer.identity_token().await);
        }
        Err(Error::Login { url: url.to_string(), status: failure::status_line(response.status()) })
    }

    /// Fetches what `reference` names by digest or tag.
    pub async fn fetch(&self, reference: &Reference, cached: Cached<'_>) -> Result<Fetched> {
        if let Some(digest) = reference.digest() {
            return self.by_digest(digest, cached).await;
        }
        let tag = reference.tag().unwrap_or("latest");
        match self.head(tag).await? {
            Some(digest) if cached(&digest).is_some() => self.by_digest(&digest, cached).await,
            expected => self.get_manifest(tag, expected).await,
        }
    }

    /// Fetches a manifest by digest, unless `cached` has it.
    pub async fn by_digest(&self, digest: &Digest, cached: Cached<'_>) -> Result<Fetched> {
        if let Some(body) = cached(digest)
            && digest.matches(&body)
            && let Ok(document) = Document::parse(None, &body)
        {
            let descriptor = Descriptor::new(said_media_type(&document), digest.clone(), body.len() as u64);
            return Ok(Fetched { descriptor, body: body.into(), document });
        }
        self.get_manifest(digest.as_str(), Some(digest.clone())).await
    }

    /// The image for `platform` (the host's if none) behind a manifest or index.
    pub async fn image(
        &self,
        fetched: Fetched,
        platform: Option<&Platform>,
        cached: Cached<'_>,
    ) -> Result<Image> {
        let digest = fetched.descriptor.digest.clone();
        let mut fetched = fetched;
        for _ in 0..MAX_DEPTH {
            match fetched.document {
                Document::Manifest(manifest) => {
                    check_parts(&manifest)?;
                    let (descriptor, body) = (fetched.descriptor, fetched.body);
                    return Ok(Image { digest, descriptor, body, manifest: *manifest });
                }
                Document::Index(index) => {
                    let chosen = choose(&index.manifests, platform)?;
                    fetched = self.by_digest(&chosen.digest, cached).await?;
                }
            }
        }
        Err(Error::MediaType(fetched.descriptor.media_type))
    }

    /// The image configuration, or another small blob, whole and verified.
    pub async fn small_blob(&self, descriptor: &Descriptor) -> Result<Bytes> {
        if descriptor.size > MAX_CONFIG {
            return Err(Error::TooLarge { what: "image configuration", limit: MAX_CONFIG });
        }
        let mut blob = self.blob(descriptor);
        let mut data = Vec::with_capacity(usize::try_from(descriptor.size).unwrap_or_default());
        while let Some(part) = blob.next().await? {
            data.extend_from_slice(&part);
        }
        if !descriptor.digest.matches(&data) {
            return Err(Error::BlobDigest(descriptor.digest.clone()));
        }
        Ok(data.into())
    }

    /// A stream of the blob's bytes. Opens nothing before its first part is asked for.
    pub fn blob(&self, descriptor: &Descriptor) -> BlobStream {
        BlobStream::new(self.clone(), descriptor.clone())
    }

    /// The rest of a blob, from `offset` on.
    pub fn blob_from(&self, descriptor: &Descriptor, offset: u64) -> BlobStream {
        BlobStream::starting_at(self.clone(), descriptor.clone(), offset)
    }

    /// All tags, page after page.
    pub async fn tags(&self) -> Result<Vec<String>> {
        self.listing("/tags/list", &|_| true, usize::MAX, Error::Manifest).await
    }

    /// The names of repositories that `fits` takes, at most `limit`, page after page. For a connection without a path.
    pub(crate) async fn catalog(
        &self,
        fits: &(dyn Fn(&String) -> bool + Sync),
        limit: usize,
    ) -> Result<Vec<String>> {
        self.listing("_catalog?n=1000", fits, limit, Error::Search).await
    }

    /// The first `limit` names of a listing that `fits` takes; `unreadable` is what a page that is no listing means.
    async fn listing(
        &self,
        first: &str,
        fits: &(dyn Fn(&String) -> bool + Sync),
        limit: usize,
        unreadable: fn(serde_json::Error) -> Error,
    ) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Page {
            #[serde(alias = "repositories")]
            tags: Option<Vec<String>>,
        }

        let mut url = self.url(first)?;
        let mut names = Vec::new();
        for _ in 0..MAX_PAGES {
            let response = self.send(Method::GET, url.clone(), |request| request).await?;
            if !response.status().is_success() {
                return Err(failure::answer(response).await);
            }
            let next = next_page(&url, &response);
            let body = limited(response, "listing", MAX_MANIFEST, self.0.config.stall_timeout).await?;
            let page: Page = serde_json::from_slice(&body).map_err(unreadable)?;
            names.extend(page.tags.unwrap_or_default().into_iter().filter(|name| fits(name)));
            match next {
                Some(next) if names.len() < limit => url = next,
                _ => break,
            }
        }
        names.truncate(limit);
        Ok(names)
    }

    /// The digest the registry gives `tag`; `None` when it has to be asked by GET (also for the reason of a failure).
    async fn head(&self, tag: &str) -> Result<Option<Digest>> {
        let url = self.url(&format!("/manifests/{tag}"))?;
        let response =
            self.send(Method::HEAD, url, |request| request.header(ACCEPT, ACCEPTED.join(", "))).await?;
        let digest = response.headers().get(DIGEST_HEADER).and_then(|value| value.to_str().ok());
        Ok(digest.filter(|_| response.status().is_success()).and_then(|digest| digest.parse().ok()))
    }

    async fn get_manifest(&self, name: &str, expected: Option<Digest>) -> Result<Fetched> {
        let url = self.url(&format!("/manifests/{name}"))?;
        let response = self
            .send(Method::GET, url.clone(), |request| request.header(ACCEPT, ACCEPTED.join(", ")))
            .await?;
        if !response.status().is_success() {
            return Err(failure::answer(response).await);
        }
        let header =
            |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let content_type = header(CONTENT_TYPE.as_str());
        let content_type = content_type.as_deref().and_then(|value| value.split(';').next()).map(str::trim);
        // A tag may have moved between HEAD and GET: then the digest of this answer counts.
        let stated = header(DIGEST_HEADER).and_then(|digest| digest.parse().ok());
        let by_tag = !name.contains(':');
        let expected = if by_tag { stated.or(expected) } else { expected };
        let body = limited(response, "manifest", MAX_MANIFEST, self.0.config.stall_timeout).await?;
        let digest = match expected {
            Some(digest) if !digest.matches(&body) => return Err(Error::ManifestDigest(digest)),
            Some(digest) => digest,
            None => Digest::sha256(&body),
        };
        let document = Document::parse(content_type, &body).map_err(|error| self.unreadable(&body, error))?;
        let kind = match content_type {
            Some(kind) if media_type::is_manifest(kind) || media_type::is_index(kind) => {
                agreed(kind, &document)?;
                kind
            }
            _ => said_media_type(&document),
        };
        let descriptor = Descriptor::new(kind, digest, body.len() as u64);
        Ok(Fetched { descriptor, body, document })
    }

    fn unreadable(&self, body: &[u8], error: serde_json::Error) -> Error {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            schema_version: u32,
        }

        match serde_json::from_slice::<Version>(body) {
            Ok(Version { schema_version: 1 }) => Error::SchemaOne(self.0.path.clone()),
            _ => Error::Manifest(error),
        }
    }

    pub(crate) async fn open_blob(&self, digest: &Digest, offset: u64) -> Result<(Url, Response)> {
        let url = self.url(&format!("/blobs/{digest}"))?;
        let response = self
            .send(Method::GET, url.clone(), |request| match offset {
                0 => request,
                offset => request.header(RANGE, format!("bytes={offset}-")),
            })
            .await?;
        match response.status() {
            StatusCode::NOT_FOUND => Err(Error::UnknownBlob(digest.clone())),
            status if status.is_success() => Ok((url, response)),
            _ => Err(failure::answer(response).await),
        }
    }

    pub(crate) fn url(&self, rest: &str) -> Result<Url> {
        let address = format!("{}{rest}", self.0.base);
        Url::parse(&address).map_err(|_| Error::Address(address))
    }

    /// Sends a request, signed if the registry wants it. A 401 with a new challenge is answered once; a busy or broken
    /// server is asked again a few times.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: Url,
        dress: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response> {
        let verb = verb(&method);
        let mut pause = Pause::new(self.0.config.retries.min(3));
        let mut challenged = false;
        loop {
            let request = dress(self.signed(method.clone(), &url).await?);
            let response = match tokio::time::timeout(self.0.config.stall_timeout, request.send()).await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) => return Err(failure::transport(verb, &url, &error).await),
                Err(_) => return Err(failure::timeout(verb, &url)),
            };
            match response.status() {
                StatusCode::UNAUTHORIZED if !challenged => {
                    challenged = true;
                    if !self.challenged(&response).await {
                        return Ok(response);
                    }
                }
                status if is_busy(status) && pause.again_after(&response).await => {}
                _ => return Ok(response),
            }
        }
    }

    /// A request with what the registry wants to see before it lets one in. Other hosts, to which a registry may send
    /// uploads, never get to see it.
    pub(crate) async fn signed(&self, method: Method, url: &Url) -> Result<RequestBuilder> {
        let verb = verb(&method);
        let request = self.0.http.request(method, url.clone());
        if Url::parse(&self.0.base).is_ok_and(|base| base.origin() != url.origin()) {
            return Ok(request);
        }
        let header = self.0.authorizer.header(&self.0.http, &self.0.endpoint).await.map_err(|source| {
            Error::Authentication { verb, url: url.to_string(), source: Box::new(source) }
        })?;
        Ok(match header {
            Some(header) => request.header(AUTHORIZATION, header),
            None => request,
        })
    }

    /// Takes note of a 401; returns whether asking again may help.
    pub(crate) async fn challenged(&self, response: &Response) -> bool {
        self.0.authorizer.challenged(Challenge::of(response.headers())).await
    }
}

/// Go's HTTP client names methods so in its errors.
pub(crate) fn verb(method: &Method) -> &'static str {
    match *method {
        Method::HEAD => "Head",
        Method::POST => "Post",
        Method::PUT => "Put",
        Method::PATCH => "Patch",
        Method::DELETE => "Delete",
        _ => "Get",
    }
}

/// Whether a manifest describes an image: other artifacts are told by the types of their parts.
fn check_parts(manifest: &Manifest) -> Result<()> {
    let parts = std::iter::once(&manifest.config).chain(&manifest.layers);
    match parts.map(|part| &part.media_type).find(|kind| !media_type::may_be_of_image(kind)) {
        Some(kind) => Err(Error::MediaType(failure::printable(kind))),
        None if manifest.config.media_type == DOCKER_PLUGIN => Err(Error::Plugin),
        None => Ok(()),
    }
}

/// The best manifest for `platform`. Entries without a platform count as fitting, after the ones that say so.
fn choose<'a>(manifests: &'a [Descriptor], platform: Option<&Platform>) -> Result<&'a Descriptor> {
    let wanted = platform.cloned().unwrap_or_else(Platform::host);
    let matcher = Matcher::new(&wanted);
    manifests
        .iter()
        .filter_map(|entry| match &entry.platform {
            None => Some((usize::MAX, entry)),
            Some(platform) => matcher.rank(platform).map(|rank| (rank, entry)),
        })
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, entry)| entry)
        .ok_or(Error::NoPlatform(wanted))
}

/// Whether a document is of the type that the registry says it is of, if it says one itself.
fn agreed(stated: &str, document: &Document) -> Result<()> {
    let found = match document {
        Document::Manifest(manifest) => &manifest.media_type,
        Document::Index(index) => &index.media_type,
    };
    if found.is_empty() || found == stated {
        return Ok(());
    }
    Err(Error::MediaTypeConfusion { stated: stated.to_owned(), found: failure::printable(found) })
}

fn said_media_type(document: &Document) -> &str {
    let (said, default) = match document {
        Document::Manifest(manifest) => (&manifest.media_type, media_type::OCI_MANIFEST),
        Document::Index(index) => (&index.media_type, media_type::OCI_INDEX),
    };
    if said.is_empty() { default } else { said }
}

/// The next page of a listing (RFC 8288): `Link: </v2/…?last=x>; rel="next"`. Only ever on the same host.
fn next_page(url: &Url, response: &Response) -> Option<Url> {
    let link = response.headers().get(LINK)?.to_str().ok()?;
    let (target, rest) = link.strip_prefix('<')?.split_once('>')?;
    let next = url.join(target).ok()?;
    (rest.contains("next") && next.origin() == url.origin() && next != *url).then_some(next)
}

/// The body of an answer, which is `what`; an error if it is longer than `limit` bytes.
pub(crate) async fn limited(
    mut response: Response,
    what: &'static str,
    limit: u64,
    stall: Duration,
) -> Result<Bytes> {
    let url = response.url().clone();
    let mut data = Vec::new();
    loop {
        match tokio::time::timeout(stall, response.chunk()).await {
            Ok(Ok(Some(part))) => data.extend_from_slice(&part),
            Ok(Ok(None)) => return Ok(data.into()),
            Ok(Err(error)) => return Err(failure::transport("Get", &url, &error).await),
            Err(_) => return Err(failure::timeout("Get", &url)),
        }
        if data.len() as u64 > limit {
            return Err(Error::TooLarge { what, limit });
        }
    }
}
