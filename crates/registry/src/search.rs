//! Searching: the hub's old protocol, and the catalog of registries that do not speak it.

use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use crate::auth::{Authorizer, Credentials};
use crate::client::Client;
use crate::endpoint::{self, Endpoint};
use crate::error::{Error, Result};
use crate::failure;

const HUB_INDEX: &str = "index.docker.io";
/// Answers are lists of at most 100 short entries; a catalog is read page by page.
const MAX_ANSWER: u64 = 4 << 20;

/// A repository that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Found {
    /// Its name in the registry.
    pub name: String,
    /// What its owner says of it.
    pub description: String,
    /// How many people marked it.
    pub star_count: i64,
    /// Kept by the registry's own people.
    pub is_official: bool,
    /// No longer used by anybody.
    pub is_automated: bool,
}

impl Client {
    /// Repositories that fit `term`, at most `limit`. A registry may be named before the first slash.
    pub async fn search(
        &self,
        term: &str,
        limit: usize,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<Found>> {
        let (domain, term) = split(term);
        let mut last = Error::Address(domain.to_owned());
        let host = if domain == endpoint::HUB { HUB_INDEX } else { domain };
        for endpoint in endpoint::endpoints(host, &[], self.insecure()).await {
            match self.search_index(&endpoint, term, limit, credentials).await {
                Err(error @ Error::Transport { .. }) => last = error,
                Err(Error::SearchStatus(404)) if domain != endpoint::HUB => {
                    return self.search_catalog(&endpoint, term, limit, credentials).await;
                }
                other => return other,
            }
        }
        Err(last)
    }

    async fn search_index(
        &self,
        endpoint: &Endpoint,
        term: &str,
        limit: usize,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<Found>> {
        #[derive(Deserialize)]
        struct Answer {
            results: Option<Vec<Found>>,
        }

        let address = format!("{}/v1/search", endpoint.base);
        let mut url = Url::parse(&address).map_err(|_| Error::Address(address))?;
        url.query_pairs_mut().append_pair("q", term).append_pair("n", &limit.to_string());
        let mut request = self.http(endpoint)?.request(Method::GET, url.clone());
        if let Some(credentials) = credentials.filter(|c| !c.username.is_empty()) {
            request = request.basic_auth(&credentials.username, Some(&credentials.password));
        }
        let response = match tokio::time::timeout(self.config().ping_timeout, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(failure::transport("Get", &url, &error).await),
            Err(_) => return Err(failure::timeout("Get", &url)),
        };
        if response.status() != StatusCode::OK {
            return Err(Error::SearchStatus(response.status().as_u16()));
        }
        let body =
            crate::repository::limited(response, "search result", MAX_ANSWER, self.config().stall_timeout)
                .await?;
        let answer: Answer = serde_json::from_slice(&body).map_err(Error::Search)?;
        let mut found = answer.results.unwrap_or_default();
        found.truncate(limit);
        Ok(found)
    }

    async fn search_catalog(
        &self,
        endpoint: &Endpoint,
        term: &str,
        limit: usize,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<Found>> {
        let scopes = vec!["registry:catalog:*".to_owned()];
        let registry = self.connect(endpoint, "", Authorizer::new(credentials.cloned(), scopes)).await?;
        let fits = |name: &String| name.contains(term);
        let names = registry.catalog(&fits, limit).await?;
        Ok(names.into_iter().map(|name| Found { name, ..Found::default() }).collect())
    }
}

/// The registry and what is to be looked for there; `library/` stands for the hub's own repositories.
fn split(term: &str) -> (&str, &str) {
    match term.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => match host {
            "docker.io" | HUB_INDEX => (endpoint::HUB, rest.strip_prefix("library/").unwrap_or(rest)),
            host => (host, rest),
        },
        _ => (endpoint::HUB, term.strip_prefix("library/").unwrap_or(term)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms() {
        assert_eq!(split("centos"), ("docker.io", "centos"));
        assert_eq!(split("library/centos"), ("docker.io", "centos"));
        assert_eq!(split("me/centos"), ("docker.io", "me/centos"));
        assert_eq!(split("docker.io/centos"), ("docker.io", "centos"));
        assert_eq!(split("r.example:5000/a/b"), ("r.example:5000", "a/b"));
        assert_eq!(split("localhost/a"), ("localhost", "a"));
    }
}
