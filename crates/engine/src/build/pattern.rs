//! What `--exclude`, `--chmod` and ignore files say, in the engine's terms.

use wharf_build::{ignore::Matcher, mode::Mode};

use crate::{Error, Result};

/// What `--exclude` leaves out, by the path below the source.
pub(super) struct Excludes(Matcher);

impl Excludes {
    pub(super) fn new(patterns: &[String]) -> Result<Self> {
        Matcher::new(patterns.iter().map(String::as_str)).map(Self).map_err(Error::invalid)
    }

    pub(super) fn excludes(&self, path: &str) -> bool {
        !self.0.is_empty() && self.0.excluded(path)
    }
}

/// The mode that `--chmod` makes of one.
pub(super) fn chmod(text: &str, mode: u32, is_folder: bool) -> Result<u32> {
    let change = Mode::parse(text).map_err(|error| Error::invalid(error.to_string()))?;
    Ok(change.apply(mode, is_folder))
}
