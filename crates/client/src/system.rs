//! `/_ping`, `/version`, `/info`, `/events`, `/system/df` and `/auth`.

use http::Method;
use serde::de::DeserializeOwned;
use wharf_api::{
    Filters,
    auth::{AuthConfig, AuthResponse},
};

use crate::{
    Client, JsonLines, Result, client::collect, containers::filters, query::Query, transport::Payload,
};

impl Client {
    /// Asks whether the engine is there, and settles the API version. Returns the engine's newest version.
    ///
    /// # Errors
    /// [`crate::Error::Connect`] if nothing answers.
    pub async fn ping(&self) -> Result<String> {
        let answer = self.send(Method::HEAD, &Query::new("/_ping"), Payload::Empty, &[]).await?;
        // An engine from before the header speaks 1.24.
        let version = answer.header("api-version").unwrap_or("1.24").to_owned();
        collect(answer).await?;
        self.settle(&version);
        Ok(version)
    }

    /// The versions of the engine and its parts.
    ///
    /// # Errors
    /// Those of any request.
    pub async fn server_version<T: DeserializeOwned>(&self) -> Result<T> {
        self.get_json(Query::new("/version")).await
    }

    /// The state of the engine and its host.
    ///
    /// # Errors
    /// Those of any request.
    pub async fn info<T: DeserializeOwned>(&self) -> Result<T> {
        self.get_json(Query::new("/info")).await
    }

    /// What happens, from `since` on and up to `until`: seconds since the epoch with an optional fraction, or
    /// RFC 3339; empty for from now on and for ever.
    ///
    /// # Errors
    /// [`crate::Error::Response`] for a bad time or filter.
    pub async fn events<T>(&self, since: &str, until: &str, which: &Filters) -> Result<JsonLines<T>> {
        let query = Query::new("/events")
            .option("since", Some(since))
            .option("until", Some(until))
            .option("filters", filters(which).as_deref());
        self.lines(Method::GET, query, &[]).await
    }

    /// How much disk everything takes.
    ///
    /// # Errors
    /// Those of any request.
    pub async fn disk_usage<T: DeserializeOwned>(&self) -> Result<T> {
        self.get_json(Query::new("/system/df")).await
    }

    /// Has the engine compare its records with its files, and mend what it can if `repair` is set. Only this engine has
    /// that call.
    ///
    /// # Errors
    /// [`crate::Error::Response`] with status 404 from other engines.
    pub async fn system_check<T: DeserializeOwned>(&self, repair: bool) -> Result<T> {
        self.post_for(Query::new("/wharf/check").flag("repair", repair)).await
    }

    /// Has the engine try credentials at their registry.
    ///
    /// # Errors
    /// [`crate::Error::Response`] with status 401 if they are refused.
    pub async fn auth(&self, credentials: &AuthConfig) -> Result<AuthResponse> {
        self.post_json(Query::new("/auth"), credentials).await
    }
}
