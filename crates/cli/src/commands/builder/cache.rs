//! `--cache-from` and `--cache-to`, and caches in folders of this host.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use wharf_api::build::CacheEntry;
use wharf_oci::{
    Digest, Reference,
    image::{Descriptor, Index, media_type},
};

use crate::{Error, Result, value};

/// The entries of an image layout.
const INDEX: &str = "index.json";
/// Annotation of an entry: its name.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The caches of a build, and where this host has those that are folders.
#[derive(Debug, Default)]
pub(super) struct Caches {
    pub(super) from: Vec<CacheEntry>,
    pub(super) to: Vec<CacheEntry>,
    folders: Folders,
    /// What is to be said when all is over.
    pub(super) warnings: Vec<String>,
}

/// Folders by the place of their cache.
#[derive(Debug, Default, Clone)]
pub(super) struct Folders {
    sources: BTreeMap<usize, PathBuf>,
    targets: BTreeMap<usize, PathBuf>,
}

impl Caches {
    /// Reads the flags. A folder to take from that is not there is left out, with a warning.
    ///
    /// # Errors
    /// In buildx's words.
    pub(super) fn parse(from: &[String], to: &[String]) -> Result<Self> {
        let mut caches = Self { to: entries(to)?, ..Self::default() };
        for entry in entries(from)? {
            if entry.kind != "local" {
                caches.from.push(entry);
                continue;
            }
            let Some(source) = entry.attributes.get("src").cloned().filter(|source| !source.is_empty())
            else {
                return Err(Error::message("local cache importer requires src"));
            };
            if let Err(error) = fs::metadata(Path::new(&source).join(INDEX)) {
                let reason = crate::error::go_os_error(&error);
                caches.warnings.push(format!(
                    "local cache import at {source} not found due to err: could not lock {source}/{INDEX}.lock: open \
                     {source}/{INDEX}.lock: {reason}"
                ));
                continue;
            }
            caches.folders.sources.insert(caches.from.len(), source.into());
            caches.from.push(without(entry, "src"));
        }
        for (place, entry) in caches.to.iter_mut().enumerate().filter(|(_, entry)| entry.kind == "local") {
            let Some(target) = entry.attributes.remove("dest").filter(|target| !target.is_empty()) else {
                return Err(Error::message("local cache exporter requires dest"));
            };
            caches.folders.targets.insert(place, target.into());
        }
        Ok(caches)
    }

    /// The registries that they are in.
    pub(super) fn registries(&self) -> impl Iterator<Item = Reference> + '_ {
        let named = |entry: &CacheEntry| Reference::parse(entry.attributes.get("ref")?).ok();
        self.from.iter().chain(&self.to).filter_map(named)
    }

    /// Where the folders are.
    pub(super) fn folders(&self) -> Folders {
        self.folders.clone()
    }
}

impl Folders {
    /// Opens a file of the cache at a place: its index, or the blob with a digest.
    ///
    /// # Errors
    /// There is no such folder or file, or it is asked for by another name.
    pub(super) fn open(&self, place: usize, file: &str) -> io::Result<File> {
        let folder = self.sources.get(&place).ok_or(io::ErrorKind::NotFound)?;
        if file == INDEX {
            return File::open(folder.join(INDEX));
        }
        let digest = Digest::parse(file).map_err(io::Error::other)?;
        File::open(folder.join("blobs").join(digest.as_str().replace(':', "/")))
    }

    /// Puts what the engine sent of a cache, a tar, into its folder. Blobs come before the index that names them.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub(super) fn take(&self, place: usize, archive: impl Read) -> Result<()> {
        let Some(folder) = self.targets.get(&place) else {
            return Err(Error::message("the engine sent a cache that nobody asked for"));
        };
        let failed = |error| Error::file("open", folder.display().to_string(), error);
        take(folder, archive).map_err(failed)
    }
}

fn take(folder: &Path, archive: impl Read) -> io::Result<()> {
    let blobs = folder.join("blobs").join("sha256");
    fs::create_dir_all(&blobs)?;
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if path == Path::new(INDEX) {
            let mut text = Vec::new();
            entry.read_to_end(&mut text)?;
            write_index(folder, &serde_json::from_slice(&text)?)?;
            continue;
        }
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let digest = Digest::parse(&format!("sha256:{name}")).map_err(io::Error::other)?;
        let place = blobs.join(digest.hex());
        if place.exists() {
            continue;
        }
        let mut temp = tempfile::NamedTempFile::new_in(&blobs)?;
        io::copy(&mut entry, &mut temp)?;
        set_mode(temp.as_file())?;
        temp.persist(place)?;
    }
    Ok(())
}

