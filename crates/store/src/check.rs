//! Whether rows and files agree: what [`Store::check`] looks at, and what it can mend.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use wharf_db::View;
use wharf_oci::Digest;

use crate::image::{BLOBS, IMAGES, ImageRecord, NAMES};
use crate::layer::LAYERS;
use crate::snapshot::{self, SNAPSHOTS, init};
use crate::{Error, Result, Store};

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What it is about: `layer sha256:…`, `image sha256:…`, `snapshot …`, a path.
    pub subject: String,
    /// What is wrong with it.
    pub what: String,
    /// Whether it has been mended.
    pub mended: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, what, mended } = self;
        write!(f, "{subject}: {what}{}", if *mended { " (mended)" } else { "" })
    }
}

/// The problems found so far, and whether they are to be mended.
#[derive(Debug)]
pub struct Report<E = Error> {
    problems: Vec<Problem>,
    repair: bool,
    /// What mending may fail with.
    failure: PhantomData<fn() -> E>,
}

impl<E> Report<E> {
    /// A report that goes on where `problems` end.
    pub fn new(problems: Vec<Problem>, repair: bool) -> Self {
        Self { problems, repair, failure: PhantomData }
    }

    /// Adds a problem; `mend` is tried if that is wanted and says whether it did any good.
    ///
    /// # Errors
    /// Those of `mend`.
    pub fn add(
        &mut self,
        subject: impl fmt::Display,
        what: impl fmt::Display,
        mend: impl FnOnce() -> std::result::Result<bool, E>,
    ) -> std::result::Result<(), E> {
        let mended = self.repair && mend()?;
        self.problems.push(Problem { subject: subject.to_string(), what: what.to_string(), mended });
        Ok(())
    }

    /// What was found.
    pub fn problems(self) -> Vec<Problem> {
        self.problems
    }
}

impl Store {
    /// Compares rows with each other and with the files, and reads every layer to see whether it still gives its digest.
    /// `is_container` tells whether an id is that of a container. With `repair`, what can be mended without losing data is mended: files and
    /// rows nobody needs go, numbers are set right, and images whose layers are damaged are removed, so that they can be
    /// had again, unless a container is made of them.
    ///
    /// Containers and images may come and go meanwhile; folders of uploads on their way (`tmp-*`) are no problem.
    pub fn check(&self, is_container: &dyn Fn(&str) -> bool, repair: bool) -> Result<Vec<Problem>> {
        let mut report = Report::new(Vec::new(), repair);
        self.check_layers(&mut report)?;
        self.check_images(&mut report)?;
        self.check_orphans(&mut report)?;
        self.check_snapshots(is_container, &mut report)?;
        self.check_folders(&mut report)?;
        Ok(report.problems())
    }

    fn check_layers(&self, report: &mut Report) -> Result<()> {
        for (key, record) in self.0.db.read(|view| LAYERS.list(view))? {
            let chain = &record.info.chain_id;
            let missing = |name: &str| !self.layer_dir(chain).join(name).exists();
            let damage = if let Some(name) = ["diff", "recipe"].into_iter().find(|name| missing(name)) {
                Some(format!("{name} is missing"))
            } else {
                self.layer_tar(chain).and_then(|tar| tar.verify()).err().map(|error| error.to_string())
            };
            // One that was removed meanwhile is neither damaged nor unused.
            if !self.0.db.read(|view| LAYERS.contains(view, &key))? {
                continue;
            }
            if let Some(damage) = damage {
                report.add(format!("layer {chain}"), damage, || self.give_up_layer(chain))?;
            } else if !self.0.db.read(|view| self.is_used(view, chain))? {
                let drop_it = || self.0.db.write(|tx| self.drop_layer(tx, chain));
                report.add(format!("layer {chain}"), "nothing uses it", drop_it)?;
            }
        }
        Ok(())
    }

