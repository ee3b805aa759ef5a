//! Manifest lists in the making: a folder per list in the client's configuration folder, a file per manifest, as Docker
//! has them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use wharf_oci::Reference;

use super::entry::Entry;
use crate::{Cli, Error, Result};

/// All lists of a user.
pub(super) struct Lists(PathBuf);

impl Lists {
    /// Those of the configuration in use.
    pub(super) fn of(cli: &Cli) -> Self {
        Self(cli.config_dir().join("manifests"))
    }

    fn folder(&self, list: &Reference) -> PathBuf {
        self.0.join(file_name(list))
    }

    /// The manifests of a list in the order of their files' names; `None` if there is no such list.
    ///
    /// # Errors
    /// A file cannot be read, or not understood.
    pub(super) fn list(&self, list: &Reference) -> Result<Option<Vec<Entry>>> {
        let folder = self.folder(list);
        let files = match fs::read_dir(&folder) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("open", folder.display().to_string(), error)),
        };
        let mut files: Vec<PathBuf> = files.flatten().map(|file| file.path()).collect();
        files.sort();
        let entries = files.iter().map(|file| read(file)?.ok_or_else(|| unknown(list)));
        entries.collect::<Result<_>>().map(Some)
    }

    /// A manifest of a list.
    ///
    /// # Errors
    /// As [`Lists::list`].
    pub(super) fn entry(&self, list: &Reference, manifest: &Reference) -> Result<Option<Entry>> {
        read(&self.folder(list).join(file_name(manifest)))
    }

    /// Puts a manifest into a list, in place of one of the same name.
    ///
    /// # Errors
    /// The folder or file cannot be written.
    pub(super) fn save(&self, list: &Reference, manifest: &Reference, entry: &Entry) -> Result<()> {
        let folder = self.folder(list);
        let failed = |error| Error::file("open", folder.display().to_string(), error);
        let document = entry.document()?;
        fs::create_dir_all(&folder).map_err(failed)?;
        let file = tempfile::NamedTempFile::new_in(&self.0).map_err(failed)?;
        fs::write(file.path(), document).map_err(failed)?;
        file.persist(folder.join(file_name(manifest))).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// Forgets a list.
    ///
    /// # Errors
    /// There is none, or it cannot be removed.
    pub(super) fn remove(&self, list: &Reference) -> Result<()> {
        let folder = self.folder(list);
        fs::remove_dir_all(&folder).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => unknown(list),
            _ => Error::file("unlinkat", folder.display().to_string(), error),
        })
    }
}

/// What is said of a list or manifest that is not here.
pub(super) fn unknown(reference: &Reference) -> Error {
    Error::message(format!("No such manifest: {reference}"))
}

fn read(path: &Path) -> Result<Option<Entry>> {
    match fs::read(path) {
        Ok(document) => Entry::parse(&document)
            .map(Some)
            .map_err(|error| Error::message(format!("invalid manifest file {}: {error}", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file("open", path.display().to_string(), error)),
    }
}

fn file_name(reference: &Reference) -> String {
    reference.to_string().replace(':', "-").replace('/', "_")
}
