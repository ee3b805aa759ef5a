//! Results that others have.
//!
//! What is read at the beginning is small: which step ended in what. Layers are fetched when a step needs them or they
//! are part of the result. A cache is no reason for a build to fail: what cannot be had from it is built.

use std::{
    collections::HashSet,
    io::Read,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use wharf_oci::{
    Digest, Reference,
    image::{Descriptor, Document, ImageConfig, Index, Manifest, media_type},
};
use wharf_store::{CacheRecord, LayerSource};

use super::{
    Source,
    document::{self, CacheConfig, Knowledge, KnownLayer, Record},
};
use crate::{
    Engine, Error, Result,
    build::{
        BuildClient, BuildRequest,
        vertex::{Vertex, Vertices},
        worker::{Build, Layers},
    },
    image::{Remote, RemoteLayer},
};

/// Longest document of a cache in a folder, in bytes; those of registries are limited by their client.
const LONGEST_DOCUMENT: u64 = 16 << 20;
/// Manifests of an index that are looked at.
const MOST_MANIFESTS: usize = 16;
/// Annotation of an entry of an image layout: its name.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The caches that a build takes results from.
#[derive(Default)]
pub(in crate::build) struct Imports {
    list: Vec<Import>,
    /// What could not be fetched, as place of the cache and key: it is not tried again. Locked while layers are fetched.
    failed: Mutex<HashSet<(usize, Digest)>>,
}

struct Import {
    name: String,
    place: Place,
    knowledge: Knowledge,
}

/// Where a cache is.
enum Place {
    Registry(Remote),
    /// A folder of the client, by its place in the request.
    Folder(usize),
    /// An image that is stored here.
    Image,
}

impl Imports {
    /// Reads what caches know. One that cannot be read is told about and left out.
    pub(in crate::build) fn open(
        engine: &Arc<Engine>,
        request: &BuildRequest,
        sources: &[Source],
        client: &dyn BuildClient,
        vertices: &Vertices<'_>,
    ) -> Self {
        let mut imports = Self::default();
        for source in sources {
            let name = match source {
                Source::Registry(_, name) => name.clone(),
                Source::Folder { place, .. } => format!("local:{place}"),
            };
            let opened = vertices.show(&format!("importing cache manifest from {name}"), |vertex| {
                open(engine, request, source, client, vertex).map_err(|error| match source {
                    Source::Registry(..) => error.context("failed to configure registry cache importer: "),
                    Source::Folder { .. } => error.context("failed to configure local cache importer: "),
                })
            });
            // Why not was told.
            if let Ok((place, knowledge)) = opened {
                imports.list.push(Import { name, place, knowledge });
            }
        }
        imports
    }

    /// Whether there are none.
    pub(in crate::build) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What the result of a step would be.
    pub(in crate::build) fn known(&self, key: &Digest, name: &str) -> Option<Layers> {
        // A cache that has the layers goes before one that only knows them.
        let found = self.list.iter().filter_map(|import| Some((import, import.knowledge.steps.get(key)?)));
        let (_, step) = found.max_by_key(|(import, step)| !import.knowledge.layers(step).is_empty())?;
        Some(Layers {
            chains: vec![step.chain.clone()],
            created: step.created,
            key: Some(key.clone()),
            pending: Some(name.to_owned()),
            base: None,
        })
    }
}

impl Build<'_> {
    /// The layers of a result that is only known: those that are here, or else from a cache that has them. `None` if
    /// they cannot be had.
    pub(in crate::build) fn fetch_known(&self, layers: &Layers) -> Result<Option<Layers>> {
        let (Some(name), Some(key)) = (&layers.pending, &layers.key) else { return Ok(None) };
        let mut failed = self.imports.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(chains) = self.stored(layers)? {
            return Ok(Some(self.remember(key, name, chains, layers)?));
        }
        for (at, import) in self.imports.list.iter().enumerate() {
            let Some(step) = import.knowledge.steps.get(key) else { continue };
            let wanted = import.knowledge.layers(step);
            if wanted.is_empty() || failed.contains(&(at, key.clone())) {
                continue;
            }
            let shown = format!("[internal] fetching cached layers from {}", import.name);
            match self.vertices.show(&shown, |_| self.fetch_layers(import, &wanted)) {
                Ok(()) => {
                    let chains = wanted.iter().map(|layer| layer.chain.clone()).collect();
                    return Ok(Some(self.remember(key, name, chains, layers)?));
                }
                // Told about; then the step is done.
                Err(_) => drop(failed.insert((at, key.clone()))),
            }
        }
        Ok(None)
    }

    /// The chain of a result if all of it is stored here.
    fn stored(&self, layers: &Layers) -> Result<Option<Vec<Digest>>> {
        let mut chains = Vec::new();
        let mut next = layers.chains.last().cloned();
        while let Some(chain) = next {
            let Some(info) = self.engine.store.has_chain(&chain, &self.lease)? else { return Ok(None) };
            chains.push(chain);
            next = info.parent;
        }
        chains.reverse();
        Ok(Some(chains))
    }

    /// Makes a fetched result one of this engine's own cache.
    fn remember(&self, key: &Digest, name: &str, chains: Vec<Digest>, layers: &Layers) -> Result<Layers> {
        let engine = self.engine;
        let known = self.imports.list.iter().find_map(|import| import.knowledge.steps.get(key));
        let now = Timestamp::now();
        let created = layers.created.unwrap_or(now);
        let size = match chains.last() {
            Some(chain) => engine.db.read(|view| engine.store.layer(view, chain))?.size,
            None => 0,
        };
        let record = CacheRecord {
            chains: chains.clone(),
            parent: known.and_then(|known| known.parent.clone()),
            size,
            description: name.to_owned(),
            created,
            last_used: now,
            uses: 0,
        };
        engine.db.write(|tx| Ok::<_, Error>(engine.store.cache().put(tx, key, &record)?))?;
        Ok(Layers { chains, created: Some(created), key: Some(key.clone()), pending: None, base: None })
    }

    fn fetch_layers(&self, import: &Import, layers: &[&KnownLayer]) -> Result<()> {
        let parents = std::iter::once(None).chain(layers.iter().map(|layer| Some(layer.chain.clone())));
        let layers = layers.iter().zip(parents).map(|(layer, parent)| RemoteLayer {
            blob: layer.blob.clone(),
            diff_id: layer.diff_id.clone(),
            chain: layer.chain.clone(),
            parent,
        });
        let layers: Vec<RemoteLayer> = layers.collect();
        match &import.place {
            Place::Registry(remote) => {
                let _runtime = self.engine.runtime.enter();
                self.engine.images.fetch_remote(remote, &layers, &self.lease, &self.cancel.transfer())
            }
            Place::Folder(place) => layers.iter().try_for_each(|layer| self.take_layer(*place, layer)),
            Place::Image => Err(Error::not_found("the image of the cache was removed")),
        }
    }

    /// Takes a layer from a folder of the client.
    fn take_layer(&self, place: usize, layer: &RemoteLayer) -> Result<()> {
        if self.engine.store.has_chain(&layer.chain, &self.lease)?.is_some() {
            return Ok(());
        }
        let blob = self.client.cache_file(place, layer.blob.digest.as_str())?;
        let source = LayerSource {
            parent: layer.parent.clone(),
            diff_id: Some(layer.diff_id.clone()),
            blob: Some(layer.blob.digest.clone()),
            blob_size: Some(layer.blob.size),
            origin: None,
        };
        self.engine.store.ingest_layer(blob, source, &self.lease)?;
        Ok(())
    }
}

