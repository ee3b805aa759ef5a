//! `cargo xtask tidy`: rules of the workspace that the compiler does not know.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::metadata;

/// Which crates a crate may depend on; the map of ARCHITECTURE.md.
const ARROWS: [(&str, &[&str]); 16] = [
    ("oci", &[]),
    ("api", &["oci"]),
    ("sys", &[]),
    ("db", &[]),
    ("template", &[]),
    ("store", &["oci", "db", "sys"]),
    ("net", &["db", "sys"]),
    ("runtime", &["sys", "oci"]),
    ("monitor", &["runtime", "sys", "oci"]),
    ("registry", &["oci"]),
    ("build", &["oci"]),
    (
        "engine",
        &["api", "build", "oci", "db", "store", "net", "monitor", "runtime", "registry", "sys", "template"],
    ),
    ("server", &["api", "build", "engine", "oci", "sys"]),
    ("client", &["api", "oci"]),
    ("cli", &["api", "build", "client", "oci", "registry", "template"]),
    ("wharf", &["cli", "engine", "monitor", "registry", "runtime", "server", "sys"]),
];

/// Licences that dependencies may have, as they appear in SPDX expressions.
const LICENCES: [&str; 15] = [
    "Apache-2.0",
    "MIT",
    "MIT-0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "bzip2-1.0.6",
    "0BSD",
];

/// Longest source file, in lines.
const LONGEST_FILE: usize = 700;

/// Checks everything.
///
/// # Errors
/// All violations, one a line.
pub(crate) fn run() -> Result<()> {
    let metadata = metadata()?;
    let mut found = arrows(&metadata)?;
    found.extend(licences(&metadata)?);
    found.extend(long_files(Path::new("crates"))?);
    ensure!(found.is_empty(), "{}", found.join("\n"));
    println!("==> tidy: arrows, licences and file sizes are in order");
    Ok(())
}

fn packages(metadata: &Value) -> Result<&Vec<Value>> {
    metadata["packages"].as_array().context("cargo metadata lists no packages")
}

fn arrows(metadata: &Value) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let folder = |name: &str| name.strip_prefix("wharf-").unwrap_or(name).to_owned();
    for package in packages(metadata)? {
        let name = package["name"].as_str().unwrap_or_default();
        if !package["source"].is_null() || matches!(name, "xtask" | "wharf-tests") {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(crate_, _)| *crate_ == folder(name)) else {
            found.push(format!("{name}: not in the list of arrows (xtask/src/tidy.rs)"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            let own = dependency["path"].is_string() && dependency["kind"].is_null();
            if own && !allowed.contains(&folder(on).as_str()) {
                found.push(format!("{name} must not depend on {on}"));
            }
        }
    }
    Ok(found)
}

fn licences(metadata: &Value) -> Result<Vec<String>> {
    let allowed: BTreeSet<_> = LICENCES.into();
    let mut found = Vec::new();
    for package in packages(metadata)? {
        let name = package["name"].as_str().unwrap_or_default();
        let licence = package["license"].as_str().unwrap_or_default().replace('/', " OR ");
        // An expression is fine if one of its alternatives is: every part joined by AND must be allowed.
        let fine = licence.split(" OR ").any(|alternative| {
            alternative
                .split(" AND ")
                .map(|part| part.trim_matches(['(', ')', ' ']).split(" WITH ").next().unwrap_or_default())
                .all(|part| allowed.contains(part))
        });
        if !fine {
            found.push(format!("{name}: licence {licence:?} is not on the list"));
        }
    }
    Ok(found)
}

fn long_files(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(long_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let lines = fs::read_to_string(&path)?.lines().count();
            if lines > LONGEST_FILE {
                found.push(format!("{}: {lines} lines, more than {LONGEST_FILE}", path.display()));
            }
        }
    }
    Ok(found)
}
