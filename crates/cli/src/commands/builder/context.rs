//! The build context: which folder it is, its Dockerfile and ignore file, and a listing of it.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufReader, Cursor, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use wharf_api::build::Entry;
use wharf_build::{ignore::Matcher, plan::git_context};

use super::compressed;
use crate::{Error, Result};

/// The default name of a Dockerfile.
const DOCKERFILE: &str = "Dockerfile";

/// What a build is made of.
pub(super) struct Context {
    /// The folder; none if the engine fetches the context.
    folder: Option<Folder>,
    /// The address the engine fetches the context from.
    pub(super) remote: String,
    /// Text of the Dockerfile; empty if the engine fetches it.
    pub(super) dockerfile: String,
    /// Its name in messages.
    pub(super) dockerfile_name: String,
    /// Text of the ignore file.
    pub(super) ignore: Option<String>,
    /// Deletes what was unpacked from standard input.
    _temp: Option<tempfile::TempDir>,
}

/// A folder whose files are sent.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    ignore: Matcher,
}

impl Context {
    /// The context that an argument and `--file` mean.
    ///
    /// # Errors
    /// It is not there, or there is no Dockerfile.
    pub(super) fn open(argument: &str, file: &str) -> Result<Self> {
        if argument == "-" {
            return Self::from_stdin(file);
        }
        if is_remote(argument) {
            return Ok(Self {
                folder: None,
                remote: argument.to_owned(),
                dockerfile: String::new(),
                dockerfile_name: if file.is_empty() { DOCKERFILE.to_owned() } else { file.to_owned() },
                ignore: None,
                _temp: None,
            });
        }
        let path = Path::new(argument);
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                return Err(Error::message(format!(
                    "unable to prepare context: path {argument:?} must be a directory"
                )));
            }
            Err(_) => {
                return Err(Error::message(format!(
                    "unable to prepare context: path {argument:?} not found"
                )));
            }
        }
        if file == "-" {
            let mut text = String::new();
            std::io::stdin().lock().read_to_string(&mut text)?;
            let ignore = read_optional(&path.join(".dockerignore"))?;
            return Self::new(path.to_owned(), text, DOCKERFILE.to_owned(), ignore, None);
        }
        Self::in_folder(path.to_owned(), file, None)
    }

    fn in_folder(path: PathBuf, file: &str, temp: Option<tempfile::TempDir>) -> Result<Self> {
        let place = match file {
            "" => path.join(DOCKERFILE),
            // An archive's Dockerfile is in it.
            file if temp.is_some() => path.join(file),
            file => PathBuf::from(file),
        };
        let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let text = fs::read(&place).map_err(|error| {
            let reason = crate::error::go_os_error(&error);
            Error::message(format!("failed to solve: failed to read dockerfile: open {name}: {reason}"))
        })?;
        let beside = read_optional(&place.with_file_name(format!("{name}.dockerignore")))?;
        let ignore = match beside {
            Some(text) => Some(text),
            None => read_optional(&path.join(".dockerignore"))?,
        };
        Self::new(path, String::from_utf8_lossy(&text).into_owned(), name, ignore, temp)
    }

    fn new(
        path: PathBuf,
        dockerfile: String,
        dockerfile_name: String,
        ignore: Option<String>,
        temp: Option<tempfile::TempDir>,
    ) -> Result<Self> {
        let matcher = Matcher::parse(ignore.as_deref().unwrap_or_default()).map_err(Error::message)?;
        let folder = Some(Folder { path, ignore: matcher });
        Ok(Self { folder, remote: String::new(), dockerfile, dockerfile_name, ignore, _temp: temp })
    }

    /// A Dockerfile, or a whole context as an archive.
    fn from_stdin(file: &str) -> Result<Self> {
        let mut stdin = BufReader::new(std::io::stdin());
        let mut head = Vec::new();
        stdin.by_ref().take(512).read_to_end(&mut head)?;
        let is_tar = head.get(257..262) == Some(b"ustar");
        let temp = tempfile::tempdir()?;
        let path = temp.path().to_owned();
        let mut whole = Cursor::new(head.clone()).chain(stdin);
        let unpack = |stream: &mut dyn Read| {
            let mut archive = tar::Archive::new(stream);
            archive.set_preserve_permissions(true);
            archive.set_preserve_ownerships(false);
            archive.unpack(&path)
        };
        if is_tar {
            unpack(&mut whole)?;
        } else if let Some(mut stream) = compressed::open(&head, &mut whole)? {
            unpack(&mut stream)?;
        } else {
            let mut text = String::new();
            whole.read_to_string(&mut text)?;
            return Self::new(path, text, DOCKERFILE.to_owned(), None, Some(temp));
        }
        Self::in_folder(path, file, Some(temp))
    }

    /// The folder whose files are sent, if there is one.
    pub(super) fn folder(&self) -> Option<Folder> {
        self.folder.clone()
    }

    /// What identifies the folder to the engine from one build to the next.
    pub(super) fn identity(&self) -> Option<String> {
        self.folder.as_ref().map(Folder::identity)
    }
}

