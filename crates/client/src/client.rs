//! The client: sending a request, reading its answer, agreeing on an API version.

use std::{
    env,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    ByteStream, Error, Host, JsonLines, Result, Upload,
    query::Query,
    transport::{self, Body, Payload},
};

/// The newest API version this client speaks.
pub const API_VERSION: &str = "1.51";

/// The oldest version worth falling back to.
const OLDEST_MINOR: u32 = 24;

const USER_AGENT: &str = concat!("wharf/", env!("CARGO_PKG_VERSION"), " (linux)");
const TAR: &str = "application/x-tar";

/// A client of one engine. Cheap to clone; clones share the connections that are free.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    host: Host,
    version: Mutex<Version>,
    idle: Mutex<Vec<SendRequest<Body>>>,
    headers: Mutex<HeaderMap>,
}

#[derive(Debug, Clone)]
struct Version {
    text: String,
    /// True once the engine accepted it, or where there is nothing to find out.
    settled: bool,
}

impl Client {
    /// A client for the address given on the command line, else `DOCKER_HOST`, else the default socket.
    /// Nothing is sent yet. `DOCKER_API_VERSION` fixes the API version.
    ///
    /// # Errors
    /// [`Error::Host`] if the address is malformed.
    pub fn from_env(host: Option<&str>) -> Result<Self> {
        Ok(Self::connect(Host::from_env(host)?))
    }

