//! Results for others: documents and layers into a registry or a folder of the client, or records alone into the
//! configuration of the image.

use std::{
    collections::{HashMap, HashSet},
    io::{self, Seek, Write},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use wharf_oci::{
    Digest,
    image::{Descriptor, media_type},
};
use wharf_store::LayerInfo;

use super::{
    Export, Target,
    document::{self, Blob, CacheConfig, Step},
    import::REF_NAME,
};
use crate::{
    Error, Result,
    build::{
        BuildRequest, Solved,
        vertex::Vertex,
        worker::{Layers, Value},
    },
};

/// The documents of a cache, as they are written.
struct Documents {
    config: Vec<u8>,
    config_digest: Digest,
    manifest: Vec<u8>,
    media_type: &'static str,
}

impl Solved<'_> {
    /// Gives the results of a build to the caches that it was asked to.
    ///
    /// # Errors
    /// One cannot be written to, and may not fail.
    pub(in crate::build) fn export_caches(&self, request: &BuildRequest, exports: &[Export]) -> Result<()> {
        for export in exports {
            let name = match &export.target {
                Target::Inline => continue,
                Target::Registry(_) => "exporting cache to registry",
                Target::Folder { .. } => "exporting cache to client directory",
            };
            let exported =
                self.build.vertices.show(name, |vertex| self.export_cache(request, export, vertex));
            match exported {
                // Progress has told about it.
                Err(_) if export.ignore_error => {}
                other => other?,
            }
        }
        Ok(())
    }

    fn export_cache(&self, request: &BuildRequest, export: &Export, vertex: &Vertex<'_>) -> Result<()> {
        let steps = self.steps(export.max)?;
        let wanted = self.wanted(&steps, export.max)?;
        vertex.status("preparing build cache for export done");
        let engine = self.build.engine;
        match &export.target {
            Target::Registry(reference) => {
                let _runtime = engine.runtime.enter();
                let credentials = request.credentials.get(reference.domain());
                let (remote, placed) = engine.images.push_layers(reference, credentials, &wanted)?;
                let blob = |(info, placed): (&LayerInfo, wharf_store::LayerOrigin)| {
                    (info.chain_id.clone(), blob(info, placed.digest, placed.size, export.oci))
                };
                let blobs: HashMap<_, _> = wanted.iter().zip(placed).map(blob).collect();
                let documents = documents(&steps, &wanted, &blobs, export)?;
                tell(vertex, &blobs, &documents);
                engine.images.push_document(&remote, &documents.config_digest, documents.config)?;
                engine.images.push_manifest(&remote, documents.media_type, documents.manifest)
            }
            Target::Folder { place, tag } => {
                let mut out = self.build.client.cache_target(*place)?;
                let mut archive = tar::Builder::new(&mut out);
                let blobs = self.write_layers(&wanted, export.oci, &mut archive)?;
                let documents = documents(&steps, &wanted, &blobs, export)?;
                tell(vertex, &blobs, &documents);
                write_documents(&documents, tag, &mut archive).map_err(broken)?;
                archive.into_inner().and_then(|out| out.flush()).map_err(broken)
            }
            Target::Inline => Ok(()),
        }
    }

    /// What the build did, each step once.
    fn steps(&self, fetch: bool) -> Result<Vec<Step>> {
        let mut seen = HashSet::new();
        let mut steps = Vec::new();
        for (node, value) in self.build.graph.nodes.iter().zip(&self.values) {
            let Value::Layers(layers) = value else { continue };
            let Some(key) = layers.key.clone().filter(|key| seen.insert(key.clone())) else { continue };
            // What others have, too: a cache that is given on has to be whole.
            let fetched = if fetch { self.build.fetch_known(layers)? } else { None };
            let chains = fetched.as_ref().map_or(&layers.chains, |fetched: &Layers| &fetched.chains).clone();
            let inputs = node.op.inputs().into_iter().filter_map(|input| match &self.values[input.0] {
                Value::Layers(layers) => layers.key.clone(),
                Value::Files(_) => None,
            });
            steps.push(Step { key, chains, created: layers.created, inputs: inputs.collect() });
        }
        Ok(steps)
    }

    /// The layers that belong into a cache, each once and after the one below it.
    fn wanted(&self, steps: &[Step], max: bool) -> Result<Vec<LayerInfo>> {
        let mut chains: Vec<&Digest> = Vec::new();
        for output in &self.build.graph.outputs {
            let root = self.values[output.root.0].layers()?;
            if root.pending.is_none() {
                chains.extend(&root.chains);
            }
        }
        if max {
            chains.extend(steps.iter().flat_map(|step| &step.chains));
        }
        let mut seen = HashSet::new();
        let store = &self.build.engine.store;
        let stored = chains.into_iter().filter(|chain| seen.insert(*chain));
        let stored = stored.filter_map(|chain| store.has_chain(chain, &self.build.lease).transpose());
        Ok(stored.collect::<wharf_store::Result<_>>()?)
    }

    /// Writes compressed layers into an image layout.
    fn write_layers(
        &self,
        layers: &[LayerInfo],
        oci: bool,
        archive: &mut tar::Builder<impl Write>,
    ) -> Result<HashMap<Digest, Blob>> {
        let mut blobs = HashMap::new();
        let mut written = HashSet::new();
        for info in layers {
            let mut file = tempfile::tempfile().map_err(broken)?;
            let mut hasher = wharf_oci::Hasher::sha256();
            let mut size = 0;
            let mut tar = self.build.engine.store.layer_tar(&info.chain_id)?;
            let mut keep = |piece: Vec<u8>| {
                hasher.update(&piece);
                size += piece.len() as u64;
                file.write_all(&piece)
            };
            wharf_store::gzip(&mut tar, &mut keep).map_err(broken)?;
            let digest = hasher.finish();
            if written.insert(digest.clone()) {
                file.rewind().map_err(broken)?;
                append(archive, &blob_path(&digest), size, &mut file).map_err(broken)?;
            }
            blobs.insert(info.chain_id.clone(), blob(info, digest, size, oci));
        }
        Ok(blobs)
    }
}

