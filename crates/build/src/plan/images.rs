//! Names of images.

use wharf_oci::Reference;

use super::PlanError;
use super::stage::Stage;

/// Images that a mistyped name is compared with.
pub(super) const COMMON: [&str; 14] = [
    "alpine",
    "busybox",
    "centos",
    "debian",
    "golang",
    "ubuntu",
    "fedora",
    "alpine:latest",
    "busybox:latest",
    "centos:latest",
    "debian:latest",
    "golang:latest",
    "ubuntu:latest",
    "fedora:latest",
];

/// `docker.io/library/alpine:latest`.
pub(super) fn canonical(name: &str) -> Result<String, PlanError> {
    match Reference::parse(name) {
        Ok(reference) => Ok(reference.with_default_tag().to_string()),
        Err(e) => Err(PlanError::new(format!("failed to parse stage name {}: {e}", crate::quote::go(name)))),
    }
}

/// The form in which names of contexts are compared: `alpine`, whatever way it was written.
pub(super) fn familiar(name: &str) -> String {
    match Reference::parse(name) {
        Ok(reference) => {
            let familiar = reference.familiar();
            familiar.strip_suffix(":latest").unwrap_or(&familiar).to_owned()
        }
        Err(_) => name.to_lowercase(),
    }
}

/// compat: a stage that is not needed must still have a name that could be an image's.
pub(super) fn check_name(stage: &Stage<'_>) -> Result<(), PlanError> {
    if stage.base_name == "scratch" || stage.context.is_some() {
        return Ok(());
    }
    canonical(&stage.base_name).map(drop).map_err(|e| e.at(&stage.lines))
}
