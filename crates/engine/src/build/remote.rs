//! Sources from the web: files and repositories.

use std::{collections::BTreeMap, sync::Arc};

use wharf_build::graph::{GitSource, HttpSource};

use super::{
    archive::Folder,
    tree::{Kind, Tree, TreeEntry},
    worker::Build,
};
use crate::{Engine, Error, Result};

impl Build<'_> {
    /// Gets a file; it is alone in the listing, of mode 0600 as the reference builder makes it.
    pub(super) fn download(&self, source: &HttpSource) -> Result<Tree> {
        let folder = Folder::create(self.engine)?;
        let limit = self.engine.store.limits().tar_bytes;
        let mut reader = fetch(self.engine, &source.url)?;
        let (digest, size) = folder.store(&mut reader, limit)?;
        if let Some(expected) = &source.checksum
            && *expected != digest
        {
            return Err(Error::invalid(format!("digest mismatch {digest}: {expected}")));
        }
        let entry = TreeEntry {
            kind: Kind::File,
            mode: 0o600,
            size,
            mtime: (self.now, 0),
            digest: digest.into(),
            ..TreeEntry::default()
        };
        Ok(Tree::new(BTreeMap::from([(source.file_name.clone(), entry)]), Box::new(folder)))
    }

    pub(super) fn clone_repository(&self, source: &GitSource) -> Result<Tree> {
        Err(Error::not_implemented(format!(
            "{}: sources from git repositories are not supported",
            source.remote
        )))
    }
}

/// Opens what is at an address.
pub(super) fn fetch(engine: &Arc<Engine>, url: &str) -> Result<impl std::io::Read + use<>> {
    let _runtime = engine.runtime.enter();
    engine.images.open_url(url)
}
