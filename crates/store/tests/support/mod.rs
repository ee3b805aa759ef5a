//! A store in a temporary folder, archives made in memory, trees compared.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use wharf_db::Db;
use wharf_oci::Digest;
use wharf_store::{LayerInfo, LayerSource, Limits, Result, Store};

/// Ownership, devices and trusted attributes cannot be tested otherwise.
pub fn need_root() {
    assert!(rustix::process::geteuid().is_root(), "this test needs root");
}

pub struct Fixture {
    pub folder: tempfile::TempDir,
    pub db: Db,
    pub store: Store,
}

pub fn fixture() -> Fixture {
    fixture_with(Limits::default())
}

pub fn fixture_with(limits: Limits) -> Fixture {
    need_root();
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(folder.path().join("t.db")).unwrap();
    let store = Store::open_with(folder.path().join("root"), db.clone(), limits).unwrap();
    Fixture { folder, db, store }
}

impl Fixture {
    pub fn ingest(&self, data: &[u8]) -> Result<LayerInfo> {
        self.store.ingest_layer(data, LayerSource::default(), &self.store.lease())
    }

    /// The names in `snapshots/`, without the init layer.
    pub fn folders(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.folder.path().join("root/snapshots")).unwrap();
        let mut names: Vec<_> = names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.starts_with("init"));
        names.sort();
        names
    }

    pub fn rebuilt(&self, chain: &Digest) -> Vec<u8> {
        let mut tar = Vec::new();
        std::io::copy(&mut self.store.layer_tar(chain).unwrap(), &mut tar).unwrap();
        tar
    }
}

/// An archive under construction.
pub struct Archive(pub tar::Builder<Vec<u8>>);

pub fn archive() -> Archive {
    Archive(tar::Builder::new(Vec::new()))
}

impl Archive {
    pub fn entry(mut self, name: &str, kind: tar::EntryType, link: &str, content: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        // Written by hand: the library refuses names that tests are about.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(if kind.is_dir() { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    pub fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(name, tar::EntryType::Regular, "", content)
    }

    pub fn dir(self, name: &str) -> Self {
        self.entry(name, tar::EntryType::Directory, "", b"")
    }

    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(name, tar::EntryType::Symlink, target, b"")
    }

    pub fn link(self, name: &str, target: &str) -> Self {
        self.entry(name, tar::EntryType::Link, target, b"")
    }

    pub fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// Everything that makes up a tree, one line per path.
pub fn listing(root: &Path) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    let mut inodes = HashMap::new();
    list(root, root, &mut inodes, &mut lines);
    lines
}

fn list(root: &Path, path: &Path, inodes: &mut HashMap<u64, String>, lines: &mut BTreeMap<String, String>) {
    let stat = std::fs::symlink_metadata(path).unwrap();
    let name = path.strip_prefix(root).unwrap().display().to_string();
    let first = inodes.entry(stat.ino()).or_insert_with(|| name.clone()).clone();
    let kind = stat.file_type();
    let content = if kind.is_symlink() {
        format!("-> {}", std::fs::read_link(path).unwrap().display())
    } else if kind.is_file() {
        Digest::sha256(&std::fs::read(path).unwrap()).short().to_owned()
    } else if kind.is_char_device() || kind.is_block_device() {
        format!("device {:x}", stat.rdev())
    } else {
        String::new()
    };
    let size = if kind.is_file() { stat.len() } else { 0 };
    let mut names = [0u8; 4096];
    let length = rustix::fs::llistxattr(path, &mut names).unwrap_or(0);
    let mut xattrs = Vec::new();
    for name in names[..length].split(|&b| b == 0).filter(|name| !name.is_empty()) {
        let mut value = [0u8; 4096];
        let name = std::str::from_utf8(name).unwrap();
        let length = rustix::fs::lgetxattr(path, name, &mut value).unwrap();
        xattrs.push(format!("{name}={}", value[..length].escape_ascii()));
    }
    xattrs.sort();
    lines.insert(
        name,
        format!(
            "{:o} {}:{} {size} {}.{:09} ={first} {content} {xattrs:?}",
            stat.mode(),
            stat.uid(),
            stat.gid(),
            stat.mtime(),
            stat.mtime_nsec()
        ),
    );
    if kind.is_dir() {
        let mut names: Vec<_> = std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        for name in names {
            list(root, &name, inodes, lines);
        }
    }
}