    /// Removes a damaged layer with its images, unless a container needs what is left of it.
    fn give_up_layer(&self, chain: &Digest) -> Result<bool> {
        let used = self.0.db.read(|view| SNAPSHOTS.find_keys(view, &snapshot::BY_LAYER, chain.as_str()))?;
        if !used.is_empty() {
            return Ok(false);
        }
        self.remove_damaged(chain)?;
        Ok(true)
    }

    fn check_images(&self, report: &mut Report) -> Result<()> {
        for finding in self.0.db.read(image_findings)? {
            let Finding { image, what, flaw } = finding;
            report.add(format!("image {image}"), what, || match flaw {
                Flaw::Unusable => self.remove_image(&image),
                Flaw::Size(size) => self.change_image(&image, |row| row.size = size),
                Flaw::Parent => self.change_image(&image, |row| row.parent = None),
                Flaw::Manifest(digest) => {
                    self.change_image(&image, |row| row.manifests.retain(|manifest| *manifest != digest))
                }
            })?;
        }
        Ok(())
    }

    /// Names without an image, documents nobody has.
    fn check_orphans(&self, report: &mut Report) -> Result<()> {
        let (names, documents) = self.0.db.read(orphans)?;
        // What has come to be needed meanwhile stays.
        for key in names {
            report.add(format!("name {key}"), "the image it names is not stored", || {
                self.0.db.write(|tx| Ok(orphans(tx)?.0.contains(&key) && NAMES.delete(tx, &key)?))
            })?;
        }
        for key in documents {
            report.add(format!("document {key}"), "no image has it", || {
                self.0.db.write(|tx| Ok(orphans(tx)?.1.contains(&key) && BLOBS.delete(tx, &key)?))
            })?;
        }
        Ok(())
    }

    fn check_snapshots(&self, is_container: &dyn Fn(&str) -> bool, report: &mut Report) -> Result<()> {
        for (id, record) in self.0.db.read(|view| SNAPSHOTS.list(view))? {
            if record.is_of_build() {
                // It ends with its step, or at the next start.
                continue;
            }
            let subject = format!("snapshot {id}");
            let exists = is_container(&id);
            // Container and snapshot come and go in one transaction.
            if !self.0.db.read(|view| SNAPSHOTS.contains(view, &id))? {
                continue;
            }
            if !exists {
                report.add(&subject, "its container does not exist", || {
                    self.0.db.write(|tx| self.snapshots().remove(tx, &id))?;
                    Ok(true)
                })?;
                continue;
            }
            for name in ["diff", "work"] {
                let folder = self.snapshots_dir().join(&id).join(name);
                if !folder.is_dir() {
                    // The overlay's own folder holds nothing; the other held the container's files.
                    let make = || Ok(name == "work" && std::fs::create_dir_all(&folder).is_ok());
                    report.add(&subject, format!("its folder {name} is missing"), make)?;
                }
            }
            for chain in record.chains() {
                if !self.0.db.read(|view| LAYERS.contains(view, chain.as_str()))? {
                    report.add(&subject, format!("its layer {chain} is not stored"), || Ok(false))?;
                }
            }
        }
        Ok(())
    }

    fn check_folders(&self, report: &mut Report) -> Result<()> {
        if !init::diff(self).is_dir() {
            report.add("the init layer", "it is missing", || init::ensure(self).map(|()| true))?;
        }
        for path in self.unknown_folders()? {
            let discard = || self.discard(&path).map(|()| true);
            report.add(path.display(), "no layer and no container has this folder", discard)?;
        }
        Ok(())
    }

