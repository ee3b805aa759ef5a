//! What is to come out of a build: the exporters of a request.

use std::collections::HashMap;

use tonic::Status;
use wharf_api::build::Export;
use wharf_oci::Reference;

use super::super::proto::control::{Exporter, SolveRequest};
use super::{Options, list};

/// Where one export goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Output {
    /// It stays in the engine.
    Engine,
    /// A folder of the client.
    Folder,
    /// A file of the client.
    File,
}

/// Reads the exporters.
///
/// # Errors
/// There is no such exporter, or it cannot do what is wanted.
pub(super) fn read(solve: &SolveRequest, options: &mut Options) -> Result<(), Status> {
    let deprecated = [Exporter {
        r#type: solve.exporter_deprecated.clone(),
        attrs: solve.exporter_attrs_deprecated.clone(),
    }];
    let exporters = match solve.exporters.is_empty() {
        true if solve.exporter_deprecated.is_empty() => &[][..],
        true => &deprecated[..],
        false => &solve.exporters,
    };
    for exporter in exporters {
        let (export, output) = output(exporter)?;
        options.request.exports.push(export);
        options.outputs.push(output);
        let names = exporter.attrs.get("name").map(|names| list(names)).unwrap_or_default();
        if options.request.names.is_empty() {
            options.request.names = names;
        }
        if flag(&exporter.attrs, "rewrite-timestamp")? {
            options.request.newest = options.request.epoch;
        }
    }
    if exporters.is_empty() {
        options.request.exports.push(Export::Nothing);
        options.outputs.push(Output::Engine);
    }
    for name in &options.request.names {
        Reference::parse(name)
            .map_err(|error| Status::invalid_argument(format!("failed to parse {name}: {error}")))?;
    }
    Ok(())
}

fn output(exporter: &Exporter) -> Result<(Export, Output), Status> {
    let attrs = &exporter.attrs;
    if let Some(name) = attrs.keys().find(|name| name.starts_with("annotation")) {
        return Err(Status::unimplemented(format!("{name} is not supported")));
    }
    let made = match exporter.r#type.as_str() {
        // Docker's clients push an image by another call when it is there.
        "moby" => (Export::Image, Output::Engine),
        "image" if flag(attrs, "push")? => (Export::Push, Output::Engine),
        "image" => (Export::Image, Output::Engine),
        "local" => (Export::Files, Output::Folder),
        "tar" => (Export::Files, Output::File),
        "oci" | "docker" if attrs.get("tar").is_some_and(|tar| tar == "false") => {
            return Err(Status::unimplemented(format!(
                "exporter {:?} into a folder is not supported",
                exporter.r#type
            )));
        }
        "oci" | "docker" => (Export::Archive, Output::File),
        other => return Err(Status::not_found(format!("exporter {other:?} could not be found"))),
    };
    // What stays here is not compressed, whatever is asked for.
    match attrs.get("compression").map(String::as_str) {
        Some(other) if !matches!(other, "" | "gzip" | "uncompressed") && made.0 != Export::Image => {
            Err(Status::unimplemented(format!("compression {other:?} is not supported")))
        }
        _ => Ok(made),
    }
}

/// As Go reads it.
fn flag(attrs: &HashMap<String, String>, name: &str) -> Result<bool, Status> {
    match attrs.get(name).map(String::as_str) {
        None | Some("" | "0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some(other) => {
            Err(Status::invalid_argument(format!("non-bool value {other:?} specified for {name}")))
        }
    }
}
