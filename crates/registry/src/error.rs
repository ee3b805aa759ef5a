//! What can go wrong with a registry. Texts are the ones Docker prints.

use wharf_oci::{Digest, Platform};

/// How Go's HTTP client tells that a server without TLS was asked by HTTPS.
pub(crate) const PLAIN_HTTP: &str = "http: server gave HTTP response to HTTPS client";

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// One entry of a registry's error document.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
#[serde(default)]
pub struct ErrorItem {
    /// `MANIFEST_UNKNOWN` and so on.
    #[serde(deserialize_with = "nullable")]
    pub code: String,
    /// For people.
    #[serde(deserialize_with = "nullable")]
    pub message: String,
    /// Anything.
    pub detail: Option<serde_json::Value>,
}

impl ErrorItem {
    /// Whether the registry said more than the bare code; only then does Docker explain the error in its own words.
    pub fn has_detail(&self) -> bool {
        self.detail.as_ref().is_some_and(|detail| !detail.is_null())
            || !(self.message.is_empty() || self.message == known(&self.code).1)
    }

    /// The HTTP status that belongs to the code, whatever status it came with.
    pub fn status(&self) -> u16 {
        known(&self.code).2
    }
}

impl std::fmt::Display for ErrorItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = known(&self.code).0.to_lowercase().replace('_', " ");
        if self.has_detail() { write!(f, "{code}: {}", self.message) } else { f.write_str(&code) }
    }
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No answer: name resolution, connection, TLS, time-out. `reason` is in the words of Go's HTTP client.
    #[error("{verb} {url:?}: {reason}")]
    Transport {
        /// `Get`, `Head`.
        verb: &'static str,
        /// What was asked for.
        url: String,
        /// What happened.
        reason: String,
        /// Whether nothing could be reached at all, so that another endpoint or an embedded image may take its place.
        unreachable: bool,
    },
    /// The registry leads to where nobody goes. Asking again would not help.
    #[error("{verb} {url:?}: {reason}")]
    NotFollowed {
        /// `Get`, `Head`.
        verb: &'static str,
        /// Where it was to lead, or what was asked for.
        url: String,
        /// Why not.
        reason: String,
    },
    /// The registry answered with an error document.
    #[error("{}", join(.items))]
    Registry {
        /// HTTP status.
        status: u16,
        /// Never empty.
        items: Vec<ErrorItem>,
    },
    /// An answer to a request for a token or with one that was refused.
    #[error("{verb} {url:?}: {source}")]
    Authentication {
        /// `Get`, `Head`.
        verb: &'static str,
        /// What was asked for when the token was needed.
        url: String,
        /// What the token service said.
        source: Box<Error>,
    },
    /// An error status with a body that is no error document.
    #[error("error parsing HTTP {status} response body: {reason}: {body:?}")]
    Body {
        /// HTTP status.
        status: u16,
        /// What is wrong with the body.
        reason: String,
        /// The start of the body.
        body: String,
    },
    /// The answer of a token service makes no sense.
    #[error("{0}")]
    Token(String),
    /// A status that makes no sense here.
    #[error("received unexpected HTTP status: {0}")]
    Status(String),
    /// The bytes of a manifest do not have the digest they were asked for, or that the registry itself gave.
    #[error("manifest verification failed for digest {0}")]
    ManifestDigest(Digest),
    /// A configuration or another small blob that does not have its digest.
    #[error("image verification failed for digest {0}")]
    BlobDigest(Digest),
    /// A manifest that cannot be read.
    #[error("invalid manifest: {0}")]
    Manifest(#[source] serde_json::Error),
    /// A document that is too big to be one.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// Which one: `manifest`.
        what: &'static str,
        /// How many bytes are accepted.
        limit: u64,
    },
    /// A manifest that says to be of another type than the registry says it is (CVE-2021-41190).
    #[error("mediaType in manifest should be '{stated}' not '{found}'")]
    MediaTypeConfusion {
        /// By the answer's header.
        stated: String,
        /// By the manifest itself.
        found: String,
    },
    /// The registry does not have a blob that a manifest names.
    #[error("unknown blob")]
    UnknownBlob(Digest),
    /// Manifests of the first schema.
    #[error(
        "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. Suggest the \
         author of {0} to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2. More information \
         at https://docs.docker.com/go/deprecated-image-specs/"
    )]
    SchemaOne(String),
    /// A manifest that describes something other than an image.
    #[error("unsupported media type {0}")]
    MediaType(String),
    /// A manifest that describes a plugin for Docker's engine.
    #[error("Encountered remote \"application/vnd.docker.plugin.v1+json\"(plugin) when fetching")]
    Plugin,
    /// An index without an entry that runs on the wanted platform.
    #[error("no matching manifest for {0} in the manifest list entries")]
    NoPlatform(Platform),
    /// A blob that is longer or shorter than its descriptor says.
    #[error("blob {digest}: the registry sent {got} bytes instead of {want}")]
    Length {
        /// Which.
        digest: Digest,
        /// By its descriptor.
        want: u64,
        /// What came, or was announced.
        got: u64,
    },
    /// No byte came for the given number of seconds, several times.
    #[error("blob {digest}: the registry sent nothing for {seconds} seconds")]
    Stalled {
        /// Which.
        digest: Digest,
        /// The time limit.
        seconds: u64,
    },
    /// The connection broke while a blob was read, several times.
    #[error("blob {digest}: {reason}")]
    Interrupted {
        /// Which.
        digest: Digest,
        /// What happened last.
        reason: String,
    },
    /// A file that a user named by URL cannot be had.
    #[error("failed to GET {url} with status {status}: {body}")]
    Download {
        /// The address.
        url: String,
        /// The server's status line.
        status: String,
        /// The start of its answer.
        body: String,
    },
    /// A search that was refused, with the HTTP status.
    #[error("Unexpected status code {0}")]
    SearchStatus(u16),
    /// The answer to a search makes no sense.
    #[error("error decoding registry search results: {0}")]
    Search(#[source] serde_json::Error),
    /// What was to be uploaded could not be read here.
    #[error("{0}")]
    Source(#[source] std::io::Error),
    /// The registry wants a name and password, and none are known.
    #[error("no basic auth credentials")]
    NoCredentials,
    /// Credentials that the registry does not let in.
    #[error("login attempt to {url} failed with status: {status}")]
    Login {
        /// What was asked for.
        url: String,
        /// The status line.
        status: String,
    },
    /// The certificates for a registry cannot be used.
    #[error("{0}")]
    Certificates(String),
    /// The HTTP client could not be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Setup(String),
    /// Not a usable URL.
    #[error("invalid registry address {0:?}")]
    Address(String),
}

impl Error {
    /// The HTTP status of the first entry of the registry's error document, if it sent one.
    pub fn status(&self) -> Option<u16> {
        self.item().map(ErrorItem::status)
    }

    /// Whether no registry was reached at all.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Transport { unreachable: true, .. })
    }

    /// Whether a server without TLS was asked by HTTPS.
    pub fn is_plain_http(&self) -> bool {
        matches!(self, Self::Transport { reason, .. } if reason == PLAIN_HTTP)
    }

    /// The first entry of the registry's error document, if it sent one.
    pub fn item(&self) -> Option<&ErrorItem> {
        match self {
            Self::Registry { items, .. } => items.first(),
            _ => None,
        }
    }
}

