//! `spec`.

use std::path::Path;
use std::process::ExitCode;

use super::Failure;
use super::flags::Flags;
use crate::error::{Context as _, Error};
use crate::spec::default_spec;

pub(super) fn run(args: Vec<String>) -> Result<ExitCode, Failure> {
    let flags = Flags::parse(&[("bundle", Some('b'), true), ("rootless", None, false)], args)?;
    let path = Path::new(flags.value("bundle").unwrap_or(".")).join("config.json");
    if path.exists() {
        return Err(Error::Config("file config.json exists. Remove it first".into()).into());
    }
    let text = serde_json::to_string_pretty(&default_spec(flags.is_set("rootless")))
        .map_err(|error| Error::State(error.to_string()))?;
    std::fs::write(&path, format!("{text}\n")).setup(|| format!("open {}", path.display()))?;
    Ok(ExitCode::SUCCESS)
}
