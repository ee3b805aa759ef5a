//! Where a copy goes and what its first entry is called, decided before anything moves.
//!
//! As with `cp`: into a directory that exists, to a new name otherwise; `DIR/.` means the content of a directory.

use std::path::{Component, Path};

/// One end of a copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct End {
    /// An absolute path, which may end in `/` or `/.`.
    pub(super) path: String,
    pub(super) exists: bool,
    pub(super) directory: bool,
    /// What the first entry is to be called, if not as the path ends.
    pub(super) rename: Option<String>,
}

/// Where an archive is unpacked, and what its first entry is called.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The directory, which must exist.
    pub(super) directory: String,
    /// The name of the first entry in the archive as it is, and the one it is to have.
    pub(super) rename: Option<(String, String)>,
}

/// Plans the copy of `source` to `target`.
///
/// # Errors
/// Docker's message if a directory would replace a file, or a file is to become a directory.
pub(super) fn plan(source: &End, target: &End) -> Result<Plan, String> {
    let (directory, new) = split(&target.path);
    let old = source.rename.clone().unwrap_or_else(|| split(&source.path).1);
    if target.exists && target.directory {
        return Ok(Plan { directory: target.path.clone(), rename: None });
    }
    if target.exists && source.directory {
        return Err("cannot copy directory".to_owned());
    }
    if !target.exists && !source.directory && must_be_directory(&target.path) {
        return Err("no such directory".to_owned());
    }
    Ok(Plan { directory, rename: Some((old, new)) })
}

/// A path that ends in `/` or in `.` stands for a directory, as does an empty one.
fn must_be_directory(path: &str) -> bool {
    path.is_empty() || path.ends_with('/') || is_content(path)
}

/// True for `.` and for what ends in `/.`.
fn is_content(path: &str) -> bool {
    path == "." || path.ends_with("/.")
}

/// Parent and last part of a path. The last part of `DIR/.` is the dot.
pub(super) fn split(path: &str) -> (String, String) {
    let clean = clean(path);
    if is_content(path) {
        return (clean, ".".to_owned());
    }
    match clean.rsplit_once('/') {
        Some(("", "")) => ("/".to_owned(), "/".to_owned()),
        Some(("", name)) => ("/".to_owned(), name.to_owned()),
        Some((parent, name)) => (parent.to_owned(), name.to_owned()),
        None => (".".to_owned(), clean),
    }
}

/// A path without `.`, `..` and double slashes, as far as names alone tell.
pub(super) fn clean(path: &str) -> String {
    crate::commands::container::options::clean(path)
}

/// `path` seen from `folder`, with a `/` or `/.` at its end kept.
pub(super) fn absolute(folder: &Path, path: &str) -> String {
    let clean = clean(&folder.join(path).to_string_lossy());
    let end = if is_content(path) {
        "/."
    } else if path.ends_with('/') && clean != "/" {
        "/"
    } else {
        ""
    };
    format!("{}{end}", if clean == "/" && end == "/." { "" } else { &clean })
}

/// The path that a link found at `path` leads to.
pub(super) fn follow(path: &str, target: &str) -> String {
    match target.starts_with('/') {
        true => target.to_owned(),
        false => clean(&format!("{}/{target}", split(path).0)),
    }
}

/// What to copy instead of a link: the path it leads to, ending as the link's path ends, and the link's own name
/// where that differs.
pub(super) fn resolved(path: &str, target: &str) -> (String, Option<String>) {
    let end = if is_content(path) && !is_content(target) {
        "/."
    } else if path.ends_with('/') && !target.ends_with('/') {
        "/"
    } else {
        ""
    };
    let target = format!("{target}{end}");
    let name = base(path);
    let rename = (name != base(&target)).then_some(name);
    (target, rename)
}

/// The last part of a path, without regard to slashes and dots at its end.
fn base(path: &str) -> String {
    let name = Path::new(path).components().next_back();
    match name {
        Some(Component::Normal(name)) => name.to_string_lossy().into_owned(),
        _ => split(path).1,
    }
}

/// The container and the path of an argument; a local path has no container.
pub(super) fn parse(argument: &str) -> (Option<&str>, &str) {
    match argument.split_once(':') {
        Some((container, path)) if !argument.starts_with(['/', '.']) && !container.is_empty() => {
            (Some(container), path)
        }
        _ => (None, argument),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn end(path: &str, kind: &str) -> End {
        End { path: path.to_owned(), exists: kind != "none", directory: kind == "dir", rename: None }
    }

    /// `DIRECTORY` or `DIRECTORY OLD>NEW`, or the error.
    fn check(source: End, target: End) -> String {
        match plan(&source, &target) {
            Ok(Plan { directory, rename: None }) => directory,
            Ok(Plan { directory, rename: Some((old, new)) }) => format!("{directory} {old}>{new}"),
            Err(text) => text,
        }
    }

    #[test]
    fn plans_follow_cp() {
        assert_eq!(check(end("/a/f", "file"), end("/b", "dir")), "/b");
        assert_eq!(check(end("/a/f", "file"), end("/b", "file")), "/ f>b");
        assert_eq!(check(end("/a/f", "file"), end("/b/new", "none")), "/b f>new");
        assert_eq!(check(end("/a/f", "file"), end("/b/new/", "none")), "no such directory");
        assert_eq!(check(end("/a/d", "dir"), end("/b", "dir")), "/b");
        assert_eq!(check(end("/a/d/.", "dir"), end("/b", "dir")), "/b");
        assert_eq!(check(end("/a/d", "dir"), end("/new", "none")), "/ d>new");
        assert_eq!(check(end("/a/d/.", "dir"), end("/x/new", "none")), "/x .>new");
        assert_eq!(check(end("/a/d", "dir"), end("/b", "file")), "cannot copy directory");
    }

    #[test]
    fn arguments_name_a_container_or_not() {
        assert_eq!(parse("c:/x"), (Some("c"), "/x"));
        assert_eq!(parse("/a:b"), (None, "/a:b"));
        assert_eq!(parse("./a:b"), (None, "./a:b"));
        assert_eq!(parse("a"), (None, "a"));
        assert_eq!(parse("-"), (None, "-"));
    }

    #[test]
    fn paths_keep_how_they_end() {
        let folder = Path::new("/w");
        assert_eq!(absolute(folder, "a/../b/"), "/w/b/");
        assert_eq!(absolute(folder, "d/."), "/w/d/.");
        assert_eq!(absolute(folder, "."), "/w/.");
        assert_eq!(absolute(folder, "/"), "/");
        assert_eq!(split("/a/b/."), ("/a/b".to_owned(), ".".to_owned()));
        assert_eq!(split("/a"), ("/".to_owned(), "a".to_owned()));
    }

    #[test]
    fn links_keep_their_name() {
        assert_eq!(follow("/a/link", "one"), "/a/one");
        assert_eq!(follow("/a/link", "/b"), "/b");
        assert_eq!(resolved("/a/link", "/a/one"), ("/a/one".to_owned(), Some("link".to_owned())));
        assert_eq!(resolved("/a/link/", "/a/link2").0, "/a/link2/");
    }
}
