//! `/build/…`.

use serde::de::DeserializeOwned;
use wharf_api::Filters;

use crate::{Client, Hijacked, Result, containers::filters, query::Query, transport::Payload};

/// How much of the build cache is removed.
#[derive(Debug, Clone, Default)]
pub struct BuildPruneOptions {
    /// Also what images use.
    pub all: bool,
    /// Bytes that are kept in any case.
    pub reserved_space: i64,
    /// Bytes that are kept at most.
    pub max_used_space: i64,
    /// Bytes of the disk that are to be free afterwards.
    pub min_free_space: i64,
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
        let said = |bytes: i64| Some(bytes).filter(|bytes| *bytes > 0);
        let query = Query::new("/build/prune")
            .flag("all", options.all)
            // An engine of before API 1.48 knows the first by this name only.
            .number("keep-storage", said(options.reserved_space))
            .number("reserved-space", said(options.reserved_space))
            .number("max-used-space", said(options.max_used_space))
            .number("min-free-space", said(options.min_free_space))
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
