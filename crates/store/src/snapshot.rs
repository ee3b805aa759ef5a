//! The file systems of containers: an image's layers below, a folder of the container's own on top.
//!
//! `snapshots/<container id>/` holds `diff` (the upper folder) and `work` (the overlay's own). Between them and the
//! image's layers lies one global init layer with the files and mount points every container has.

mod archive;
mod copy_up;
mod diff;
pub(crate) mod init;
mod mounted;
mod pack;
mod read;
mod unpack;

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wharf_db::{Index, Table, Tx, View};
use wharf_oci::Digest;

pub(crate) use archive::{Archive, Entries};
pub(crate) use copy_up::attributes;
pub use diff::{Change, ChangeKind};
pub use mounted::Bind;
pub use pack::pack;
pub use unpack::{Decompressed, Unpack, unpack};

use crate::image::ImageRecord;
use crate::{Error, Result, Store};

/// Snapshots by container id.
pub(crate) const SNAPSHOTS: Table<SnapshotRecord> = Table::new("snapshots", 1).indexes(&[BY_LAYER]);
/// Snapshots by each chain id below them.
pub(crate) const BY_LAYER: Index<SnapshotRecord> =
    Index::shared("layer", |snapshot| snapshot.chains.iter().map(ToString::to_string).collect());

/// The row of a snapshot. It names its layers itself, so that they outlive an image removed by force.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SnapshotRecord {
    chains: Vec<Digest>,
    /// Without the init layer.
    #[serde(default)]
    bare: bool,
}

impl SnapshotRecord {
    /// Whether it is the place of a build step, and so of no container.
    pub(crate) fn is_of_build(&self) -> bool {
        self.bare
    }

    /// Chain ids of the image's layers, bottom first.
    pub(crate) fn chains(&self) -> &[Digest] {
        &self.chains
    }
}

/// The file systems of containers, by container id.
#[derive(Clone, Copy)]
pub struct Snapshots<'a>(pub(crate) &'a Store);

/// The file system of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Id of the container.
    pub id: String,
    /// Chain ids of the image's layers, bottom first.
    pub chains: Vec<Digest>,
    mounts: Mounts,
}

/// What an overlay mount is made of. All paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mounts {
    /// Read-only folders, top first.
    pub lower: Vec<PathBuf>,
    /// The folder that takes the changes.
    pub upper: PathBuf,
    /// The overlay's own folder, beside `upper`.
    pub work: PathBuf,
    /// Further mount options, `name=value`.
    pub options: Vec<String>,
}

impl Snapshot {
    /// What to mount.
    pub fn mounts(&self) -> &Mounts {
        &self.mounts
    }

    /// The folder with the container's changes.
    pub fn upper(&self) -> &Path {
        &self.mounts.upper
    }
}

impl Snapshots<'_> {
    /// Makes the empty file system of a new container over an image (or over nothing). Undone with the transaction.
    pub fn prepare(&self, tx: &mut Tx<'_>, id: &str, image: Option<&ImageRecord>) -> Result<Snapshot> {
        let chains = image.map(|image| image.chains.clone()).unwrap_or_default();
        self.make(tx, id, SnapshotRecord { chains, bare: false })
    }

    /// Makes an empty file system over layers, without the files every container has: the place of a build step. What is
    /// in it can become a layer with [`Store::seal`]. Undone with the transaction; the next start sweeps it.
    pub fn scratch(&self, tx: &mut Tx<'_>, id: &str, chains: &[Digest]) -> Result<Snapshot> {
        self.make(tx, id, SnapshotRecord { chains: chains.to_vec(), bare: true })
    }

    fn make(&self, tx: &mut Tx<'_>, id: &str, record: SnapshotRecord) -> Result<Snapshot> {
        SNAPSHOTS.insert(tx, id, &record)?;
        let folder = self.folder(id)?;
        let (store, undo) = (self.0.clone(), folder.clone());
        tx.on_rollback(move || {
            if let Err(error) = store.discard(&undo) {
                tracing::warn!(path = %undo.display(), %error, "snapshot folder stays until the next start");
            }
        });
        // The upper folder is the container's `/`, so its mode is the one Docker gives it.
        for (name, mode) in [("", 0o700), ("diff", 0o755), ("work", 0o700)] {
            let path = if name.is_empty() { folder.clone() } else { folder.join(name) };
            let made = std::fs::DirBuilder::new().mode(mode).create(&path);
            made.map_err(|source| Error::io("create", &path, source))?;
        }
        Ok(self.describe(id, record, &folder))
    }

    /// The file system of a container.
    pub fn get(&self, view: &View<'_>, id: &str) -> Result<Snapshot> {
        let Some(record) = SNAPSHOTS.get(view, id)? else {
            return Err(Error::NoSnapshot { id: id.to_owned() });
        };
        Ok(self.describe(id, record, &self.folder(id)?))
    }

    /// Removes the file system of a container, and layers that only it still used. One that is not there is fine. The
    /// folder goes to the trash once the transaction is committed; it must not be mounted any more.
    pub fn remove(&self, tx: &mut Tx<'_>, id: &str) -> Result<()> {
        let Some(record) = SNAPSHOTS.get(tx, id)? else { return Ok(()) };
        SNAPSHOTS.delete(tx, id)?;
        for chain in record.chains.iter().rev() {
            self.0.drop_layer(tx, chain)?;
        }
        let (store, folder) = (self.0.clone(), self.folder(id)?);
        tx.on_commit(move || {
            if let Err(error) = store.discard(&folder) {
                tracing::warn!(path = %folder.display(), %error, "snapshot folder stays until the next start");
            }
        });
        Ok(())
    }

    fn describe(&self, id: &str, record: SnapshotRecord, folder: &Path) -> Snapshot {
        let layers = record.chains.iter().rev().map(|chain| self.0.layer_diff(chain));
        let lower = (!record.bare).then(|| init::diff(self.0)).into_iter().chain(layers).collect();
        let mounts = Mounts {
            lower,
            upper: folder.join("diff"),
            work: folder.join("work"),
            options: self.0.0.overlay_options.clone(),
        };
        Snapshot { id: id.to_owned(), chains: record.chains, mounts }
    }

    /// Ids become folder names beside those of layers, so they must be plain.
    fn folder(&self, id: &str) -> Result<PathBuf> {
        let plain = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !plain || id == init::NAME {
            return Err(Error::NoSnapshot { id: id.to_owned() });
        }
        Ok(self.0.snapshots_dir().join(id))
    }
}

/// Options that make the layers on the disk mean the same whatever the kernel's defaults are: no redirects or
/// metadata-only copies, which the code that reads layers without mounting them does not know, and no index, which
/// would refuse layers that were copied.
pub(crate) fn overlay_options() -> Vec<String> {
    let supported = |name: &&str| Path::new("/sys/module/overlay/parameters").join(name).exists();
    ["redirect_dir", "metacopy", "index"]
        .iter()
        .filter(|name| supported(name))
        .map(|n| format!("{n}=off"))
        .collect()
}
