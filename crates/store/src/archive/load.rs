use std::io::Read;

use wharf_oci::image::ImageConfig;
use wharf_oci::{Digest, Platform, Reference, chain_ids};

use super::spool::{Layer, Source, Spool};
use super::stream::Counted;
use super::{docker, layout};
use crate::layer::{LayerSource, Lease};
use crate::{Error, NewImage, Result, Store, check_depth};

/// An image that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its id.
    pub image: Digest,
    /// The names it got, each with the image that had it before, if that was another one.
    pub names: Vec<(Reference, Option<Digest>)>,
}

/// How far a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadProgress<'a> {
    /// Digest of the uncompressed layer.
    pub layer: &'a Digest,
    /// Bytes read of it as it stands in the archive.
    pub current: u64,
    /// Its length there.
    pub total: u64,
}

/// An error about the layer at this place, as Docker words it.
fn numbered(error: Error, at: usize) -> Error {
    match error {
        Error::DiffId { expected, found } => Error::Archive(format!(
            "invalid diffID for layer {at}: expected {:?}, got {:?}",
            expected.as_str(),
            found.as_str()
        )),
        other => other,
    }
}

/// Told about progress.
pub(crate) type Report<'a> = &'a mut dyn FnMut(LoadProgress<'_>);

/// An image as an archive describes it.
pub(crate) struct Found {
    pub(crate) config: Vec<u8>,
    pub(crate) manifest: Option<Vec<u8>>,
    /// Members with the layers, bottom first, and what is known of them.
    pub(crate) layers: Vec<(String, LayerSource)>,
    pub(crate) names: Vec<Reference>,
    pub(crate) parent: Option<Digest>,
}

impl Store {
    /// Loads every image of an archive made by `docker save` (any version since 1.10) or of an OCI layout in a tar,
    /// compressed or not, from a stream that is read once.
    ///
    /// With a `platform`, only images for it, which may be none; from an index of several platforms always just the best one, else that of
    /// this host. Layers are unpacked while they are read; those that no image needs are dropped again. Images appear one
    /// by one: an error leaves those before.
    ///
    /// Errors: [`Error::Tar`] for what is no tar, [`Error::Archive`] for what is no image archive or contradicts itself.
    pub fn load(
        &self,
        reader: impl Read,
        platform: Option<&Platform>,
        progress: &mut dyn FnMut(LoadProgress<'_>),
    ) -> Result<Vec<Loaded>> {
        let lease = self.lease();
        let mut spool = Spool::read(self, reader, &lease, progress)?;
        let found = if spool.has("manifest.json") {
            docker::images(&spool)?
        } else if spool.has("index.json") {
            layout::images(&spool, platform)?
        } else {
            let reason = "no image in the archive: neither manifest.json nor index.json";
            return Err(Error::Archive(reason.to_owned()));
        };
        let mut loaded = Vec::new();
        for image in found {
            let config = parse(&image.config)?;
            if platform.is_some_and(|platform| !wharf_oci::Matcher::new(platform).matches(&config.platform()))
            {
                continue;
            }
            loaded.push(self.load_image(&mut spool, image, &config, &lease, progress)?);
        }
        Ok(loaded)
    }

    fn load_image(
        &self,
        spool: &mut Spool,
        image: Found,
        config: &ImageConfig,
        lease: &Lease,
        progress: Report<'_>,
    ) -> Result<Loaded> {
        self.load_layers(spool, image.layers, config, lease, progress)?;
        let images = self.images();
        self.0.db.write(|tx| {
            let parent = match &image.parent {
                Some(parent) => images.get(tx, parent)?.map(|parent| parent.id),
                None => None,
            };
            let new = NewImage {
                config: &image.config,
                manifest: image.manifest.as_deref(),
                parent: parent.as_ref(),
            };
            let id = images.put(tx, new)?.id;
            let mut names = Vec::new();
            for name in image.names {
                let before = images.name(tx, &name, &id)?.filter(|before| *before != id);
                names.push((name, before));
            }
            Ok(Loaded { image: id, names })
        })
    }

    fn load_layers(
        &self,
        spool: &mut Spool,
        layers: Vec<(String, LayerSource)>,
        config: &ImageConfig,
        lease: &Lease,
        progress: Report<'_>,
    ) -> Result<()> {
        check_depth(config)?;
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != layers.len() {
            let (expected, got) = (layers.len(), diff_ids.len());
            return Err(Error::Archive(format!(
                "invalid manifest, layers length mismatch: expected {expected}, got {got}"
            )));
        }
        let chains = chain_ids(diff_ids);
        let mut parent = None;
        let layers = layers.into_iter().zip(diff_ids).zip(chains);
        for (at, (((name, mut source), diff_id), chain)) in layers.enumerate() {
            if self.has_chain(&chain, lease)?.is_none() {
                (source.parent, source.diff_id) = (parent.take(), Some(diff_id.clone()));
                let layer = spool.take(&name, &chain)?;
                self.load_layer(layer, source, diff_id, lease, progress)
                    .map_err(|error| numbered(error, at))?;
            }
            parent = Some(chain);
        }
        Ok(())
    }

    fn load_layer(
        &self,
        from: Source<'_>,
        mut source: LayerSource,
        diff_id: &Digest,
        lease: &Lease,
        progress: Report<'_>,
    ) -> Result<()> {
        match from {
            Source::File(section) => {
                let total = section.len();
                self.ingest_layer(Counted::new(section, diff_id, total, progress), source, lease)?;
            }
            Source::Layer(Layer::Ahead(ahead, silent)) => {
                self.adopt_layer(ahead, source, lease)?;
                if let Some(total) = silent {
                    progress(LoadProgress { layer: diff_id, current: total, total });
                }
            }
            Source::Layer(Layer::Damaged(error)) => return Err(error),
            Source::Layer(Layer::Stored(chain)) => {
                // This is the tar and not the form in which the archive has it.
                (source.blob, source.blob_size) = (None, None);
                self.ingest_layer(self.layer_tar(&chain)?, source, lease)?;
            }
        }
        Ok(())
    }
}

/// Reads an image configuration.
pub(crate) fn parse(config: &[u8]) -> Result<ImageConfig> {
    ImageConfig::parse(config)
        .map_err(|source| Error::Document { what: "image configuration".to_owned(), source })
}