    /// Folders beside layers and snapshots that no row names.
    fn unknown_folders(&self) -> Result<Vec<std::path::PathBuf>> {
        // Rows and folders of layers change together under this lock, those of containers in one transaction.
        let _guard = self.lock_layers();
        let folder = self.snapshots_dir();
        self.0.db.write(|tx| {
            let mut unknown = Vec::new();
            let failed = |source| Error::io("read", &folder, source);
            for entry in std::fs::read_dir(&folder).map_err(failed)? {
                let name = entry.map_err(failed)?.file_name();
                let name = name.to_string_lossy();
                let known = name == init::NAME
                    || name.starts_with("tmp-")
                    || LAYERS.contains(tx, &format!("sha256:{name}"))?
                    || SNAPSHOTS.contains(tx, &name)?;
                if !known {
                    unknown.push(folder.join(&*name));
                }
            }
            Ok(unknown)
        })
    }

    fn remove_image(&self, id: &Digest) -> Result<bool> {
        match self.0.db.write(|tx| self.images().remove(tx, id)) {
            Ok(_) | Err(Error::NoImage { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn change_image(&self, id: &Digest, change: impl FnOnce(&mut ImageRecord)) -> Result<bool> {
        self.0.db.write(|tx| {
            let Some(mut row) = IMAGES.get(tx, id.as_str())? else { return Ok(true) };
            change(&mut row);
            IMAGES.put(tx, id.as_str(), &row)?;
            Ok(true)
        })
    }
}

/// What is wrong with an image, and so what mends it.
enum Flaw {
    /// It cannot be used any more.
    Unusable,
    /// The sum of its layers' sizes is this one.
    Size(u64),
    /// Its parent is not stored.
    Parent,
    /// A manifest is missing or damaged.
    Manifest(Digest),
}

struct Finding {
    image: Digest,
    what: String,
    flaw: Flaw,
}

fn image_findings(view: &View<'_>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (_, image) in IMAGES.list(view)? {
        let mut add = |what: String, flaw| findings.push(Finding { image: image.id.clone(), what, flaw });
        let layers = image.chains.iter().map(|chain| LAYERS.get(view, chain.as_str()));
        match layers.collect::<wharf_db::Result<Option<Vec<_>>>>()? {
            None => add("a layer of it is not stored".to_owned(), Flaw::Unusable),
            Some(layers) => {
                let size: u64 = layers.iter().map(|layer| layer.info.size).sum();
                if size != image.size {
                    let what =
                        format!("its size is recorded as {}, its layers have {size} bytes", image.size);
                    add(what, Flaw::Size(size));
                }
            }
        }
        if let Some(parent) = &image.parent
            && !IMAGES.contains(view, parent.as_str())?
        {
            add(format!("its parent {parent} is not stored"), Flaw::Parent);
        }
        if let Some(what) = document_damage(view, &image.id)? {
            add(what, Flaw::Unusable);
        }
        for manifest in &image.manifests {
            if let Some(what) = document_damage(view, manifest)? {
                add(what, Flaw::Manifest(manifest.clone()));
            }
        }
    }
    Ok(findings)
}

/// Documents are rows named by their digest.
fn document_damage(view: &View<'_>, digest: &Digest) -> Result<Option<String>> {
    Ok(match BLOBS.get(view, digest.as_str())? {
        None => Some(format!("its document {digest} is missing")),
        Some(blob) if Digest::sha256(blob.text.as_bytes()) != *digest => {
            Some(format!("its document {digest} is damaged"))
        }
        Some(_) => None,
    })
}

/// Keys of names and of documents without an image.
fn orphans(view: &View<'_>) -> Result<(Vec<String>, Vec<String>)> {
    let images = IMAGES.list(view)?;
    let needed = |(_, image): &(String, ImageRecord)| {
        std::iter::once(&image.id).chain(&image.manifests).map(ToString::to_string).collect::<Vec<_>>()
    };
    let needed: HashSet<String> = images.iter().flat_map(needed).collect();
    let ids: HashSet<&Digest> = images.iter().map(|(_, image)| &image.id).collect();
    let names = NAMES.list(view)?.into_iter().filter(|(_, name)| !ids.contains(&name.image));
    let documents = BLOBS.keys(view)?.into_iter().filter(|key| !needed.contains(key));
    Ok((names.map(|(key, _)| key).collect(), documents.collect()))
}