/// Adds entries to the index of a layout; they take the place of those with the same name.
fn write_index(folder: &Path, new: &Index) -> io::Result<()> {
    let place = folder.join(INDEX);
    let name = |entry: &Descriptor| entry.annotations.get(REF_NAME).cloned();
    let mut index = match fs::read(&place) {
        Ok(text) => serde_json::from_slice::<Index>(&text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Index {
            schema_version: 2,
            media_type: media_type::OCI_INDEX.to_owned(),
            manifests: Vec::new(),
            annotations: BTreeMap::new(),
            extra: serde_json::Map::new(),
        },
        Err(error) => return Err(error),
    };
    index.manifests.retain(|old| !new.manifests.iter().any(|entry| name(entry) == name(old)));
    index.manifests.extend(new.manifests.iter().cloned());
    for (file, text) in [
        ("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#.to_owned()),
        (INDEX, serde_json::to_string(&index)?),
    ] {
        let mut temp = tempfile::NamedTempFile::new_in(folder)?;
        io::Write::write_all(&mut temp, text.as_bytes())?;
        set_mode(temp.as_file())?;
        temp.persist(folder.join(file))?;
    }
    Ok(())
}

/// Others may read a cache: temporary files are for their owner alone.
fn set_mode(file: &File) -> io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
}

fn without(mut entry: CacheEntry, attribute: &str) -> CacheEntry {
    entry.attributes.remove(attribute);
    entry
}

/// The caches that flags name.
fn entries(given: &[String]) -> Result<Vec<CacheEntry>> {
    let mut entries = Vec::new();
    for text in given {
        let fields = value::split_record(text).map_err(Error::message)?;
        if !fields.iter().any(|field| field.contains('=')) {
            entries.extend(fields.into_iter().map(|reference| CacheEntry {
                kind: "registry".to_owned(),
                attributes: BTreeMap::from([("ref".to_owned(), reference)]),
            }));
            continue;
        }
        let mut entry = CacheEntry::default();
        for field in &fields {
            match field.split_once('=') {
                Some((key, value)) if key.eq_ignore_ascii_case("type") => entry.kind = value.to_owned(),
                Some((key, value)) => drop(entry.attributes.insert(key.to_lowercase(), value.to_owned())),
                None => return Err(Error::message(format!("invalid value {field}"))),
            }
        }
        if entry.kind.is_empty() {
            return Err(Error::message(format!("type required form> {text:?}")));
        }
        entries.push(entry);
    }
    Ok(entries)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let of = |text: &str| match entries(&[text.to_owned()]) {
            Ok(entries) => entries
                .iter()
                .map(|entry| format!("{} {:?}", entry.kind, entry.attributes))
                .collect::<Vec<_>>()
                .join("; "),
            Err(error) => error.to_string(),
        };
        assert_eq!(of("user/app:cache"), r#"registry {"ref": "user/app:cache"}"#);
        assert_eq!(of("a,b"), r#"registry {"ref": "a"}; registry {"ref": "b"}"#);
        assert_eq!(of("type=local,SRC=x"), r#"local {"src": "x"}"#);
        assert_eq!(of("foo=bar"), r#"type required form> "foo=bar""#);
        assert_eq!(of("a=b,c"), "invalid value c");
    }

    #[test]
    fn folders_that_are_not_there_are_left_out() {
        let caches = Caches::parse(&["type=local,src=/no/where".to_owned(), "x".to_owned()], &[]).unwrap();
        assert_eq!((caches.from.len(), caches.warnings.len()), (1, 1));
        let none = Caches::parse(&[], &["type=local".to_owned()]).unwrap_err();
        assert_eq!(none.to_string(), "local cache exporter requires dest");
    }

    #[test]
    fn an_index_keeps_other_names() {
        let folder = tempfile::tempdir().unwrap();
        let entry = |name: &str, content: &str| {
            let mut entry = Descriptor::of(media_type::OCI_MANIFEST, content.as_bytes());
            entry.annotations.insert(REF_NAME.to_owned(), name.to_owned());
            let text = serde_json::json!({"schemaVersion": 2, "manifests": [entry]});
            write_index(folder.path(), &serde_json::from_value(text).unwrap()).unwrap();
        };
        entry("latest", "1");
        entry("other", "2");
        entry("latest", "3");
        let index: Index = serde_json::from_slice(&fs::read(folder.path().join(INDEX)).unwrap()).unwrap();
        let digests: Vec<_> = index.manifests.iter().map(|entry| entry.digest.clone()).collect();
        assert_eq!(digests, [Digest::sha256(b"2"), Digest::sha256(b"3")]);
        let folders =
            Folders { sources: BTreeMap::from([(0, folder.path().to_owned())]), ..Folders::default() };
        assert!(folders.open(0, INDEX).is_ok());
        assert!(folders.open(0, "../index.json").is_err() && folders.open(1, INDEX).is_err());
    }
}