/// What the configuration of an image with these layers has as its own cache, under [`document::INLINE`]; nothing if
/// nobody asked.
pub(in crate::build) fn inline(
    solved: &Solved<'_>,
    exports: &[Export],
    chains: &[Digest],
) -> Result<Option<(String, serde_json::Value)>> {
    if !exports.iter().any(|export| matches!(export.target, Target::Inline)) {
        return Ok(None);
    }
    let records = document::inline(&solved.steps(false)?, chains);
    let text = serde_json::to_vec(&records).map_err(|error| Error::system(error.to_string()))?;
    Ok(Some((document::INLINE.to_owned(), STANDARD.encode(text).into())))
}

fn blob(info: &LayerInfo, digest: Digest, size: u64, oci: bool) -> Blob {
    let mut descriptor = Descriptor::new(document::layer_type(oci), digest, size);
    descriptor.annotations.insert(document::UNCOMPRESSED.to_owned(), info.diff_id.to_string());
    Blob { descriptor, diff_id: info.diff_id.clone() }
}

fn documents(
    steps: &[Step],
    wanted: &[LayerInfo],
    blobs: &HashMap<Digest, Blob>,
    export: &Export,
) -> Result<Documents> {
    let json = |error: serde_json::Error| Error::system(error.to_string());
    let config = serde_json::to_vec(&CacheConfig::of(steps, blobs)).map_err(json)?;
    let entry = Descriptor::of(document::CONFIG, &config);
    let mut seen = HashSet::new();
    let layers = wanted.iter().filter_map(|info| Some(&blobs.get(&info.chain_id)?.descriptor));
    let layers: Vec<&Descriptor> = layers.filter(|blob| seen.insert(&blob.digest)).collect();
    let (media_type, manifest) = if export.image_manifest {
        let kind = media_type::OCI_MANIFEST;
        (kind, json!({"schemaVersion": 2, "mediaType": kind, "config": entry, "layers": layers}))
    } else {
        let kind = if export.oci { media_type::OCI_INDEX } else { media_type::DOCKER_MANIFEST_LIST };
        let all: Vec<&Descriptor> = layers.into_iter().chain([&entry]).collect();
        (kind, json!({"schemaVersion": 2, "mediaType": kind, "manifests": all}))
    };
    let manifest = serde_json::to_vec(&manifest).map_err(json)?;
    Ok(Documents { config_digest: entry.digest, config, manifest, media_type })
}

/// Reports what the reference builder does.
fn tell(vertex: &Vertex<'_>, blobs: &HashMap<Digest, Blob>, documents: &Documents) {
    let mut layers: Vec<&Digest> = blobs.values().map(|blob| &blob.descriptor.digest).collect();
    layers.sort_unstable();
    layers.dedup();
    for digest in layers {
        vertex.status(&format!("writing layer {digest} done"));
    }
    vertex.status(&format!("writing config {} done", documents.config_digest));
    let kind = if documents.media_type == media_type::OCI_MANIFEST {
        "cache image manifest"
    } else {
        "cache manifest"
    };
    vertex.status(&format!("writing {kind} {} done", Digest::sha256(&documents.manifest)));
}

fn write_documents(
    documents: &Documents,
    tag: &str,
    archive: &mut tar::Builder<impl Write>,
) -> io::Result<()> {
    let mut entry = Descriptor::of(documents.media_type, &documents.manifest);
    let mut put = |path: &str, bytes: &[u8]| append(archive, path, bytes.len() as u64, &mut &*bytes);
    put(&blob_path(&documents.config_digest), &documents.config)?;
    put(&blob_path(&entry.digest), &documents.manifest)?;
    entry.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
    let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [entry]});
    put("index.json", index.to_string().as_bytes())
}

fn append(
    archive: &mut tar::Builder<impl Write>,
    path: &str,
    size: u64,
    content: &mut dyn io::Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_size(size);
    archive.append_data(&mut header, path, content)
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn broken(error: io::Error) -> Error {
    Error::system(crate::error::io_words(&error)).caused_by(error)
}