    /// A client for `host`. Connections are opened when they are needed.
    pub fn connect(host: Host) -> Self {
        let fixed = env::var("DOCKER_API_VERSION").ok().filter(|v| !v.is_empty());
        let settled = fixed.is_some() || host.is_default();
        let text = fixed.map_or_else(|| API_VERSION.to_owned(), |v| v.trim_start_matches('v').to_owned());
        let inner = Inner {
            host,
            version: Mutex::new(Version { text, settled }),
            idle: Mutex::default(),
            headers: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The address of the engine.
    pub fn host(&self) -> &Host {
        &self.inner.host
    }

    /// The API version in use.
    pub fn version(&self) -> String {
        self.inner.version.lock().unwrap_or_else(PoisonError::into_inner).text.clone()
    }

    /// Adds headers to every request, as `HttpHeaders` of the client's configuration file asks for.
    pub fn set_headers(&self, headers: HeaderMap) {
        *self.inner.headers.lock().unwrap_or_else(PoisonError::into_inner) = headers;
    }

    /// Opens a connection ahead of its use, so that the next request need not wait for it.
    ///
    /// # Errors
    /// [`Error::Connect`] and its kin.
    pub async fn prepare(&self) -> Result<()> {
        let sender = transport::open(&self.inner.host, "GET", "/").await?;
        self.put_back(sender);
        Ok(())
    }

    /// Finds out the newest version both sides speak, unless that is known.
    ///
    /// # Errors
    /// Those of any request.
    pub async fn negotiate(&self) -> Result<()> {
        let settled = self.inner.version.lock().unwrap_or_else(PoisonError::into_inner).settled;
        if !settled {
            self.ping().await?;
        }
        Ok(())
    }

    /// Takes the engine's version if it is older than ours.
    pub(crate) fn settle(&self, engine: &str) {
        let mut version = self.inner.version.lock().unwrap_or_else(PoisonError::into_inner);
        if !version.settled {
            version.settled = true;
            if minor(engine).is_some_and(|theirs| Some(theirs) < minor(&version.text)) {
                version.text = engine.to_owned();
            }
        }
    }

    // One request of each form.

    pub(crate) async fn get_json<T: DeserializeOwned>(&self, query: Query) -> Result<T> {
        let response = self.send(Method::GET, &query, Payload::Empty, &[]).await?;
        Ok(serde_json::from_slice(&collect(response).await?)?)
    }

    /// As [`Client::get_json`], with headers.
    pub(crate) async fn get_json_with<T: DeserializeOwned>(
        &self,
        query: Query,
        headers: &[(&'static str, String)],
    ) -> Result<T> {
        let response = self.send(Method::GET, &query, Payload::Empty, headers).await?;
        Ok(serde_json::from_slice(&collect(response).await?)?)
    }

    pub(crate) async fn post_json<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        query: Query,
        body: &B,
    ) -> Result<T> {
        let response = self.send(Method::POST, &query, json(body)?, &[]).await?;
        Ok(serde_json::from_slice(&collect(response).await?)?)
    }

    pub(crate) async fn post_for<T: DeserializeOwned>(&self, query: Query) -> Result<T> {
        let response = self.send(Method::POST, &query, Payload::Empty, &[]).await?;
        Ok(serde_json::from_slice(&collect(response).await?)?)
    }

    pub(crate) async fn post_body<B: Serialize + ?Sized>(&self, query: Query, body: &B) -> Result<()> {
        let response = self.send(Method::POST, &query, json(body)?, &[]).await?;
        collect(response).await.map(drop)
    }

    /// Sends a request whose answer has no content; returns the status, as 304 has a meaning of its own.
    pub(crate) async fn call(&self, method: Method, query: Query) -> Result<StatusCode> {
        let response = self.send(method, &query, Payload::Empty, &[]).await?;
        let status = response.status();
        collect(response).await?;
        Ok(status)
    }

    pub(crate) async fn delete_json<T: DeserializeOwned>(&self, query: Query) -> Result<T> {
        let response = self.send(Method::DELETE, &query, Payload::Empty, &[]).await?;
        Ok(serde_json::from_slice(&collect(response).await?)?)
    }

    pub(crate) async fn stream(
        &self,
        method: Method,
        query: Query,
        headers: &[(&'static str, String)],
    ) -> Result<ByteStream> {
        let response = self.send(method, &query, Payload::Empty, headers).await?;
        Ok(ByteStream::new(response.into_body()))
    }

    pub(crate) async fn lines<T>(
        &self,
        method: Method,
        query: Query,
        headers: &[(&'static str, String)],
    ) -> Result<JsonLines<T>> {
        Ok(JsonLines::new(self.stream(method, query, headers).await?))
    }

    pub(crate) async fn upload(&self, method: Method, query: Query, body: Upload) -> Result<ByteStream> {
        // A body that is made while it is sent cannot be sent again with another version.
        self.negotiate().await?;
        let response = self.send(method, &query, Payload::Upload(body, TAR), &[]).await?;
        Ok(ByteStream::new(response.into_body()))
    }

    /// Sends a request and returns its answer, whose body has not been read yet, if the engine accepted it.
    ///
    /// # Errors
    /// [`Error::Response`] for an error status, else connection errors.
    pub(crate) async fn send(
        &self,
        method: Method,
        query: &Query,
        payload: Payload,
        headers: &[(&'static str, String)],
    ) -> Result<Answer> {
        let again = payload.again();
        match self.send_once(&method, query, payload, headers).await {
            Err(Error::Response { status: 400, message }) if self.downgrade(&message) => match again {
                Some(payload) => self.send_once(&method, query, payload, headers).await,
                None => Err(Error::Response { status: 400, message }),
            },
            other => other,
        }
    }

    async fn send_once(
        &self,
        method: &Method,
        query: &Query,
        payload: Payload,
        headers: &[(&'static str, String)],
    ) -> Result<Answer> {
        let url = match query.as_str() {
            ping @ "/_ping" => ping.to_owned(),
            path => format!("/v{}{path}", self.version()),
        };
        let mut sender = self.sender(method, &url).await?;
        let request = self.request(method, &url, payload, headers)?;
        let response = sender.send_request(request).await.map_err(upload_error)?;
        let answer = Answer { response, client: self.clone(), sender };
        if answer.status().is_client_error() || answer.status().is_server_error() {
            return Err(refused(answer).await);
        }
        Ok(answer)
    }

    fn request(
        &self,
        method: &Method,
        url: &str,
        payload: Payload,
        headers: &[(&'static str, String)],
    ) -> Result<Request<Body>> {
        let mut request = Request::builder().method(method).uri(url);
        if let Some(map) = request.headers_mut() {
            map.extend(self.inner.headers.lock().unwrap_or_else(PoisonError::into_inner).clone());
            map.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        }
        request = request.header(header::HOST, self.inner.host.authority());
        if let Some(kind) = payload.content_type() {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        Ok(request.body(payload.into_body())?)
    }

    /// A connection that is free, or a new one.
    async fn sender(&self, method: &Method, url: &str) -> Result<SendRequest<Body>> {
        loop {
            let idle = self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                Some(mut sender) => {
                    if sender.ready().await.is_ok() {
                        return Ok(sender);
                    }
                }
                None => return transport::open(&self.inner.host, method.as_str(), url).await,
            }
        }
    }

    fn put_back(&self, sender: SendRequest<Body>) {
        if !sender.is_closed() {
            self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        }
    }

    /// Falls back to the version the engine names in `client version … is too new. Maximum supported API version is …`.
    fn downgrade(&self, message: &str) -> bool {
        let Some((_, newest)) = message.split_once("is too new. Maximum supported API version is ") else {
            return false;
        };
        let newest = newest.trim().trim_end_matches('.');
        let mut version = self.inner.version.lock().unwrap_or_else(PoisonError::into_inner);
        let older = match (minor(newest), minor(&version.text)) {
            (Some(theirs), Some(ours)) => theirs < ours && theirs >= OLDEST_MINOR,
            _ => false,
        };
        if older {
            *version = Version { text: newest.to_owned(), settled: true };
        }
        older
    }
}

/// The second number of an API version, the first always being 1.
fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("1.")?.parse().ok()
}

fn json<B: Serialize + ?Sized>(body: &B) -> Result<Payload> {
    Ok(Payload::Json(Bytes::from(serde_json::to_vec(body)?)))
}

/// An answer whose body has not been read yet, with the connection it arrives on.
#[derive(Debug)]
pub(crate) struct Answer {
    response: Response<Incoming>,
    client: Client,
    sender: SendRequest<Body>,
}

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// Gives the connection up to the body, which ends with it.
    pub(crate) fn into_body(self) -> Incoming {
        self.response.into_body()
    }

    pub(crate) fn into_response(self) -> Response<Incoming> {
        self.response
    }
}

/// Reads a small body to its end and keeps the connection for the next request.
pub(crate) async fn collect(answer: Answer) -> Result<Bytes> {
    let Answer { response, client, sender } = answer;
    let bytes = response.into_body().collect().await?.to_bytes();
    client.put_back(sender);
    Ok(bytes)
}

/// A request whose own body failed is not the connection's fault.
fn upload_error(error: hyper::Error) -> Error {
    use std::{error::Error as _, io};
    match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(cause) if error.is_user() => Error::Upload(match cause.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(cause.kind(), cause.to_string()),
        }),
        _ => error.into(),
    }
}

/// The error that an answer with an error status carries.
async fn refused(answer: Answer) -> Error {
    #[derive(serde::Deserialize)]
    struct Document {
        message: String,
    }
    let status = answer.status();
    let bytes = match collect(answer).await {
        Ok(bytes) => bytes,
        Err(error) => return error,
    };
    let message = match serde_json::from_slice::<Document>(&bytes) {
        Ok(document) => document.message,
        Err(_) => String::from_utf8_lossy(&bytes).into_owned(),
    };
    let message = match message.trim() {
        "" => format!(
            "request returned {} for API route and version, check if the server supports the requested API version",
            status
        ),
        text => text.to_owned(),
    };
    Error::Response { status: status.as_u16(), message }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client::connect(Host::parse("tcp://127.0.0.1:1").unwrap())
    }

    #[test]
    fn falls_back_to_the_version_an_old_engine_names() {
        let client = client();
        assert!(client.downgrade("client version 1.51 is too new. Maximum supported API version is 1.43"));
        assert_eq!(client.version(), "1.43");
        assert!(!client.downgrade("client version 1.43 is too new. Maximum supported API version is 1.43"));
        assert!(!client.downgrade("client version 1.43 is too new. Maximum supported API version is 1.12"));
        assert!(!client.downgrade("no such container"));
    }

    #[test]
    fn takes_the_older_of_both_versions_once() {
        let client = client();
        client.settle("1.47");
        assert_eq!(client.version(), "1.47");
        client.settle("1.40");
        assert_eq!(client.version(), "1.47");
    }
}