/// Whether the engine fetches a context: from the web, or a repository. compat: where there is a folder of such a name,
/// the folder is meant.
fn is_remote(argument: &str) -> bool {
    let web = argument.starts_with("http://") || argument.starts_with("https://");
    // The engine tells what is wrong with an address.
    web || !matches!(git_context(argument), Ok(None)) && !Path::new(argument).is_dir()
}

/// The folders of `--build-context`; contexts that are no folders are left to the engine.
pub(super) fn named(given: &[String]) -> Result<BTreeMap<String, Folder>> {
    let mut folders = BTreeMap::new();
    for text in given {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| Error::message(format!("invalid context value: {text}, expected key=value")))?;
        if value.contains("://") {
            continue;
        }
        if !Path::new(value).is_dir() {
            return Err(Error::message(format!(
                "failed to get build context {name}: stat {value}: no such file or directory"
            )));
        }
        let path = PathBuf::from(value);
        let ignore = read_optional(&path.join(".dockerignore"))?.unwrap_or_default();
        let ignore = Matcher::parse(&ignore).map_err(Error::message)?;
        folders.insert(name.to_owned(), Folder { path, ignore });
    }
    Ok(folders)
}

impl Folder {
    pub(super) fn identity(&self) -> String {
        let host = fs::read_to_string("/etc/machine-id").unwrap_or_default();
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        format!("{}:{}", host.trim(), path.display())
    }

    /// Everything in the folder that is not ignored, parents before children.
    ///
    /// # Errors
    /// Something cannot be read.
    pub(super) fn list(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        self.list_below(&self.path, "", &mut entries)?;
        Ok(entries)
    }

    fn list_below(&self, folder: &Path, below: &str, entries: &mut Vec<Entry>) -> Result<()> {
        let failed = |path: &Path, error| Error::file("open", path.display().to_string(), error);
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).map_err(|error| failed(folder, error))? {
            let entry = entry.map_err(|error| failed(folder, error))?;
            let name = entry.file_name().into_string();
            let name = name.map_err(|name| {
                Error::message(format!("file name {} in the context is not UTF-8", name.display()))
            })?;
            found.push((name, entry));
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, entry) in found {
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            let excluded = self.ignore.excluded(&path);
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                if excluded && self.ignore.skips_folder(&path) {
                    continue;
                }
                let at = entries.len();
                entries.push(describe(&path, &metadata, String::new()));
                self.list_below(&entry.path(), &path, entries)?;
                if excluded && entries.len() == at + 1 {
                    entries.pop();
                }
            } else if !excluded {
                let link = match metadata.is_symlink() {
                    true => fs::read_link(entry.path()).map_err(|error| failed(&entry.path(), error))?,
                    false => PathBuf::new(),
                };
                entries.push(describe(&path, &metadata, link.to_string_lossy().into_owned()));
            }
        }
        Ok(())
    }
}

fn describe(path: &str, metadata: &fs::Metadata, link: String) -> Entry {
    Entry {
        path: path.to_owned(),
        mode: metadata.mode(),
        size: if metadata.is_file() { metadata.len() } else { 0 },
        mtime: (metadata.mtime(), u32::try_from(metadata.mtime_nsec()).unwrap_or_default()),
        stamp: (metadata.ino(), metadata.ctime() * 1_000_000_000 + metadata.ctime_nsec()),
        link,
    }
}

fn read_optional(path: &Path) -> Result<Option<String>> {
    match fs::read(path) {
        Ok(text) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file("open", path.display().to_string(), error)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_leaves_out_what_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["a/keep", "a/drop.log", "b/x", "c/deep/in", "d"] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let ignore = Matcher::parse("**/*.log\nb\nc\n!c/deep\n").unwrap();
        let listing = Folder { path: folder.path().to_owned(), ignore }.list().unwrap();
        let paths: Vec<_> = listing.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["a", "a/keep", "c", "c/deep", "c/deep/in", "d"]);
    }
}
