//! Blobs, manifests and tags over a [`Storage`]. Everything here blocks.
//!
//! What is acknowledged is durable: a blob is synced before it gets its name, its link after that. Whoever makes a
//! reference holds the storage, sees that what is referred to is there, and touches it, so that a sweep that began
//! earlier spares it ([`super::collect`]).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use wharf_oci::{Algorithm, Digest, Hasher};

use super::document::Document;
use super::failure::{Code, Failure, Result};
use super::layout;
use super::name::Name;
use super::storage::{Hold, Reader, Stat, Storage};

/// The name of a link in its folder.
pub(crate) const LINK: &str = "link";
/// Bytes read at once when something is hashed again.
const REREAD: usize = 256 << 10;

/// Where a manifest finds what it refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum References {
    /// In the repository already, or it is refused.
    AreHere,
    /// With the upstream that it came from.
    ComeLater,
}

/// The content of a registry. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    pub(super) storage: Arc<dyn Storage>,
}

impl Store {
    /// What lies in `storage`.
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage }
    }

    /// Size and time of a blob, if the repository may serve it.
    pub(crate) fn blob(&self, name: &Name, digest: &Digest) -> Result<Option<Stat>> {
        if self.linked(&layout::layer(name, digest))? {
            return Ok(self.storage.stat(&layout::blob(digest))?);
        }
        Ok(None)
    }

    /// Opens a blob that the repository may serve.
    pub(crate) fn open_blob(&self, name: &Name, digest: &Digest) -> Result<Box<dyn Reader>> {
        if !self.linked(&layout::layer(name, digest))? {
            return Err(Failure::blob_unknown(digest));
        }
        self.storage.open(&layout::blob(digest)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::blob_unknown(digest),
            _ => error.into(),
        })
    }

    /// Saves a blob that a client was told of from a sweep, so that it may refer to it for some time: unless it was
    /// touched less than `since` ago. Nothing happens if the repository may not serve it.
    pub(crate) fn keep(&self, name: &Name, digest: &Digest, since: Duration) -> Result<()> {
        let is_due = || {
            let stat = self.blob(name, digest)?;
            let is_older = |stat: Stat| stat.modified.elapsed().is_ok_and(|age| age >= since);
            Ok::<_, Failure>(stat.is_some_and(is_older))
        };
        if is_due()? {
            let _held = self.storage.hold(Hold::Shared)?;
            if is_due()? {
                self.storage.touch(&layout::blob(digest))?;
            }
        }
        Ok(())
    }

    /// Lets `to` serve a blob of `from`. Returns whether `from` has it.
    pub(crate) fn mount(&self, from: &Name, to: &Name, digest: &Digest) -> Result<bool> {
        let _held = self.storage.hold(Hold::Shared)?;
        if self.blob(from, digest)?.is_none() {
            return Ok(false);
        }
        self.storage.touch(&layout::blob(digest))?;
        self.link(&layout::layer(to, digest), digest)?;
        Ok(true)
    }

    /// Takes the blob away from the repository; its bytes stay until the next collection.
    pub(crate) fn unlink_blob(&self, name: &Name, digest: &Digest) -> Result<()> {
        let _alone = self.storage.hold(Hold::Exclusive)?;
        if self.blob(name, digest)?.is_none() {
            return Err(Failure::blob_unknown(digest));
        }
        Ok(self.storage.remove_durably(&layout::layer(name, digest))?)
    }

    /// Makes a blob of the synced file at `key`, whose digest and size in bytes were verified, and lets the repository
    /// serve it.
    pub(crate) fn put_blob(&self, name: &Name, digest: &Digest, key: &str, size: u64) -> Result<()> {
        let _held = self.storage.hold(Hold::Shared)?;
        let blob = layout::blob(digest);
        if self.storage.stat(&blob)?.is_some_and(|stat| stat.size == size) {
            self.storage.touch(&blob)?;
        } else if self.storage.stat(key)?.is_none_or(|stat| stat.size != size) {
            // What was verified is not what lies there now: a collection took the upload for abandoned.
            return Err(Failure::new(Code::BlobUploadUnknown, "the upload was removed in the meantime"));
        } else {
            self.storage.touch(key)?;
            self.storage.rename(key, &blob)?;
        }
        self.link(&layout::layer(name, digest), digest)
    }

    /// The digest of a file by an algorithm.
    pub(crate) fn rehash(&self, key: &str, algorithm: Algorithm) -> io::Result<(Hasher, u64)> {
        let reader = self.storage.open(key)?;
        let (mut hasher, mut offset, mut buffer) = (Hasher::new(algorithm), 0, vec![0; REREAD]);
        loop {
            match reader.read_at(offset, &mut buffer)? {
                0 => return Ok((hasher, offset)),
                read => {
                    hasher.update(&buffer[..read]);
                    offset += read as u64;
                }
            }
        }
    }

    /// The bytes of a manifest of the repository.
    pub(crate) fn manifest(&self, name: &Name, digest: &Digest) -> Result<Option<Vec<u8>>> {
        if !self.linked(&layout::revision(name, digest))? {
            return Ok(None);
        }
        self.manifest_blob(digest)
    }

    /// The bytes of a blob that is a manifest.
    pub(super) fn manifest_blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        match self.storage.read(&layout::blob(digest)) {
            Ok(data) => Ok(Some(data)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What a tag names.
    pub(crate) fn tag(&self, name: &Name, tag: &str) -> Result<Option<Digest>> {
        self.read_link(&layout::tag_current(name, tag))
    }

    /// Makes a manifest one of the repository's, and the target of `tags`.
    ///
    /// # Errors
    /// `MANIFEST_BLOB_UNKNOWN`, if its `references` have to be here and one is not.
    pub(crate) fn put_manifest(
        &self,
        name: &Name,
        tags: &[&str],
        digest: &Digest,
        (data, document): (&[u8], &Document),
        references: References,
    ) -> Result<()> {
        let _held = self.storage.hold(Hold::Shared)?;
        if references == References::AreHere {
            self.hold_references(name, document)?;
        }
        let blob = layout::blob(digest);
        match self.storage.stat(&blob)? {
            Some(stat) if stat.size == data.len() as u64 => self.storage.touch(&blob)?,
            _ => self.storage.write(&blob, data)?,
        }
        self.link(&layout::revision(name, digest), digest)?;
        if let Some(subject) = &document.subject {
            self.link(&layout::linked(&layout::referrers(name, subject), digest), digest)?;
        }
        for tag in tags {
            self.link(&layout::linked(&layout::tag_index(name, tag), digest), digest)?;
            let current = layout::tag_current(name, tag);
            match self.read_link(&current)? {
                Some(before) if before == *digest => self.storage.touch(&current)?,
                _ => self.storage.write(&current, digest.as_str().as_bytes())?,
            }
        }
        Ok(())
    }

    /// Sees that everything a manifest refers to is there, and saves it from a sweep.
    fn hold_references(&self, name: &Name, document: &Document) -> Result<()> {
        let missing = |what: &Digest| {
            Failure::new(
                Code::ManifestBlobUnknown,
                "manifest references a manifest or blob unknown to registry",
            )
            .detail(serde_json::json!({"digest": what}))
        };
        for blob in document.blobs() {
            let stat = self.blob(name, &blob.digest)?.ok_or_else(|| missing(&blob.digest))?;
            if stat.size != blob.size {
                return Err(Failure::new(
                    Code::ManifestInvalid,
                    format!("{} has {} bytes, but the manifest says {}", blob.digest, stat.size, blob.size),
                ));
            }
            self.storage.touch(&layout::blob(&blob.digest))?;
        }
        for entry in &document.manifests {
            let revision = layout::revision(name, &entry.digest);
            let is_manifest = self.linked(&revision)?;
            // compat: caches of builds are indexes of layers, which the reference registry takes as well.
            if !is_manifest && !self.linked(&layout::layer(name, &entry.digest))? {
                return Err(missing(&entry.digest));
            }
            if self.storage.stat(&layout::blob(&entry.digest))?.is_none() {
                return Err(missing(&entry.digest));
            }
            if is_manifest {
                self.storage.touch(&format!("{revision}/{LINK}"))?;
            }
            self.storage.touch(&layout::blob(&entry.digest))?;
        }
        Ok(())
    }

    /// Removes a manifest of the repository and the tags that name it.
    pub(crate) fn delete_manifest(&self, name: &Name, digest: &Digest) -> Result<()> {
        // Alone, so that no tag is removed that a push moves elsewhere between the look at it and its end.
        let _alone = self.storage.hold(Hold::Exclusive)?;
        self.remove_manifest(name, digest)
    }

    /// As [`Store::delete_manifest`], for who holds the storage alone.
    pub(super) fn remove_manifest(&self, name: &Name, digest: &Digest) -> Result<()> {
        let data = self.manifest(name, digest)?.ok_or_else(|| Failure::manifest_unknown(digest.as_str()))?;
        for tag in self.tags(name)? {
            if self.tag(name, &tag)?.as_ref() == Some(digest) {
                self.storage.remove_durably(&layout::tag(name, &tag))?;
            }
        }
        if let Ok(Document { subject: Some(subject), .. }) = Document::parse(None, &data) {
            self.storage.remove_durably(&layout::linked(&layout::referrers(name, &subject), digest))?;
        }
        Ok(self.storage.remove_durably(&layout::revision(name, digest))?)
    }

    /// Removes a tag; what it named stays.
    pub(crate) fn delete_tag(&self, name: &Name, tag: &str) -> Result<()> {
        let _alone = self.storage.hold(Hold::Exclusive)?;
        self.tag(name, tag)?.ok_or_else(|| Failure::manifest_unknown(tag))?;
        Ok(self.storage.remove_durably(&layout::tag(name, tag))?)
    }

    /// The tags of a repository, sorted.
    pub(crate) fn tags(&self, name: &Name) -> Result<Vec<String>> {
        self.tags_after(name, "", usize::MAX)
    }

    /// The first `most` tags of a repository after `last`, sorted.
    pub(crate) fn tags_after(&self, name: &Name, last: &str, most: usize) -> Result<Vec<String>> {
        let mut tags = Vec::new();
        for tag in self.storage.list(&layout::tags(name))? {
            if tags.len() >= most {
                break;
            }
            if tag.as_str() <= last {
                continue;
            }
            // A push that failed half-way may have left the folder of a tag, but no tag.
            if wharf_oci::reference::is_tag(&tag)
                && self.storage.stat(&layout::tag_current(name, &tag))?.is_some()
            {
                tags.push(tag);
            }
        }
        Ok(tags)
    }

    /// Whether there is such a repository.
    pub(crate) fn has_repository(&self, name: &Name) -> Result<bool> {
        let entries = self.storage.list(&layout::repository(name))?;
        Ok(entries.iter().any(|entry| is_part_of_repository(entry)))
    }

    /// All repositories, sorted by name.
    pub(crate) fn repositories(&self) -> Result<Vec<Name>> {
        self.repositories_after("", usize::MAX)
    }

    /// The first `most` repositories after `last`, sorted by name. Looks at no folder that cannot have one of them.
    pub(crate) fn repositories_after(&self, last: &str, most: usize) -> Result<Vec<Name>> {
        self.walk(is_part_of_repository, last, most)
    }

    /// The folders in the place of repositories in which something is a part of one, sorted by name.
    pub(super) fn repositories_with(&self, is_part: fn(&str) -> bool) -> Result<Vec<Name>> {
        self.walk(is_part, "", usize::MAX)
    }

    fn walk(&self, is_part: fn(&str) -> bool, last: &str, most: usize) -> Result<Vec<Name>> {
        let mut found = Vec::new();
        let children = |folder: &str, prefix: &str| -> Result<(bool, Vec<Name>)> {
            let entries = self.storage.list(folder)?;
            // Below what is no name is none either.
            let names = entries.iter().filter_map(|entry| Name::parse(&format!("{prefix}{entry}")));
            let names = names.filter(|name| !all_before(name, last)).collect();
            Ok((entries.iter().any(|entry| is_part(entry)), names))
        };
        // The least of all first: what is below it comes after it, and so does all that is left.
        let (_, top) = children(&layout::repositories(), "")?;
        let mut left: BinaryHeap<Reverse<Name>> = top.into_iter().map(Reverse).collect();
        while found.len() < most
            && let Some(Reverse(name)) = left.pop()
        {
            let (is_one, below) = children(&layout::repository(&name), &format!("{name}/"))?;
            left.extend(below.into_iter().map(Reverse));
            if is_one && name.as_str() > last {
                found.push(name);
            }
        }
        Ok(found)
    }

    /// The manifests that a repository has.
    pub(crate) fn revisions(&self, name: &Name) -> Result<Vec<Digest>> {
        self.digests(&layout::revisions(name))
    }

    /// The digests that have a link below `folder`.
    pub(crate) fn digests(&self, folder: &str) -> Result<Vec<Digest>> {
        let mut found = Vec::new();
        for algorithm in self.storage.list(folder)? {
            for hex in self.storage.list(&format!("{folder}/{algorithm}"))? {
                if let Ok(digest) = Digest::parse(&format!("{algorithm}:{hex}"))
                    && self.linked(&layout::linked(folder, &digest))?
                {
                    found.push(digest);
                }
            }
        }
        Ok(found)
    }

    /// Whether the folder of a link has it. Its path says all that it says, so its content does not matter.
    fn linked(&self, folder: &str) -> Result<bool> {
        Ok(self.storage.stat(&format!("{folder}/{LINK}"))?.is_some())
    }

    /// Writes a link, or touches it if it is there.
    pub(super) fn link(&self, folder: &str, digest: &Digest) -> Result<()> {
        let key = format!("{folder}/{LINK}");
        match self.storage.stat(&key)? {
            Some(stat) if stat.size > 0 => self.storage.touch(&key)?,
            _ => self.storage.write(&key, digest.as_str().as_bytes())?,
        }
        Ok(())
    }

    fn read_link(&self, key: &str) -> Result<Option<Digest>> {
        let text = match self.storage.read(key) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        Ok(std::str::from_utf8(&text).ok().and_then(|text| Digest::parse(text.trim()).ok()))
    }
}

/// Whether neither `name` nor any name below it comes after `last`.
fn all_before(name: &Name, last: &str) -> bool {
    let below = format!("{name}/");
    below.as_str() < last && !last.starts_with(&below)
}

fn is_part_of_repository(entry: &str) -> bool {
    matches!(entry, "_layers" | "_manifests")
}