fn open(
    engine: &Arc<Engine>,
    request: &BuildRequest,
    source: &Source,
    client: &dyn BuildClient,
    vertex: &Vertex<'_>,
) -> Result<(Place, Knowledge)> {
    match source {
        Source::Registry(reference, _) => {
            if let Some(knowledge) = of_stored_image(engine, reference) {
                return Ok((Place::Image, knowledge));
            }
            let _runtime = engine.runtime.enter();
            let credentials = request.credentials.get(reference.domain());
            let (remote, document) = engine.images.find_remote(reference, credentials)?;
            let reader = Reader {
                vertex,
                document: &|blob| engine.images.remote_document(&remote, blob),
                manifest: &|digest| engine.images.remote_manifest(&remote, digest),
            };
            let knowledge = reader.read(document)?;
            Ok((Place::Registry(remote), knowledge))
        }
        Source::Folder { place, tag, digest } => {
            let document = |blob: &Descriptor| folder_document(client, *place, blob);
            let mut text = Vec::new();
            let file = client.cache_file(*place, "index.json")?;
            file.take(LONGEST_DOCUMENT)
                .read_to_end(&mut text)
                .map_err(|error| Error::system(error.to_string()))?;
            let index: Index = serde_json::from_slice(&text).map_err(malformed)?;
            let named = |entry: &&Descriptor| match digest {
                Some(digest) => entry.digest.as_str() == digest,
                None => entry.annotations.get(REF_NAME) == Some(tag),
            };
            let entry = index.manifests.iter().find(named);
            let entry = entry.ok_or_else(|| Error::not_found("manifest not found"))?;
            let manifest = |digest: &Digest| {
                let entry = index.manifests.iter().find(|entry| entry.digest == *digest);
                let entry = entry.ok_or_else(|| Error::not_found("manifest not found"))?;
                Document::parse(Some(&entry.media_type), &document(entry)?).map_err(malformed)
            };
            let reader = Reader { vertex, document: &document, manifest: &manifest };
            let knowledge = reader.read(manifest(&entry.digest)?)?;
            Ok((Place::Folder(*place), knowledge))
        }
    }
}

