//! `-v`: `[SOURCE:]TARGET[:OPTIONS]`.

use std::path::Path;

use wharf_api::{Empty, Set};

use super::absolute;

/// What the volumes asked for come to.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    /// Those with a source, as the engine wants them.
    pub(super) binds: Vec<String>,
    /// Those without: paths that get a volume of their own.
    pub(super) anonymous: Set,
}

pub(super) fn parse(specs: &[String], folder: &Path) -> Result<Volumes, String> {
    let mut volumes = Volumes::default();
    for spec in specs {
        match source(spec)? {
            None => {
                volumes.anonymous.insert(spec.clone(), Empty);
            }
            Some(_) => {
                let bind = relative_to(spec, folder);
                if !volumes.binds.contains(&bind) {
                    volumes.binds.push(bind);
                }
            }
        }
    }
    Ok(volumes)
}

/// A source that begins with a dot is a path seen from the client's folder.
fn relative_to(spec: &str, folder: &Path) -> String {
    match spec.split_once(':') {
        Some((source, rest)) if source.starts_with('.') => format!("{}:{rest}", absolute(folder, source)),
        _ => spec.to_owned(),
    }
}

/// The source of a volume, if it has one.
fn source(spec: &str) -> Result<Option<String>, String> {
    if spec.is_empty() {
        return Err("invalid empty volume spec".to_owned());
    }
    let sections = sections(spec);
    let problem = |why: &str| Err(format!("invalid spec: {spec}: {why}"));
    if spec.chars().count() > 2 {
        if sections.iter().any(String::is_empty) {
            return problem("empty section between colons");
        }
        if sections.len() > 3 {
            return problem("too many colons");
        }
    }
    Ok(if sections.len() > 1 { sections.into_iter().next() } else { None })
}

/// What stands between the colons.
///
/// compat: a single letter before a colon is taken for the drive of a Windows path, so `v:/data` has no source.
fn sections(spec: &str) -> Vec<String> {
    let mut sections = vec![String::new()];
    for c in spec.chars() {
        let Some(last) = sections.last_mut() else { break };
        let drive = last.chars().count() == 1 && last.chars().all(char::is_alphabetic);
        if c == ':' && !drive {
            sections.push(String::new());
        } else {
            last.push(c);
        }
    }
    sections
}
