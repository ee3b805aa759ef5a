//! Dockerfile to graph to cached execution. Knows neither the engine nor its clients.
//!
//! - [`graph`]: what a build consists of: steps that depend on each other, and the images they end in
//! - [`plan`]: from a Dockerfile to a graph
//! - [`solve`]: walking a graph

pub mod graph;
pub mod plan;
pub mod solve;

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
