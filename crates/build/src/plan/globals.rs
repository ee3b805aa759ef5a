//! Build arguments before the first stage: those that are always there, and those of the file.

use wharf_oci::Platform;

use super::env::Env;
use super::{PlanError, PlanOptions};
use crate::dockerfile::{Dockerfile, Kind};
use crate::expand::Lexer;

/// Values of all global arguments.
pub(super) fn of(
    file: &Dockerfile,
    options: &PlanOptions,
    platform: &Platform,
    lexer: &Lexer,
) -> Result<Env, PlanError> {
    let mut env = predefined(file, options, platform);
    for instruction in &file.global_args {
        let Kind::Arg(args) = &instruction.kind else { continue };
        for arg in args {
            let value = match (options.build_args.get(&arg.name), &arg.default) {
                (Some(value), _) => value.clone(),
                (None, Some(default)) => {
                    let expanded = lexer.expand(default, &env);
                    expanded.map_err(|e| PlanError::new(e.to_string()).at(&instruction.lines))?.text
                }
                (None, None) => continue,
            };
            env.set(&arg.name, &value);
        }
    }
    Ok(env)
}

/// The same as if no `--build-arg` were given: what the file says by itself. What cannot be expanded is left out.
pub(super) fn without_arguments(
    file: &Dockerfile,
    options: &PlanOptions,
    platform: &Platform,
    lexer: &Lexer,
) -> Env {
    let options = PlanOptions { target: options.target.clone(), ..PlanOptions::default() };
    of(file, &options, platform, lexer).unwrap_or_else(|_| predefined(file, &options, platform))
}

fn predefined(file: &Dockerfile, options: &PlanOptions, target: &Platform) -> Env {
    let build = Platform::host();
    let stage = match options.target.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => name,
        None => file.stages.last().map(|stage| stage.name.as_str()).unwrap_or_default(),
    };
    let stage = if stage.is_empty() { "default" } else { stage };
    let mut env = Env::default();
    for (name, value) in [
        ("BUILDPLATFORM", build.to_string()),
        ("BUILDOS", build.os),
        ("BUILDOSVERSION", build.os_version),
        ("BUILDARCH", build.architecture),
        ("BUILDVARIANT", build.variant),
        ("TARGETPLATFORM", target.to_string()),
        ("TARGETOS", target.os.clone()),
        ("TARGETOSVERSION", target.os_version.clone()),
        ("TARGETARCH", target.architecture.clone()),
        ("TARGETVARIANT", target.variant.clone()),
        ("TARGETSTAGE", stage.to_owned()),
    ] {
        env.set(name, options.build_args.get(name).unwrap_or(&value));
    }
    env
}
