//! `save`: images as an archive, an image layout that has Docker's own index beside it.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use serde_json::json;
use wharf_db::View;
use wharf_oci::image::{Descriptor, Manifest, media_type};
use wharf_oci::platform::Matcher;
use wharf_oci::{AnyReference, Digest, Platform, Reference};
use wharf_store::{ImageRecord, LayerInfo};

use super::{Annotations, BuiltImage, Images, views};
use crate::{Error, Result};

/// Bytes copied at once.
const PIECE: usize = 256 << 10;
/// Bytes of a block of a tar.
const BLOCK: usize = 512;

/// What stands in `oci-layout`.
const OCI_LAYOUT: &str = r#"{"imageLayoutVersion": "1.0.0"}"#;

/// An image to be saved and the names to save it under.
struct Chosen {
    record: ImageRecord,
    /// Its configuration.
    config: String,
    tags: Vec<Reference>,
}

/// One file of the archive.
enum Content {
    Text(String),
    Layer(LayerInfo),
}

/// A file of the archive and its time, in seconds since the epoch.
struct File {
    content: Content,
    time: u64,
}

impl Images {
    /// Writes images to `out`. A name without a tag means all tags of that repository, an id the image without names.
    ///
    /// # Errors
    /// 404 for a name that is not there, 500 for an image for another platform, before anything is written.
    pub fn save(&self, names: &[String], platform: Option<&Platform>, out: &mut dyn Write) -> Result<()> {
        let chosen = self.choose(names)?;
        if let Some(platform) = platform
            && !chosen.iter().all(|image| Matcher::new(platform).matches(&image.record.platform))
        {
            return Err(Error::system(format!("no suitable export target found for platform {platform}")));
        }
        // A removal meanwhile must not take the layers away.
        let lease = self.store.lease();
        for chain in chosen.iter().flat_map(|image| &image.record.chains) {
            self.store.has_chain(chain, &lease)?;
        }
        let files = self.files(&chosen, None, &Annotations::default())?.0;
        let written = self.write_archive(files, out);
        for image in &chosen {
            self.publish_id("save", &image.record);
        }
        written
    }

    /// Writes images that need not be stored to `out`, under all of these names. Several are one index of images for
    /// different platforms, whose digest is returned. Their layers must be held by a lease.
    ///
    /// # Errors
    /// A layer cannot be read, or the archive not be written.
    pub(crate) fn save_built(
        &self,
        images: &[BuiltImage],
        names: &[Reference],
        annotations: &Annotations,
        out: &mut dyn Write,
    ) -> Result<Option<Digest>> {
        let several = images.len() > 1;
        let tags = if several { Vec::new() } else { names.to_vec() };
        let chosen = |(record, config): &BuiltImage| Chosen {
            record: record.clone(),
            config: config.clone(),
            tags: tags.clone(),
        };
        let chosen: Vec<_> = images.iter().map(chosen).collect();
        let (files, index) = self.files(&chosen, several.then_some(names), annotations)?;
        self.write_archive(files, out)?;
        Ok(index)
    }

    fn choose(&self, names: &[String]) -> Result<Vec<Chosen>> {
        let mut found = Vec::new();
        self.db.read(|view| names.iter().try_for_each(|name| self.choose_one(view, name, &mut found)))?;
        let mut chosen: Vec<Chosen> = Vec::new();
        for (record, tag) in found {
            let at = chosen.iter().position(|other| other.record.id == record.id).unwrap_or_else(|| {
                chosen.push(Chosen { record, config: String::new(), tags: Vec::new() });
                chosen.len() - 1
            });
            let tags = &mut chosen[at].tags;
            tags.extend(tag.filter(|tag| !tags.contains(tag)));
        }
        self.db.read(|view| {
            for image in &mut chosen {
                image.config = self.store.images().config_bytes(view, &image.record.id)?;
            }
            Ok(chosen)
        })
    }

