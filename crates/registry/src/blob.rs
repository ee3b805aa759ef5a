//! A blob as it comes in.

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE};
use reqwest::{Response, StatusCode};
use wharf_oci::image::Descriptor;

use crate::error::{Error, Result};
use crate::failure;
use crate::repository::Repository;
use crate::retry::Pause;

/// Silent attempts before a stalled registry is given up: each takes the whole time limit.
const MAX_STALLS: u32 = 2;

/// The bytes of a blob, exactly as many as its descriptor says.
///
/// A broken or stalled connection is opened again where it broke, a bounded number of times as long as nothing comes.
/// The digest is for the reader to verify.
#[derive(Debug)]
pub struct BlobStream {
    repository: Repository,
    descriptor: Descriptor,
    response: Option<Response>,
    /// Bytes handed out.
    offset: u64,
    /// Bytes of the current response to leave out, because the server does not do ranges.
    skip: u64,
    pause: Pause,
    stalls: u32,
}

impl BlobStream {
    pub(crate) fn new(repository: Repository, descriptor: Descriptor) -> Self {
        Self::starting_at(repository, descriptor, 0)
    }

    pub(crate) fn starting_at(repository: Repository, descriptor: Descriptor, offset: u64) -> Self {
        let pause = Pause::new(repository.config().retries);
        Self { repository, descriptor, response: None, offset, skip: 0, pause, stalls: 0 }
    }

    /// Where in the blob the next bytes are.
    pub fn position(&self) -> u64 {
        self.offset
    }

    /// The next bytes, in the order of the blob; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let stall = self.repository.config().stall_timeout;
        loop {
            if self.response.is_none() {
                if self.offset == self.descriptor.size {
                    return Ok(None);
                }
                self.open().await?;
            }
            let Some(response) = &mut self.response else { continue };
            match tokio::time::timeout(stall, response.chunk()).await {
                Ok(Ok(Some(part))) => {
                    if let Some(part) = self.take(part)? {
                        return Ok(Some(part));
                    }
                }
                Ok(Ok(None)) if self.offset == self.descriptor.size => {
                    self.response = None;
                    return Ok(None);
                }
                Ok(Ok(None)) => self.interrupted("unexpected EOF".to_owned()).await?,
                Ok(Err(error)) => self.interrupted(failure::transport_reason(&error)).await?,
                Err(_) => self.stalled(stall.as_secs())?,
            }
        }
    }

    fn take(&mut self, mut part: Bytes) -> Result<Option<Bytes>> {
        if self.skip > 0 {
            let skipped = part.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
            part = part.slice(skipped..);
            self.skip -= skipped as u64;
        }
        if part.is_empty() {
            return Ok(None);
        }
        let got = self.offset + part.len() as u64;
        if got > self.descriptor.size {
            return Err(self.wrong_length(got));
        }
        self.offset = got;
        self.stalls = 0;
        self.pause.reset();
        Ok(Some(part))
    }

    async fn open(&mut self) -> Result<()> {
        let response = loop {
            match self.repository.open_blob(&self.descriptor.digest, self.offset).await {
                Ok((_, response)) => break response,
                Err(error @ (Error::Transport { .. } | Error::Status(_))) => self.broken(error).await?,
                Err(error) => return Err(error),
            }
        };
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let resumed = response.status() == StatusCode::PARTIAL_CONTENT
            && header(CONTENT_RANGE)
                .is_some_and(|range| range.starts_with(&format!("bytes {}-", self.offset)));
        self.skip = if resumed { 0 } else { self.offset };
        let announced = header(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        if let Some(length) = announced {
            let whole = length.saturating_add(if resumed { self.offset } else { 0 });
            if whole != self.descriptor.size {
                return Err(self.wrong_length(whole));
            }
        }
        self.response = Some(response);
        Ok(())
    }

    async fn interrupted(&mut self, reason: String) -> Result<()> {
        self.broken(Error::Interrupted { digest: self.descriptor.digest.clone(), reason }).await
    }

    /// Waits before another attempt; after too many, the last error is the one.
    async fn broken(&mut self, error: Error) -> Result<()> {
        self.response = None;
        if !self.pause.again().await {
            return Err(error);
        }
        tracing::debug!(digest = %self.descriptor.digest, offset = self.offset, %error, "blob interrupted");
        Ok(())
    }

    fn stalled(&mut self, seconds: u64) -> Result<()> {
        self.response = None;
        self.stalls += 1;
        if self.stalls < MAX_STALLS {
            return Ok(());
        }
        Err(Error::Stalled { digest: self.descriptor.digest.clone(), seconds })
    }

    fn wrong_length(&self, got: u64) -> Error {
        Error::Length { digest: self.descriptor.digest.clone(), want: self.descriptor.size, got }
    }
}