fn join(items: &[ErrorItem]) -> String {
    match items {
        [one] => one.to_string(),
        many => many.iter().fold("errors:\n".to_owned(), |text, item| text + &item.to_string() + "\n"),
    }
}

fn nullable<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<String, D::Error> {
    Ok(<Option<String> as serde::Deserialize>::deserialize(deserializer)?.unwrap_or_default())
}

/// What the distribution project says about its codes: name, default message, HTTP status. Any other code counts as
/// `UNKNOWN`, the first.
const KNOWN: [(&str, &str, u16); 18] = [
    ("UNKNOWN", "unknown error", 500),
    ("UNSUPPORTED", "The operation is unsupported.", 405),
    ("UNAUTHORIZED", "authentication required", 401),
    ("DENIED", "requested access to the resource is denied", 403),
    ("UNAVAILABLE", "service unavailable", 503),
    ("TOOMANYREQUESTS", "too many requests", 429),
    ("DIGEST_INVALID", "provided digest did not match uploaded content", 400),
    ("SIZE_INVALID", "provided length did not match content length", 400),
    ("NAME_INVALID", "invalid repository name", 400),
    ("TAG_INVALID", "manifest tag did not match URI", 400),
    ("NAME_UNKNOWN", "repository name not known to registry", 404),
    ("MANIFEST_UNKNOWN", "manifest unknown", 404),
    ("MANIFEST_INVALID", "manifest invalid", 400),
    ("MANIFEST_UNVERIFIED", "manifest failed signature verification", 400),
    ("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", 400),
    ("BLOB_UNKNOWN", "blob unknown to registry", 404),
    ("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", 404),
    ("BLOB_UPLOAD_INVALID", "blob upload invalid", 404),
];

fn known(code: &str) -> (&'static str, &'static str, u16) {
    KNOWN.into_iter().find(|(known, ..)| *known == code).unwrap_or(KNOWN[0])
}
