//! What a client is told when something cannot be done.

use std::io;

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::reply::{Body, full};

/// Result of a handler.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Error codes of the distribution specification, and two of the reference registry for what is not the client's fault:
/// the specification allows no others with a status of 4xx.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    Unauthorized,
    Denied,
    Unsupported,
    TooManyRequests,
    Unavailable,
    Unknown,
}

impl Code {
    /// Its name, and the status that goes with it.
    fn parts(self) -> (&'static str, StatusCode) {
        match self {
            Self::BlobUnknown => ("BLOB_UNKNOWN", StatusCode::NOT_FOUND),
            Self::BlobUploadInvalid => ("BLOB_UPLOAD_INVALID", StatusCode::BAD_REQUEST),
            Self::BlobUploadUnknown => ("BLOB_UPLOAD_UNKNOWN", StatusCode::NOT_FOUND),
            Self::DigestInvalid => ("DIGEST_INVALID", StatusCode::BAD_REQUEST),
            Self::ManifestBlobUnknown => ("MANIFEST_BLOB_UNKNOWN", StatusCode::BAD_REQUEST),
            Self::ManifestInvalid => ("MANIFEST_INVALID", StatusCode::BAD_REQUEST),
            Self::ManifestUnknown => ("MANIFEST_UNKNOWN", StatusCode::NOT_FOUND),
            Self::NameInvalid => ("NAME_INVALID", StatusCode::BAD_REQUEST),
            Self::NameUnknown => ("NAME_UNKNOWN", StatusCode::NOT_FOUND),
            Self::SizeInvalid => ("SIZE_INVALID", StatusCode::BAD_REQUEST),
            Self::Unauthorized => ("UNAUTHORIZED", StatusCode::UNAUTHORIZED),
            Self::Denied => ("DENIED", StatusCode::FORBIDDEN),
            Self::Unsupported => ("UNSUPPORTED", StatusCode::METHOD_NOT_ALLOWED),
            Self::TooManyRequests => ("TOOMANYREQUESTS", StatusCode::TOO_MANY_REQUESTS),
            Self::Unavailable => ("UNAVAILABLE", StatusCode::SERVICE_UNAVAILABLE),
            Self::Unknown => ("UNKNOWN", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// An answer other than success. Small, because every result has room for one.
#[derive(Debug)]
pub(crate) struct Failure(Box<Answer>);

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    code: Code,
    message: String,
    detail: Value,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Failure {
    /// A failure with the status of its code.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        let status = code.parts().1;
        let message = message.into();
        Self(Box::new(Answer { status, code, message, detail: Value::Null, headers: Vec::new() }))
    }

    /// With another status.
    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// With a detail for programs.
    pub(crate) fn detail(mut self, detail: Value) -> Self {
        self.0.detail = detail;
        self
    }

    /// With a header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// The code.
    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    /// The message.
    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// A blob that the repository does not have.
    pub(crate) fn blob_unknown(digest: &wharf_oci::Digest) -> Self {
        Self::new(Code::BlobUnknown, "blob unknown to registry").detail(json!({"digest": digest}))
    }

    /// A manifest that the repository does not have.
    pub(crate) fn manifest_unknown(reference: &str) -> Self {
        Self::new(Code::ManifestUnknown, "manifest unknown").detail(json!({"reference": reference}))
    }

    /// A repository that the registry does not have.
    pub(crate) fn name_unknown(name: &super::name::Name) -> Self {
        Self::new(Code::NameUnknown, "repository name not known to registry")
            .detail(json!({"name": name.as_str()}))
    }

    /// The answer.
    pub(crate) fn response(self) -> Response<Body> {
        let answer = *self.0;
        let mut item = json!({"code": answer.code.parts().0, "message": answer.message});
        if !answer.detail.is_null() {
            item["detail"] = answer.detail;
        }
        let mut response = Response::new(full(json!({"errors": [item]}).to_string() + "\n"));
        *response.status_mut() = answer.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in answer.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                tracing::error!(%error, "the storage is full");
                Self::new(Code::Unavailable, "the registry's storage is full: no space left on device")
                    .status(StatusCode::INSUFFICIENT_STORAGE)
            }
            io::ErrorKind::ReadOnlyFilesystem => {
                Self::new(Code::Unsupported, "the registry's storage is read-only")
            }
            _ => {
                tracing::error!(%error, "the storage failed");
                Self::new(Code::Unknown, format!("the registry's storage failed: {error}"))
            }
        }
    }
}
