//! What the prune commands report.

use crate::{print, render};

/// Lists what was removed, if anything.
pub(crate) fn report(title: &str, removed: &[String]) {
    if !removed.is_empty() {
        print::out(&format!("{title}\n{}\n\n", removed.join("\n")));
    }
}

/// The last line.
pub(crate) fn total(bytes: u64) {
    print::line(&format!("Total reclaimed space: {}", render::human_size(bytes as f64)));
}