    fn choose_one(
        &self,
        view: &View<'_>,
        name: &str,
        found: &mut Vec<(ImageRecord, Option<Reference>)>,
    ) -> Result<()> {
        let images = self.store.images();
        let missing = || Error::not_found(format!("No such image: {name}"));
        // compat: a malformed name is an error of the system here, not of the request.
        match AnyReference::parse(name).map_err(|error| Error::system(error.to_string()))? {
            AnyReference::Digest(id) => found.push((images.get(view, &id)?.ok_or_else(missing)?, None)),
            AnyReference::Named(reference) if reference.familiar_name() == "sha256" => {
                found.push((images.resolve(view, name).map_err(|_| missing())?, None));
            }
            AnyReference::Named(reference) if reference.is_name_only() => {
                let before = found.len();
                for image in images.list(view)? {
                    let same = image.tags.into_iter().filter(|tag| tag.name() == reference.name());
                    found.extend(same.map(|tag| (image.record.clone(), Some(tag))));
                }
                found[before..].sort_by(|(_, a), (_, b)| a.cmp(b));
                if found.len() == before {
                    found.push((images.resolve(view, name).map_err(|_| missing())?, None));
                }
            }
            AnyReference::Named(reference) => {
                let record = images.by_reference(view, &reference)?;
                let record = record.ok_or_else(|| Error::not_found("reference does not exist"))?;
                found.push((record, Some(reference).filter(|reference| reference.digest().is_none())));
            }
        }
        Ok(())
    }

    /// The files of the archive by path. With the names of an index, the images are only found through it; its digest
    /// comes second.
    fn files(
        &self,
        chosen: &[Chosen],
        of_index: Option<&[Reference]>,
        annotations: &Annotations,
    ) -> Result<(BTreeMap<String, File>, Option<Digest>)> {
        let mut files = BTreeMap::new();
        let mut index = Vec::new();
        let mut docker = Vec::new();
        let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let json = |error: serde_json::Error| Error::system(error.to_string());
        for image in chosen {
            let id = &image.record.id;
            let config = image.config.clone();
            let layers = self.db.read(|view| {
                let layers = image.record.chains.iter().map(|chain| self.store.layer(view, chain));
                layers.collect::<wharf_store::Result<Vec<_>>>()
            })?;
            let time =
                views::created(&image.record).and_then(|at| u64::try_from(at.as_second()).ok()).unwrap_or(0);
            let descriptors: Vec<Descriptor> = layers
                .iter()
                .map(|layer| Descriptor::new(media_type::OCI_LAYER, layer.diff_id.clone(), layer.tar_size))
                .collect();
            let manifest = serde_json::to_string(&Manifest {
                schema_version: 2,
                media_type: media_type::OCI_MANIFEST.to_owned(),
                config: Descriptor::of(media_type::OCI_CONFIG, config.as_bytes()),
                layers: descriptors.clone(),
                annotations: annotations.manifest(&image.record.platform),
                extra: serde_json::Map::new(),
            })
            .map_err(json)?;
            let mut entry = Descriptor::of(media_type::OCI_MANIFEST, manifest.as_bytes());
            entry.annotations = annotations.manifest_descriptor(&image.record.platform);
            docker.push(docker_entry(image, &descriptors));
            if image.tags.is_empty() {
                let platform = of_index.map(|_| image.record.platform.clone());
                index.push(Descriptor { platform, ..entry.clone() });
            }
            for tag in &image.tags {
                index.push(annotated(&entry, tag));
                if let (Some(tag_name), Some(top)) = (tag.tag(), layers.last()) {
                    let tags = repositories.entry(tag.familiar_name()).or_default();
                    tags.insert(tag_name.to_owned(), top.diff_id.hex().to_owned());
                }
            }
            files.insert(blob_path(&entry.digest), File { content: Content::Text(manifest), time: 0 });
            files.insert(blob_path(id), File { content: Content::Text(config), time });
            for layer in layers {
                files.insert(blob_path(&layer.diff_id), File { content: Content::Layer(layer), time });
            }
        }
        let text = |text: String| File { content: Content::Text(text), time: 0 };
        let mut digest = None;
        if let Some(names) = of_index {
            let document =
                super::index::document(media_type::OCI_INDEX, &index, &annotations.index()).to_string();
            let mut entry = Descriptor::of(media_type::OCI_INDEX, document.as_bytes());
            entry.annotations = annotations.index_descriptor();
            index = match names {
                [] => vec![entry.clone()],
                names => names.iter().map(|name| annotated(&entry, name)).collect(),
            };
            files.insert(blob_path(&entry.digest), File { content: Content::Text(document), time: 0 });
            digest = Some(entry.digest);
        } else {
            // Docker's own index knows of no platforms.
            files.insert("manifest.json".to_owned(), text(format!("{}\n", json!(docker))));
        }
        files.insert(
            "index.json".to_owned(),
            text(super::index::document(media_type::OCI_INDEX, &index, &BTreeMap::new()).to_string()),
        );
        files.insert("oci-layout".to_owned(), text(OCI_LAYOUT.to_owned()));
        if !repositories.is_empty() {
            files.insert("repositories".to_owned(), text(format!("{}\n", json!(repositories))));
        }
        Ok((files, digest))
    }

