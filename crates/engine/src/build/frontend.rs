//! `# syntax=`: the language of a Dockerfile is the engine's own, whatever version of it is named; another language is
//! refused.

use wharf_build::{dockerfile::Dockerfile, plan::PlanOptions};
use wharf_oci::Reference;

use super::failure::BuildError;

/// Repositories of the frontend that this builder stands for, in whatever registry they are mirrored.
const KNOWN: [&str; 2] = ["docker/dockerfile", "docker/dockerfile-upstream"];

/// Refuses a Dockerfile in another language; the build argument `BUILDKIT_SYNTAX` overrules the file.
///
/// # Errors
/// Names the frontend.
pub(super) fn check(dockerfile: &Dockerfile, options: &PlanOptions) -> Result<(), BuildError> {
    let said = options.build_args.get("BUILDKIT_SYNTAX").or(dockerfile.directives.syntax.as_ref());
    // Words after the image are arguments of the frontend.
    let Some(image) = said.and_then(|said| said.split_whitespace().next()) else { return Ok(()) };
    match is_known(image) {
        true => Ok(()),
        false => Err(BuildError::new(format!("frontend {image}: only Dockerfiles are supported"))),
    }
}

fn is_known(image: &str) -> bool {
    let Ok(reference) = Reference::parse(image) else { return false };
    let path = reference.path();
    KNOWN.iter().any(|known| path == *known || path.ends_with(&format!("/{known}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_known() {
        assert!(is_known("docker/dockerfile:1"));
        assert!(is_known("docker/dockerfile-upstream:master-labs"));
        assert!(is_known("mirror.example:5000/hub/docker/dockerfile:1.7"));
        assert!(!is_known("docker/dockerfile-other"));
        assert!(!is_known("example/buildpack"));
        assert!(!is_known("NO NAME"));
    }
}
