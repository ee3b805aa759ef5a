//! The embedded image `hello-world`: one layer that holds the running binary as `/hello`.
//!
//! It makes `run hello-world` work with no network at all. Called as `hello`, the binary prints a greeting.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use jiff::Timestamp;
use wharf_oci::image::{History, ImageConfig, RootFs, RunConfig};
use wharf_oci::{Digest, Hasher, Platform, Reference};

/// Whether a pull of this name may be answered from the binary.
pub(super) fn is_embedded(reference: &Reference) -> bool {
    reference.domain() == "docker.io"
        && reference.path() == "library/hello-world"
        && reference.digest().is_none()
        && matches!(reference.tag(), None | Some("latest"))
}

/// The layer of the image as a tar stream: one executable file.
pub(super) struct Layer {
    header: tar::Header,
    size: u64,
    binary: File,
    /// When the binary was written; stands in for when the image was made, so that its id only depends on the binary.
    pub(super) created: Timestamp,
}

impl Layer {
    /// Opens the binary.
    pub(super) fn open(binary: &Path) -> io::Result<Self> {
        let binary = File::open(binary)?;
        let metadata = binary.metadata()?;
        let created =
            metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok()).unwrap_or_default();
        let created = Timestamp::from_second(created.as_second()).unwrap_or_default();
        let mut header = tar::Header::new_ustar();
        header.set_path("hello")?;
        header.set_size(metadata.len());
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(created.as_second().try_into().unwrap_or_default());
        header.set_cksum();
        Ok(Self { header, size: metadata.len(), binary, created })
    }

    /// The bytes of the archive.
    pub(super) fn read(&self) -> io::Result<impl Read + Send> {
        let padding = (512 - self.size % 512) % 512 + 1024;
        let header = io::Cursor::new(self.header.as_bytes().to_vec());
        // A position of its own: the archive is read more than once.
        let body = Positioned { file: self.binary.try_clone()?, offset: 0 };
        Ok(header.chain(body.take(self.size)).chain(io::repeat(0).take(padding)))
    }

    /// The digest of the archive.
    pub(super) fn diff_id(&self) -> io::Result<Digest> {
        let mut hasher = Hasher::sha256();
        io::copy(&mut self.read()?, &mut hasher)?;
        Ok(hasher.finish())
    }
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

/// The configuration of the image with that layer.
pub(super) fn config(diff_id: Digest, created: Timestamp) -> ImageConfig {
    let platform = Platform::host();
    let created = Some(created.to_string());
    ImageConfig {
        architecture: platform.architecture,
        os: platform.os,
        created: created.clone(),
        config: RunConfig {
            env: Some(vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()]),
            cmd: Some(vec!["/hello".to_owned()]),
            working_dir: "/".to_owned(),
            ..RunConfig::default()
        },
        rootfs: RootFs::layers(vec![diff_id]),
        history: vec![
            History {
                created: created.clone(),
                created_by: "COPY wharf /hello".to_owned(),
                ..History::default()
            },
            History {
                created,
                created_by: "CMD [\"/hello\"]".to_owned(),
                empty_layer: true,
                ..History::default()
            },
        ],
        ..ImageConfig::default()
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
        let layer = Layer::open(file.path()).unwrap();
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
        assert!(entries.next().is_none());
    }

    #[test]
    fn only_the_plain_name_is_embedded() {
        let embedded = |name: &str| is_embedded(&Reference::parse(name).unwrap());
        assert!(embedded("hello-world") && embedded("docker.io/library/hello-world:latest"));
        assert!(
            !embedded("hello-world:linux")
                && !embedded("me/hello-world")
                && !embedded("127.0.0.1:5000/hello-world")
        );
    }
}
