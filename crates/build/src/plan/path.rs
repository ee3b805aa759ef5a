//! Paths of copies, as text.

use wharf_oci::path::{clean, join};

/// Destination of a copy: absolute, and ending in `/` if it must be a folder.
pub(super) fn destination(folder: &str, path: &str) -> String {
    let mut out = join(folder, path);
    let is_folder = path.is_empty() || path == "." || path.ends_with('/') || path.ends_with("/.");
    if is_folder && out != "/" {
        out.push('/');
    }
    out
}

/// Source of a copy, from the root. With `--parents` the first `/./` stays: from there on paths are kept.
pub(super) fn source(path: &str, parents: bool) -> String {
    match path.split_once("/./").filter(|_| parents) {
        Some((before, after)) => {
            let before = clean(before);
            format!("{}/.{}", if before == "/" { "" } else { &before }, clean(after))
        }
        None => clean(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_copies() {
        assert_eq!(destination("/w", "."), "/w/");
        assert_eq!(destination("/", "."), "/");
        assert_eq!(destination("/w", "x/"), "/w/x/");
        assert_eq!(source("a/./b/c", true), "/a/./b/c");
        assert_eq!(source("./a/./b", true), "/a/./b");
        assert_eq!(source("a/./b/c", false), "/a/b/c");
    }
}
