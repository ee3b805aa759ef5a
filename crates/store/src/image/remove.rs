use wharf_db::Tx;
use wharf_oci::{Digest, Reference};

use super::Images;
use super::record::{BLOBS, IMAGES, NAMES};
use crate::{Error, Result};

/// What went with an image.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Removed {
    /// Names it still had.
    pub names: Vec<Reference>,
    /// Chain ids of the layers nothing else used, top first.
    pub layers: Vec<Digest>,
}

impl Images<'_> {
    /// Removes an image with its names, blobs and those layers that no other image, no container and no lease uses.
    /// Whether it may go (containers, children, other names) is for the caller to decide before.
    ///
    /// Children of the image lose their parent. Layer folders go to the trash once the transaction is committed.
    pub fn remove(&self, tx: &mut Tx<'_>, id: &Digest) -> Result<Removed> {
        let Some(record) = IMAGES.get(tx, id.as_str())? else {
            return Err(Error::NoImage { name: id.to_string() });
        };
        let names = self.names(tx, id)?;
        for name in &names {
            NAMES.delete(tx, &name.to_string())?;
        }
        for child in self.children(tx, id)? {
            if let Some(mut child) = IMAGES.get(tx, child.as_str())? {
                child.parent = None;
                IMAGES.put(tx, child.id.as_str(), &child)?;
            }
        }
        for blob in record.manifests.iter().chain([&record.id]) {
            BLOBS.delete(tx, blob.as_str())?;
        }
        IMAGES.delete(tx, id.as_str())?;
        let mut layers = Vec::new();
        for chain in record.chains.iter().rev() {
            if self.0.drop_layer(tx, chain)? {
                layers.push(chain.clone());
            }
        }
        Ok(Removed { names, layers })
    }
}