/// What an image that is stored here knows, if it has a cache of its own.
fn of_stored_image(engine: &Engine, reference: &Reference) -> Option<Knowledge> {
    let found = engine.images.find(&reference.to_string(), None).ok()?;
    let config = found.config();
    let records = records_of(config).ok()??;
    let unneeded = |diff_id: &Digest| Descriptor::new(media_type::OCI_LAYER, diff_id.clone(), 0);
    let blobs: Vec<Descriptor> = config.rootfs.diff_ids.iter().map(unneeded).collect();
    Some(document::inline_knowledge(&records, &blobs, &config.rootfs.diff_ids))
}

/// The records that an image's configuration has.
fn records_of(config: &ImageConfig) -> Result<Option<Vec<Record>>> {
    let Some(text) = config.extra.get(document::INLINE).and_then(serde_json::Value::as_str) else {
        return Ok(None);
    };
    let text = STANDARD.decode(text).map_err(|error| Error::invalid(format!("malformed cache: {error}")))?;
    serde_json::from_slice(&text).map(Some).map_err(malformed)
}

/// A document from a folder of the client, which is what its digest says.
fn folder_document(client: &dyn BuildClient, place: usize, blob: &Descriptor) -> Result<Vec<u8>> {
    if blob.size > LONGEST_DOCUMENT {
        return Err(Error::invalid(format!("{} exceeds the limit of {LONGEST_DOCUMENT} bytes", blob.digest)));
    }
    let mut bytes = Vec::new();
    let mut file = client.cache_file(place, blob.digest.as_str())?.take(blob.size + 1);
    file.read_to_end(&mut bytes).map_err(|error| Error::system(error.to_string()))?;
    if bytes.len() as u64 != blob.size || !blob.digest.matches(&bytes) {
        return Err(Error::invalid(format!("{} is not what its digest says", blob.digest)));
    }
    Ok(bytes)
}

/// Reads the documents of a cache, wherever they are.
struct Reader<'a> {
    vertex: &'a Vertex<'a>,
    document: &'a dyn Fn(&Descriptor) -> Result<Vec<u8>>,
    manifest: &'a dyn Fn(&Digest) -> Result<Document>,
}

impl Reader<'_> {
    fn read(&self, document: Document) -> Result<Knowledge> {
        let kind = match &document {
            Document::Manifest(manifest) => &manifest.media_type,
            Document::Index(index) => &index.media_type,
        };
        self.vertex.status(&format!("inferred cache manifest type: {kind} done"));
        match document {
            Document::Manifest(manifest) => self.of_manifest(&manifest),
            Document::Index(index) => {
                let config = index.manifests.iter().find(|entry| entry.media_type == document::CONFIG);
                if let Some(config) = config {
                    return self.of_config(config, &index.manifests);
                }
                let images =
                    index.manifests.iter().filter(|entry| media_type::is_manifest(&entry.media_type));
                for entry in images.take(MOST_MANIFESTS) {
                    if let Document::Manifest(manifest) = (self.manifest)(&entry.digest)?
                        && let Ok(knowledge) = self.of_manifest(&manifest)
                        && !knowledge.steps.is_empty()
                    {
                        return Ok(knowledge);
                    }
                }
                Ok(Knowledge::default())
            }
        }
    }

    fn of_config(&self, config: &Descriptor, layers: &[Descriptor]) -> Result<Knowledge> {
        let config: CacheConfig = serde_json::from_slice(&(self.document)(config)?).map_err(malformed)?;
        Ok(config.knowledge(layers))
    }

    /// A cache of its own, or that of an image.
    fn of_manifest(&self, manifest: &Manifest) -> Result<Knowledge> {
        if manifest.config.media_type == document::CONFIG {
            return self.of_config(&manifest.config, &manifest.layers);
        }
        if !media_type::is_config(&manifest.config.media_type) {
            return Ok(Knowledge::default());
        }
        let config = ImageConfig::parse(&(self.document)(&manifest.config)?).map_err(malformed)?;
        let records = records_of(&config)?.unwrap_or_default();
        if config.rootfs.diff_ids.len() != manifest.layers.len() {
            return Err(Error::invalid("layers and diff ids of the cache's image do not match"));
        }
        Ok(document::inline_knowledge(&records, &manifest.layers, &config.rootfs.diff_ids))
    }
}

fn malformed(error: serde_json::Error) -> Error {
    Error::invalid(format!("malformed cache: {error}"))
}