    fn write_archive(&self, files: BTreeMap<String, File>, out: &mut dyn Write) -> Result<()> {
        let broken = |error: std::io::Error| Error::system(crate::error::io_words(&error)).caused_by(error);
        let (mut archive, mut buffer) = (tar::Builder::new(out), vec![0; PIECE]);
        for folder in ["blobs/", "blobs/sha256/"] {
            let mut header = header(tar::EntryType::Directory, 0, 0);
            archive.append_data(&mut header, folder, std::io::empty()).map_err(broken)?;
        }
        for (path, file) in files {
            let (size, mut content): (u64, Box<dyn Read>) = match file.content {
                Content::Text(text) => (text.len() as u64, Box::new(std::io::Cursor::new(text))),
                Content::Layer(layer) => (layer.tar_size, Box::new(self.store.layer_tar(&layer.chain_id)?)),
            };
            let mut header = header(tar::EntryType::Regular, size, file.time);
            header.set_path(path).map_err(broken)?;
            header.set_cksum();
            let out = archive.get_mut();
            out.write_all(header.as_bytes()).map_err(broken)?;
            copy(&mut content, size, &mut buffer, out).map_err(broken)?;
        }
        archive.into_inner().and_then(|out| out.flush()).map_err(broken)
    }
}

/// Copies the content of a file and fills the last block up.
fn copy(
    content: &mut dyn Read,
    size: u64,
    buffer: &mut [u8],
    out: &mut (impl Write + ?Sized),
) -> std::io::Result<()> {
    let mut copied = 0;
    loop {
        match content.read(buffer)? {
            0 if copied == size => break,
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            got => {
                copied += got as u64;
                out.write_all(&buffer[..got])?;
            }
        }
    }
    out.write_all(&[0; BLOCK][..(size.wrapping_neg() % BLOCK as u64) as usize])
}

fn header(kind: tar::EntryType, size: u64, time: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(if kind == tar::EntryType::Directory { 0o755 } else { 0o644 });
    header.set_size(size);
    header.set_mtime(time);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The image's entry in `manifest.json`.
fn docker_entry(image: &Chosen, layers: &[Descriptor]) -> serde_json::Value {
    let tags: Vec<String> = image.tags.iter().map(Reference::familiar).collect();
    let paths: Vec<String> = layers.iter().map(|layer| blob_path(&layer.digest)).collect();
    let sources: BTreeMap<String, serde_json::Value> = layers
        .iter()
        .map(|l| {
            (l.digest.to_string(), json!({"mediaType": l.media_type, "size": l.size, "digest": l.digest}))
        })
        .collect();
    json!({
        "Config": blob_path(&image.record.id),
        "RepoTags": (!tags.is_empty()).then_some(tags),
        "Layers": paths,
        "LayerSources": sources,
    })
}

/// The manifest's entry in `index.json` under a name.
fn annotated(entry: &Descriptor, name: &Reference) -> Descriptor {
    let mut entry = entry.clone();
    entry.annotations.insert("io.containerd.image.name".to_owned(), name.to_string());
    let tag = name.tag().unwrap_or_default().to_owned();
    entry.annotations.insert("org.opencontainers.image.ref.name".to_owned(), tag);
    entry
}
