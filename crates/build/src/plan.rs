//! From a Dockerfile to a graph.

use std::collections::BTreeMap;

use wharf_oci::image::ImageConfig;
use wharf_oci::{Digest, Platform};

/// What a build is asked for besides the Dockerfile.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlanOptions {
    /// Stage to build, by name or number; the last if none.
    pub target: Option<String>,
    /// `--build-arg`.
    pub build_args: BTreeMap<String, String>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// Platforms to build for; the host's if empty.
    pub platforms: Vec<Platform>,
    /// `--build-context`: what each name stands for.
    pub contexts: BTreeMap<String, NamedContext>,
    /// `--no-cache`.
    pub no_cache: bool,
    /// `--no-cache-filter`: stages that do not use the cache.
    pub no_cache_filter: Vec<String>,
    /// `--network` for steps that do not say it themselves: `default`, `none`, `host`.
    pub network: String,
    /// Text of the ignore file, for the check that a copied file is not left out.
    pub ignore: Option<String>,
    /// Seconds since the epoch that all times in the image are set to (`SOURCE_DATE_EPOCH`).
    pub epoch: Option<i64>,
}

/// What a name of `--build-context` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// Files of the client.
    Files,
    /// `docker-image://`: an image.
    Image(String),
    /// `http(s)://` archive or git address.
    Remote(String),
}

/// An image that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedImage {
    /// Canonical name, `docker.io/library/alpine:3.20`, with the digest if one was given.
    pub reference: String,
    /// Its id.
    pub id: Digest,
    /// Its configuration.
    pub config: ImageConfig,
}

/// Finds the images that stages begin with and are copied from.
pub trait Images {
    /// The image with this name for a platform; pulled if need be.
    ///
    /// # Errors
    /// The message that the user sees.
    fn resolve(&self, name: &str, platform: &Platform) -> Result<ResolvedImage, String>;
}
