//! Dockerfile to graph to cached execution. Knows neither the engine nor its clients.
//!
//! - [`check`]: the build checks by their published names
//! - [`dockerfile`]: text to instructions
//! - [`expand`]: variables in their words
//! - [`graph`]: what a build consists of: steps that depend on each other, and the images they end in
//! - [`plan`]: from a Dockerfile to a graph
//! - [`glob`], [`ignore`]: patterns of paths
//! - [`mode`]: permissions as `--chmod` gives them
//! - [`quote`]: text in quotes as Go writes it
//! - [`report`]: what a Dockerfile says about itself, as documents
//! - [`solve`]: walking a graph

pub mod check;
pub mod dockerfile;
mod excerpt;
pub mod expand;
pub mod glob;
pub mod graph;
pub mod ignore;
mod key;
pub mod mode;
pub mod plan;
pub mod quote;
pub mod report;
pub mod solve;

pub use excerpt::excerpt;

/// A finding of the build checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Name of the check, `StageNameCasing`.
    pub check: String,
    /// What was found.
    pub message: String,
    /// What the check is about.
    pub description: String,
    /// Lines of the Dockerfile, from 1.
    pub lines: std::ops::RangeInclusive<usize>,
}
