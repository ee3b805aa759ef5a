//! Images and their names. All of it is rows: configuration and manifest are small, and in the database they appear and
//! disappear with the image that owns them.

mod record;
mod remove;
mod resolve;

use wharf_db::{Tx, View};
use wharf_oci::image::ImageConfig;
use wharf_oci::{Digest, Reference, chain_ids};

pub(crate) use record::{BLOBS, BY_LAYER, BY_PARENT, Blob, IMAGES, NAMES, NameRecord, OF_IMAGE};
pub use record::{Image, ImageRecord};
pub use remove::Removed;

use crate::layer::LAYERS;
use crate::{Error, Result, Store};

/// The images of a store. Every method takes the transaction or view it works in.
#[derive(Clone, Copy)]
pub struct Images<'a>(pub(crate) &'a Store);

/// An image to be put.
#[derive(Debug, Clone, Copy)]
pub struct NewImage<'a> {
    /// The configuration blob, byte for byte: its digest becomes the image's id.
    pub config: &'a [u8],
    /// The manifest it came with, byte for byte.
    pub manifest: Option<&'a [u8]>,
    /// The image it was made from by `commit` or a builder that keeps parents.
    pub parent: Option<&'a Digest>,
}

impl Images<'_> {
    /// Makes an image of layers that are all stored, and returns it. One that exists is kept, with a manifest or parent
    /// added to it that it did not have.
    ///
    /// Errors: a configuration that cannot be read, a layer that is not stored ([`Error::NoLayer`]).
    pub fn put(&self, tx: &mut Tx<'_>, new: NewImage<'_>) -> Result<ImageRecord> {
        let id = Digest::sha256(new.config);
        let mut record = match IMAGES.get(tx, id.as_str())? {
            Some(record) => record,
            None => self.describe(tx, new.config)?,
        };
        if let Some(manifest) = new.manifest {
            let digest = Digest::sha256(manifest);
            put_blob(tx, &digest, "image manifest", manifest)?;
            if !record.manifests.contains(&digest) {
                record.manifests.push(digest);
            }
        }
        if record.parent.is_none() {
            record.parent = new.parent.filter(|parent| **parent != id).cloned();
        }
        put_blob(tx, &id, "image configuration", new.config)?;
        IMAGES.put(tx, id.as_str(), &record)?;
        Ok(record)
    }

    /// The image with this id.
    pub fn get(&self, view: &View<'_>, id: &Digest) -> Result<Option<ImageRecord>> {
        Ok(IMAGES.get(view, id.as_str())?)
    }

    /// The configuration of an image.
    pub fn config(&self, view: &View<'_>, id: &Digest) -> Result<ImageConfig> {
        parse_config(self.config_bytes(view, id)?.as_bytes())
    }

    /// The configuration blob of an image, byte for byte.
    pub fn config_bytes(&self, view: &View<'_>, id: &Digest) -> Result<String> {
        self.blob(view, id)?.ok_or_else(|| Error::NoImage { name: id.to_string() })
    }

    /// A configuration or manifest by its digest, byte for byte.
    pub fn blob(&self, view: &View<'_>, digest: &Digest) -> Result<Option<String>> {
        Ok(BLOBS.get(view, digest.as_str())?.map(|blob| blob.text))
    }

    /// All images with their names, in no particular order.
    pub fn list(&self, view: &View<'_>) -> Result<Vec<Image>> {
        let mut names: std::collections::HashMap<Digest, Vec<Reference>> = std::collections::HashMap::new();
        for (_, name) in NAMES.list(view)? {
            names.entry(name.image).or_default().push(name.reference);
        }
        let records = IMAGES.list(view)?.into_iter();
        Ok(records
            .map(|(_, record)| Image::new(names.remove(&record.id).unwrap_or_default(), record))
            .collect())
    }

    /// One image with its names.
    pub fn with_names(&self, view: &View<'_>, record: ImageRecord) -> Result<Image> {
        Ok(Image::new(self.names(view, &record.id)?, record))
    }

    /// The references that name an image, ordered as text: tags and repository digests.
    pub fn names(&self, view: &View<'_>, id: &Digest) -> Result<Vec<Reference>> {
        let found = NAMES.find_all(view, &OF_IMAGE, id.as_str())?;
        Ok(found.into_iter().map(|(_, name)| name.reference).collect())
    }

    /// The images made from this one.
    pub fn children(&self, view: &View<'_>, id: &Digest) -> Result<Vec<Digest>> {
        let keys = IMAGES.find_keys(view, &BY_PARENT, id.as_str())?;
        Ok(keys.iter().filter_map(|key| Digest::parse(key).ok()).collect())
    }

    /// Gives an image a name that somebody chose for it here, and notes when.
    pub fn tag(&self, tx: &mut Tx<'_>, reference: &Reference, id: &Digest) -> Result<()> {
        self.name(tx, reference, id)?;
        if let Some(mut record) = IMAGES.get(tx, id.as_str())? {
            record.tagged = Some(jiff::Timestamp::now());
            IMAGES.put(tx, id.as_str(), &record)?;
        }
        Ok(())
    }

    /// Gives an image a name that it came with; one without tag and digest gets the default tag. Returns the image that
    /// had the name.
    pub fn name(&self, tx: &mut Tx<'_>, reference: &Reference, id: &Digest) -> Result<Option<Digest>> {
        if IMAGES.get(tx, id.as_str())?.is_none() {
            return Err(Error::NoImage { name: id.to_string() });
        }
        let reference = record::name_of(reference);
        let key = reference.to_string();
        let before = NAMES.get(tx, &key)?.map(|name| name.image);
        NAMES.put(tx, &key, &NameRecord { reference, image: id.clone() })?;
        Ok(before)
    }

    /// Takes a name away and returns the image that had it.
    pub fn untag(&self, tx: &mut Tx<'_>, reference: &Reference) -> Result<Option<Digest>> {
        let key = record::name_of(reference).to_string();
        let name = NAMES.get(tx, &key)?;
        NAMES.delete(tx, &key)?;
        Ok(name.map(|name| name.image))
    }

    /// The record of an image with this configuration, which need not be stored.
    ///
    /// Errors: a configuration that cannot be read, a layer that is not stored ([`Error::NoLayer`]).
    pub fn describe(&self, view: &View<'_>, config: &[u8]) -> Result<ImageRecord> {
        let id = &Digest::sha256(config);
        let config = parse_config(config)?;
        check_depth(&config)?;
        let chains = chain_ids(&config.rootfs.diff_ids);
        let mut size = 0;
        for chain in &chains {
            match LAYERS.get(view, chain.as_str())? {
                Some(layer) => size += layer.info.size,
                None => return Err(Error::NoLayer { chain: chain.clone() }),
            }
        }
        Ok(ImageRecord::new(id.clone(), chains, size, &config))
    }
}

/// Refuses an image of which no container could be made, best before its layers are fetched.
///
/// # Errors
/// [`Error::Depth`].
pub fn check_depth(config: &ImageConfig) -> Result<()> {
    // What overlayfs stacks (`OVL_MAX_STACK`), less the layer of the mount points that each container has.
    const MOST_LAYERS: usize = 499;
    if config.rootfs.diff_ids.len() > MOST_LAYERS { Err(Error::Depth) } else { Ok(()) }
}

fn parse_config(data: &[u8]) -> Result<ImageConfig> {
    ImageConfig::parse(data)
        .map_err(|source| Error::Document { what: "image configuration".to_owned(), source })
}

fn put_blob(tx: &mut Tx<'_>, digest: &Digest, what: &str, data: &[u8]) -> Result<()> {
    let Ok(text) = std::str::from_utf8(data) else {
        return Err(Error::Archive(format!("invalid {what} {digest}: not UTF-8")));
    };
    Ok(BLOBS.put(tx, digest.as_str(), &Blob { text: text.to_owned() })?)
}
