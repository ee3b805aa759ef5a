//! What a build sends to its client: files by one stream of bytes (`tar`, `oci`, `docker`), folders by fsutil's protocol.

mod folder;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::stream;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::metadata::AsciiMetadataValue;
use tonic::{Request, Status, Streaming};

use super::options::Output;
use super::proto::filesync::BytesMessage;
use super::session::Session;

/// The client's method.
const METHOD: &str = "/moby.filesync.v1.FileSend/DiffCopy";

/// Names the exporter that a stream is of, by its place.
const EXPORTER: &str = "buildkit-attachable-exporter-id";

/// The exports of one build.
pub(super) struct Exports {
    session: Arc<Session>,
    outputs: Vec<Output>,
    /// Where files without a name are.
    temp: PathBuf,
    open: HashMap<u32, Sink>,
}

/// Where the bytes of one export go.
enum Sink {
    /// On to the client, whose call ends when it has them all.
    Client(mpsc::Sender<BytesMessage>, JoinHandle<Result<(), Status>>),
    /// Into a file without a name: the client asks for files in an order of its own.
    Spool(File),
}

impl Exports {
    pub(super) fn new(session: Arc<Session>, outputs: Vec<Output>, temp: PathBuf) -> Self {
        Self { session, outputs, temp, open: HashMap::new() }
    }

    /// Takes a part of what comes out.
    ///
    /// # Errors
    /// The client does not want it.
    pub(super) async fn take(&mut self, place: u32, bytes: &[u8]) -> Result<(), Status> {
        if !self.open.contains_key(&place) {
            let sink = self.begin(place).await?;
            self.open.insert(place, sink);
        }
        match self.open.get_mut(&place) {
            Some(Sink::Client(messages, call)) => {
                if messages.send(BytesMessage { data: bytes.to_vec() }).await.is_err() {
                    joined(call).await?;
                    return Err(Status::aborted("the client wants no more"));
                }
                Ok(())
            }
            Some(Sink::Spool(file)) => file.write_all(bytes).await.map_err(failed),
            None => Ok(()),
        }
    }

    async fn begin(&self, place: u32) -> Result<Sink, Status> {
        if !self.session.offers(METHOD) {
            return Err(Status::unimplemented(format!("method {METHOD} not supported by the client")));
        }
        match self.outputs.get(place as usize) {
            Some(Output::Folder) => {
                tokio::fs::create_dir_all(&self.temp).await.map_err(failed)?;
                Ok(Sink::Spool(File::from_std(tempfile::tempfile_in(&self.temp).map_err(failed)?)))
            }
            _ => {
                let (messages, mut outgoing) = mpsc::channel(4);
                let session = self.session.clone();
                let call = tokio::spawn(async move {
                    let outgoing = stream::poll_fn(move |cx| outgoing.poll_recv(cx));
                    let request = addressed(Request::new(outgoing), place);
                    finish(session.stream(METHOD, request).await?).await
                });
                Ok(Sink::Client(messages, call))
            }
        }
    }

    /// Waits until the client has everything.
    ///
    /// # Errors
    /// It could not write something.
    pub(super) async fn finish(mut self) -> Result<(), Status> {
        let mut open: Vec<_> = self.open.drain().collect();
        open.sort_by_key(|(place, _)| *place);
        for (place, sink) in open {
            match sink {
                Sink::Client(messages, mut call) => {
                    drop(messages);
                    joined(&mut call).await?;
                }
                Sink::Spool(mut file) => {
                    file.flush().await.map_err(failed)?;
                    folder::send(&self.session, place, file.into_std().await).await?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Exports {
    fn drop(&mut self) {
        for sink in self.open.values() {
            if let Sink::Client(_, call) = sink {
                call.abort();
            }
        }
    }
}

/// Says which exporter a call is of.
fn addressed<T>(mut request: Request<T>, place: u32) -> Request<T> {
    request.metadata_mut().insert(EXPORTER, AsciiMetadataValue::from(place));
    request
}

/// Waits for the end of a call that has nothing to say.
async fn finish(mut answers: Streaming<BytesMessage>) -> Result<(), Status> {
    while answers.message().await?.is_some() {}
    Ok(())
}

async fn joined(call: &mut JoinHandle<Result<(), Status>>) -> Result<(), Status> {
    call.await.unwrap_or_else(|error| Err(Status::internal(error.to_string())))
}

fn failed(error: std::io::Error) -> Status {
    Status::internal(error.to_string())
}
