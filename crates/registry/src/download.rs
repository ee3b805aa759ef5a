//! Plain downloads, for archives that users name by URL.

use bytes::Bytes;
use reqwest::{Response, Url};

use crate::client::Client;
use crate::endpoint;
use crate::error::{Error, Result};
use crate::failure;

/// A file that is being downloaded.
#[derive(Debug)]
pub struct Download {
    url: Url,
    response: Response,
    stall: std::time::Duration,
}

impl Client {
    /// Asks for the file at `address`; without a scheme, HTTP is meant.
    pub async fn download(&self, address: &str) -> Result<Download> {
        let address = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        let bad = || Error::Address(address.clone());
        let url = Url::parse(&address).map_err(|_| bad())?;
        let host = url.host_str().ok_or_else(bad)?;
        let loopback = endpoint::is_loopback(&endpoint::addresses(host).await);
        let http = self.http(&endpoint::Endpoint {
            base: address.clone(),
            host: host.to_owned(),
            verify: true,
            loopback,
            mirror: false,
        })?;
        let stall = self.config().stall_timeout;
        let response = match tokio::time::timeout(stall, http.get(url.clone()).send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(failure::transport("Get", &url, &error).await),
            Err(_) => return Err(failure::timeout("Get", &url)),
        };
        let status = response.status();
        if status.is_client_error() || status.is_server_error() {
            let status = failure::status_line(status);
            return Err(Error::Download { url: address, status, body: failure::body(response).await });
        }
        Ok(Download { url, response, stall })
    }
}

impl Download {
    /// The address, with its scheme.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Length in bytes, if the server says it.
    pub fn size(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The next bytes; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        match tokio::time::timeout(self.stall, self.response.chunk()).await {
            Ok(Ok(part)) => Ok(part),
            Ok(Err(error)) => Err(failure::transport("Get", &self.url, &error).await),
            Err(_) => Err(failure::timeout("Get", &self.url)),
        }
    }
}
