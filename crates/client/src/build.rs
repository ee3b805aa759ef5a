//! `/build/…`.

use serde::de::DeserializeOwned;
use wharf_api::Filters;

use crate::{Client, Hijacked, Result, containers::filters, query::Query, transport::Payload};

/// How much of the build cache is removed.
#[derive(Debug, Clone, Default)]
pub struct BuildPruneOptions {
    /// Also what images use.
    pub all: bool,
    /// Bytes that are kept.
    pub keep: i64,
    /// Which records.
    pub filters: Filters,
}

impl Client {
    /// Opens the stream of frames of a build.
    ///
    /// # Errors
    /// [`crate::Error::Response`] with status 404 from an engine that does not know it.
    pub async fn build_session(&self) -> Result<Hijacked> {
        self.hijack(Query::new("/build/session"), Payload::Empty).await
    }

    /// Removes records of the build cache.
    ///
    /// # Errors
    /// [`crate::Error::Response`] for a bad filter.
    pub async fn build_prune<T: DeserializeOwned>(&self, options: &BuildPruneOptions) -> Result<T> {
        let keep = Some(options.keep).filter(|keep| *keep > 0);
        let query = Query::new("/build/prune")
            .flag("all", options.all)
            .number("keep-storage", keep)
            .option("filters", filters(&options.filters).as_deref());
        self.post_for(query).await
    }

    /// The part of `/system/df` that is about the build cache.
    ///
    /// # Errors
    /// Those of any request.
    pub async fn build_cache<T: DeserializeOwned>(&self) -> Result<T> {
        self.get_json(Query::new("/system/df").with("type", "build-cache")).await
    }

    /// Has an image made of what the build step that failed last left.
    ///
    /// # Errors
    /// [`crate::Error::Response`] with status 404 if none failed lately.
    pub async fn build_shell<T: DeserializeOwned>(&self) -> Result<T> {
        self.post_for(Query::new("/build/shell")).await
    }
}
