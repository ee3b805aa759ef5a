//! The images that the binary carries: `hello-world` and `registry`, made of one layer with the running binary in it.
//!
//! They make `run hello-world` and `run registry` work with no network at all. Called as `hello`, the binary prints a
//! greeting; called as `registry`, it is one.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use jiff::Timestamp;
use wharf_oci::image::{Empty, History, ImageConfig, RootFs, RunConfig};
use wharf_oci::{Digest, Hasher, Platform, Reference};

/// An image that can be made from the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Embedded {
    HelloWorld,
    Registry,
}

/// What the binary is called in the layer; the other names are links to it.
const HELLO: &str = "hello";
const REGISTRY: &str = "bin/registry";

impl Embedded {
    /// The image that may be made when no registry answers a pull of this name.
    pub(super) fn of(reference: &Reference) -> Option<Self> {
        if reference.domain() != "docker.io" || reference.digest().is_some() {
            return None;
        }
        match (reference.path(), reference.tag().unwrap_or("latest")) {
            ("library/hello-world", "latest") => Some(Self::HelloWorld),
            // The tags that everybody's instructions have.
            ("library/registry", "latest" | "2" | "3") => Some(Self::Registry),
            _ => None,
        }
    }

    fn run_config(self) -> RunConfig {
        let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
        let set = |key: &str| Some([(key.to_owned(), Empty {})].into());
        let common = RunConfig {
            env: words(&["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]),
            working_dir: "/".to_owned(),
            ..RunConfig::default()
        };
        match self {
            Self::HelloWorld => RunConfig { cmd: words(&["/hello"]), ..common },
            // The reference image's command line, so that it can be replaced by the same words.
            Self::Registry => RunConfig {
                entrypoint: words(&["/bin/registry"]),
                cmd: words(&["/etc/docker/registry/config.yml"]),
                exposed_ports: set("5000/tcp"),
                volumes: set("/var/lib/registry"),
                ..common
            },
        }
    }

    /// The configuration of the image with that layer.
    pub(super) fn config(self, diff_id: Digest, created: Timestamp) -> ImageConfig {
        let platform = Platform::host();
        let created = Some(created.to_string());
        let config = self.run_config();
        let words = |words: &Option<Vec<String>>| serde_json::to_string(words).unwrap_or_default();
        let start = match &config.entrypoint {
            Some(_) => format!("ENTRYPOINT {} CMD {}", words(&config.entrypoint), words(&config.cmd)),
            None => format!("CMD {}", words(&config.cmd)),
        };
        ImageConfig {
            architecture: platform.architecture,
            os: platform.os,
            created: created.clone(),
            config,
            rootfs: RootFs::layers(vec![diff_id]),
            history: vec![
                History {
                    created: created.clone(),
                    created_by: "COPY wharf /".to_owned(),
                    ..History::default()
                },
                History { created, created_by: start, empty_layer: true, ..History::default() },
            ],
            ..ImageConfig::default()
        }
    }
}

/// Where systems keep the certificate authorities that they trust; the first that is there counts.
const AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The layer of the images as a tar stream: one executable file by several names, and the authorities of the host, which
/// a registry needs that fetches from others.
pub(super) struct Layer {
    /// The entry before the binary.
    head: Vec<u8>,
    /// The entries after it.
    rest: Vec<u8>,
    size: u64,
    binary: File,
    /// When the binary was written; stands in for when the image was made, so that its id depends on content only.
    pub(super) created: Timestamp,
}

impl Layer {
    /// Opens the binary.
    pub(super) fn open(binary: &Path) -> io::Result<Self> {
        let authorities = AUTHORITIES.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default();
        Self::with(binary, &authorities)
    }

    fn with(binary: &Path, authorities: &[u8]) -> io::Result<Self> {
        let binary = File::open(binary)?;
        let metadata = binary.metadata()?;
        let created =
            metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok()).unwrap_or_default();
        let created = Timestamp::from_second(created.as_second()).unwrap_or_default();
        let header = |path: &str, kind: tar::EntryType, mode: u32, size: u64| {
            let mut header = tar::Header::new_ustar();
            header.set_path(path)?;
            header.set_entry_type(kind);
            header.set_size(size);
            header.set_mode(mode);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(created.as_second().try_into().unwrap_or_default());
            if kind == tar::EntryType::Link {
                header.set_link_name(HELLO)?;
            }
            header.set_cksum();
            io::Result::Ok(header.as_bytes().to_vec())
        };
        let folder = |path: &str| header(path, tar::EntryType::Directory, 0o755, 0);
        let head = header(HELLO, tar::EntryType::Regular, 0o755, metadata.len())?;
        let mut rest = [folder("bin/")?, header(REGISTRY, tar::EntryType::Link, 0o755, 0)?].concat();
        if !authorities.is_empty() {
            for path in ["etc/", "etc/ssl/", "etc/ssl/certs/"] {
                rest.extend(folder(path)?);
            }
            let size = authorities.len() as u64;
            let path = AUTHORITIES[0].trim_start_matches('/');
            rest.extend(header(path, tar::EntryType::Regular, 0o644, size)?);
            rest.extend(authorities);
            rest.extend(std::iter::repeat_n(0, padding(size)));
        }
        Ok(Self { head, rest, size: metadata.len(), binary, created })
    }

    /// The bytes of the archive.
    pub(super) fn read(&self) -> io::Result<impl Read + Send> {
        // A position of its own: the archive is read more than once.
        let body = Positioned { file: self.binary.try_clone()?, offset: 0 };
        Ok(io::Cursor::new(self.head.clone())
            .chain(body.take(self.size))
            .chain(io::repeat(0).take(padding(self.size) as u64))
            .chain(io::Cursor::new(self.rest.clone()))
            .chain(io::repeat(0).take(1024)))
    }

    /// The digest of the archive.
    pub(super) fn diff_id(&self) -> io::Result<Digest> {
        let mut hasher = Hasher::sha256();
        io::copy(&mut self.read()?, &mut hasher)?;
        Ok(hasher.finish())
    }
}

/// Bytes that follow the content of an entry of this size.
fn padding(size: u64) -> usize {
    ((512 - size % 512) % 512) as usize
}

struct Positioned {
    file: File,
    offset: u64,
}

impl Read for Positioned {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = std::os::unix::fs::FileExt::read_at(&self.file, buf, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_layer_is_an_archive_of_the_binary() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![7u8; 1000]).unwrap();
        let layer = Layer::with(file.path(), b"authorities").unwrap();
        let mut bytes = Vec::new();
        layer.read().unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(layer.diff_id().unwrap(), Digest::sha256(&bytes));
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut entries = archive.entries().unwrap();
        let mut entry = entries.next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some("hello"));
        assert_eq!(entry.header().mode().unwrap(), 0o755);
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        assert_eq!(content, vec![7u8; 1000]);
        drop(entry);
        assert_eq!(entries.next().unwrap().unwrap().path().unwrap().to_str(), Some("bin/"));
        let link = entries.next().unwrap().unwrap();
        assert_eq!(link.path().unwrap().to_str(), Some("bin/registry"));
        assert_eq!(link.link_name().unwrap().unwrap().to_str(), Some("hello"));
        let names = ["etc/", "etc/ssl/", "etc/ssl/certs/"];
        assert_eq!(
            names.map(|_| entries.next().unwrap().unwrap().path().unwrap().into_owned()),
            names.map(Path::new)
        );
        let mut last = entries.next().unwrap().unwrap();
        assert_eq!(last.path().unwrap().to_str(), Some("etc/ssl/certs/ca-certificates.crt"));
        let mut content = String::new();
        last.read_to_string(&mut content).unwrap();
        assert_eq!((content.as_str(), last.header().mode().unwrap()), ("authorities", 0o644));
    }

    #[test]
    fn only_plain_names_are_embedded() {
        let embedded = |name: &str| Embedded::of(&Reference::parse(name).unwrap());
        for name in ["hello-world", "docker.io/library/hello-world:latest"] {
            assert_eq!(embedded(name), Some(Embedded::HelloWorld));
        }
        for name in ["registry", "registry:2", "registry:3"] {
            assert_eq!(embedded(name), Some(Embedded::Registry));
        }
        for name in
            ["hello-world:linux", "me/hello-world", "127.0.0.1:5000/hello-world", "registry:2.8.3", "alpine"]
        {
            assert_eq!(embedded(name), None);
        }
    }
}
