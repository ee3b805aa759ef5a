//! Sources from the web: files, archives and repositories.

use std::{collections::BTreeMap, io::Read, sync::Arc};

use wharf_build::{
    graph::{GitSource, HttpSource, NodeId},
    plan::git_context,
};

use super::{
    BuildClient, Cancel, Report,
    archive::{self, Folder},
    git::{Git, Lent},
    tree::{Kind, Tree, TreeEntry},
    vertex::Vertices,
    worker::Build,
};
use crate::{Engine, Error, Result};

/// The default name of a Dockerfile.
const DOCKERFILE: &str = "Dockerfile";

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

    /// Gets the files of a commit.
    pub(super) fn clone_repository(&self, id: NodeId, source: &GitSource) -> Result<Tree> {
        let git = Git {
            engine: self.engine,
            cancel: self.cancel,
            lent: Lent::of(self.client, source)?,
            output: &|text| self.client.report(Report::Output { step: id.0, text }),
        };
        git.clone_repository(source)
    }
}

impl Engine {
    /// The context that is at an address: a repository, an archive, or a Dockerfile alone, which gets the name `file`.
    /// The client lends what a repository may want to see and hears of progress.
    pub(super) fn remote_context(
        self: &Arc<Self>,
        url: &str,
        file: &str,
        client: Option<&dyn BuildClient>,
        cancel: &Cancel,
    ) -> Result<Tree> {
        let Some(source) = git_context(url).map_err(Error::invalid)? else {
            return match client {
                Some(client) => Vertices::before(client)
                    .show("[internal] load remote build context", |_| self.downloaded_context(url, file)),
                None => self.downloaded_context(url, file),
            };
        };
        let clone = |lent: Lent, output: &dyn Fn(&[u8])| {
            Git { engine: self, cancel, lent, output }.clone_repository(&source)
        };
        match client {
            Some(client) => Vertices::before(client)
                .show(&format!("[internal] load git source {url}"), |vertex| {
                    clone(Lent::of(client, &source)?, &|text| vertex.output(text))
                }),
            None => clone(Lent::default(), &|_| {}),
        }
    }

    fn downloaded_context(self: &Arc<Self>, url: &str, file: &str) -> Result<Tree> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(Error::invalid(format!("unsupported build context {url}")));
        }
        let mut content = Vec::new();
        let limit = self.store.limits().tar_bytes;
        let mut reader = fetch(self, url)?.take(limit);
        let head = reader.by_ref().take(512).read_to_end(&mut content);
        head.map_err(|error| Error::system(error.to_string()))?;
        // A character may be cut in two at the end.
        let is_text = !content.contains(&0)
            && std::str::from_utf8(&content).map_or_else(|error| error.error_len().is_none(), |_| true);
        let mut whole = content.chain(reader);
        if !is_text {
            return archive::tree(self, &mut whole);
        }
        let folder = archive::Folder::create(self)?;
        let (digest, size) = folder.store(&mut whole, limit)?;
        let name = if file.is_empty() { DOCKERFILE } else { file };
        let entry = TreeEntry { mode: 0o600, size, digest: digest.into(), ..TreeEntry::default() };
        Ok(Tree::new(BTreeMap::from([(name.to_owned(), entry)]), Box::new(folder)))
    }
}

/// Opens what is at an address.
fn fetch(engine: &Arc<Engine>, url: &str) -> Result<impl Read + use<>> {
    let _runtime = engine.runtime.enter();
    engine.images.open_url(url)
}
