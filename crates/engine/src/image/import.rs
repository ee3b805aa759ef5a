//! `import`: an image of one layer, made from an archive of a root file system.

use std::io::Read;
use std::sync::mpsc::Sender;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;
use wharf_api::progress::Progress;
use wharf_api::time;
use wharf_oci::image::{History, ImageConfig, RootFs, RunConfig};
use wharf_oci::{Platform, Reference};
use wharf_registry::Download;
use wharf_store::{LayerSource, NewImage};

use super::fetch::{self, Pace};
use super::{Images, failure, runtime};
use crate::{Error, Result};

/// What is to be made of an archive.
#[derive(Debug, Clone, Default)]
pub struct ImportRequest {
    /// Name of the image.
    pub reference: Option<Reference>,
    /// A remark for the history; one that tells the source if empty.
    pub message: String,
    /// Dockerfile instructions.
    pub changes: Vec<String>,
    /// The platform it is for; the host's if none.
    pub platform: Option<Platform>,
}

/// Where the archive comes from. Plain, gzip and zstd archives are read.
pub enum ImportSource<'a> {
    /// The body of the request.
    Stream(&'a mut (dyn Read + Send)),
    /// An address the engine fetches.
    Url(String),
}

impl Images {
    /// Makes an image of an archive; its id is the last line of progress.
    ///
    /// # Errors
    /// 400 for a bad instruction or another operating system, 500 for an archive that cannot be had, read or is hostile.
    pub fn import(
        &self,
        request: &ImportRequest,
        source: ImportSource<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        if request.platform.as_ref().is_some_and(|platform| platform.os != Platform::host().os) {
            return Err(Error::invalid("operating system is not supported"));
        }
        let mut run = RunConfig::default();
        wharf_build::plan::apply_changes(&mut run, &request.changes)
            .map_err(|error| Error::invalid(error.to_string()))?;
        let from = match &source {
            ImportSource::Stream(_) => "-",
            ImportSource::Url(url) => url,
        };
        let message = if request.message.is_empty() {
            format!("Imported from {from}")
        } else {
            request.message.clone()
        };
        let lease = self.store.lease();
        let layer = match source {
            ImportSource::Stream(reader) => {
                self.store.ingest_layer(reader, LayerSource::default(), &lease)?
            }
            ImportSource::Url(url) => {
                let runtime = runtime()?;
                let download = runtime.block_on(self.registry().download(&url)).map_err(failure::registry)?;
                progress(Progress::status(format!("Downloading from {}", download.url())));
                fetch::forward(progress, |lines| {
                    let mut reader = DownloadReader::new(download, runtime, lines);
                    let layer = self.store.ingest_layer(&mut reader, LayerSource::default(), &lease);
                    match reader.failed.take() {
                        Some(error) => Err(failure::registry(error)),
                        None => Ok(layer?),
                    }
                })?
            }
        };
        let platform = request.platform.clone().unwrap_or_else(Platform::host);
        let config = configuration(run, platform, layer.diff_id.clone(), message, Timestamp::now());
        let config = serde_json::to_vec(&config).map_err(|error| Error::system(error.to_string()))?;
        let record = self.db.write(|tx| {
            let images = self.store.images();
            let record = images.put(tx, NewImage { config: &config, manifest: None, parent: None })?;
            if let Some(reference) = &request.reference {
                images.tag(tx, reference, &record.id)?;
            }
            Ok::<_, Error>(record)
        })?;
        self.housekeeper.soon();
        if let Some(reference) = &request.reference {
            self.publish("tag", record.id.as_str(), &reference.familiar(), Some(&record.labels));
        }
        self.publish_id("import", &record);
        progress(Progress::status(record.id.to_string()));
        Ok(())
    }
}

/// The configuration of an imported image, with the keys Docker writes.
fn configuration(
    mut run: RunConfig,
    platform: Platform,
    diff_id: wharf_oci::Digest,
    message: String,
    now: Timestamp,
) -> ImageConfig {
    for key in ["Hostname", "Domainname", "Image"] {
        run.extra.insert(key.to_owned(), json!(""));
    }
    for key in ["AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"] {
        run.extra.insert(key.to_owned(), json!(false));
    }
    let created = Some(time::rfc3339_nano(now));
    ImageConfig {
        architecture: platform.architecture,
        variant: platform.variant,
        os: platform.os,
        os_version: platform.os_version,
        created: created.clone(),
        config: run,
        rootfs: RootFs::layers(vec![diff_id]),
        history: vec![History { created, comment: message.clone(), ..History::default() }],
        comment: message,
        docker_version: env!("CARGO_PKG_VERSION").to_owned(),
        ..ImageConfig::default()
    }
}

impl Images {
    /// Opens what is at an address, to be read on a thread that may block.
    ///
    /// # Errors
    /// It cannot be had.
    pub(crate) fn open_url(&self, url: &str) -> Result<impl Read + use<>> {
        let runtime = runtime()?;
        let download = runtime.block_on(self.registry().download(url)).map_err(failure::registry)?;
        let (lines, _) = std::sync::mpsc::channel();
        Ok(DownloadReader::new(download, runtime, lines))
    }
}

/// The blocking end of a download, with its progress.
struct DownloadReader {
    download: Download,
    runtime: tokio::runtime::Handle,
    part: Bytes,
    read: u64,
    importing: Pace,
    failed: Option<wharf_registry::Error>,
}

impl DownloadReader {
    fn new(download: Download, runtime: tokio::runtime::Handle, lines: Sender<Progress>) -> Self {
        let importing = Pace::new("", "Importing", download.size().unwrap_or_default(), lines);
        Self { download, runtime, part: Bytes::new(), read: 0, importing, failed: None }
    }
}

impl Read for DownloadReader {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        while self.part.is_empty() {
            match self.runtime.block_on(self.download.next()) {
                Ok(Some(part)) => {
                    self.read += part.len() as u64;
                    self.part = part;
                    self.importing.at(self.read);
                }
                Ok(None) => return Ok(0),
                Err(error) => {
                    let told = std::io::Error::other(error.to_string());
                    self.failed = Some(error);
                    return Err(told);
                }
            }
        }
        let length = buf.len().min(self.part.len());
        buf[..length].copy_from_slice(&self.part.split_to(length));
        Ok(length)
    }
}
