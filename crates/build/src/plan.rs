//! From a Dockerfile to a graph.
//!
//! Order of things: global arguments, stages and what they need of each other, images of those that the target needs
//! with their triggers, then instruction by instruction. Nothing here does I/O but through [`Images`].

mod base;
mod changes;
mod copy;
mod env;
mod error;
mod expose;
mod globals;
mod images;
mod named;
mod needs;
mod nodes;
mod outline;
mod path;
mod planner;
mod remote;
mod run;
mod signal;
mod stage;
mod steps;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod text;

use std::collections::BTreeMap;

use wharf_oci::image::ImageConfig;
use wharf_oci::{Digest, Platform};

pub use changes::apply_changes;
pub use error::PlanError;
pub(crate) use expose::Exposed;
pub use named::named_images;
pub use outline::{Outline, OutlineArg, Wanted, outline};
pub use remote::git_context;

use crate::Warning;
use crate::check::Checks;
use crate::dockerfile::Dockerfile;
use crate::graph::Graph;
use nodes::Nodes;
use planner::Planner;

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
    /// Times of files in layers that are later become this one (`rewrite-timestamp`), in seconds since the epoch.
    pub newest: Option<i64>,
    /// Whether it is to be told what each instruction comes to.
    pub milestones: bool,
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

/// Plans a build: the steps that the target needs, and the images they end in.
///
/// # Errors
/// In Docker's words, with the lines that are wrong.
pub fn plan(file: &Dockerfile, options: &PlanOptions, images: &dyn Images) -> Result<Graph, PlanError> {
    let mut checks = checks(file, options)?;
    let mut nodes = Nodes::default();
    let mut outputs = Vec::new();
    for platform in platforms(options) {
        outputs.push(Planner::new(file, options, images, platform, &mut nodes, &mut checks).run()?);
    }
    if let Some(error) = checks.error() {
        return Err(PlanError::new(error));
    }
    let milestones = std::mem::take(&mut nodes.milestones);
    Ok(Graph { nodes: nodes.finish(), outputs, milestones, warnings: checks.finish() })
}

/// What the build checks find.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// In the order of lines.
    pub warnings: Vec<Warning>,
    /// Why a build would fail, as far as that can be told without one.
    pub error: Option<PlanError>,
}

/// Does the build checks: of the target and what it needs, or of all stages if there is no target.
pub fn check(file: &Dockerfile, options: &PlanOptions, images: &dyn Images) -> Findings {
    let mut checks = match checks(file, options) {
        Ok(checks) => checks,
        Err(error) => return Findings { warnings: Vec::new(), error: Some(error) },
    };
    let mut nodes = Nodes::default();
    let platform = platforms(options).swap_remove(0);
    let mut planner = Planner::new(file, options, images, platform, &mut nodes, &mut checks);
    planner.all_stages = options.target.as_deref().unwrap_or_default().is_empty();
    let error = planner.run().err();
    Findings { error: error.or_else(|| checks.error().map(PlanError::new)), warnings: checks.finish() }
}

/// The control of the checks: the build argument, else the file's head.
fn checks(file: &Dockerfile, options: &PlanOptions) -> Result<Checks, PlanError> {
    let control = options.build_args.get("BUILDKIT_DOCKERFILE_CHECK").or(file.directives.check.as_ref());
    Checks::new(control.map_or("", String::as_str), options.ignore.as_deref()).map_err(PlanError::new)
}

fn platforms(options: &PlanOptions) -> Vec<Platform> {
    if options.platforms.is_empty() { vec![Platform::host()] } else { options.platforms.clone() }
}
