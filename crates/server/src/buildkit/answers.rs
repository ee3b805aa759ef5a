//! What the engine asks for, got from the client's session.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::stream;
use tokio::sync::Mutex;
use tonic::metadata::AsciiMetadataValue;
use tonic::{Code, Request, Status};
use wharf_api::build::{Ask, Entry, Frame, What};

use super::agents::Agents;
use super::frames::{Answer, Frames};
use super::proto::filesync::BytesMessage;
use super::proto::session::{GetSecretRequest, GetSecretResponse};
use super::session::Session;
use super::source::{Transfer, Wanted};

/// Bytes of a listing that are sent at once.
const PIECE: usize = 128 << 10;

/// A client's folder: the session it is in, its name there, and what of it is left out.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) session: Arc<Session>,
    pub(super) name: String,
    pub(super) exclude: Vec<String>,
}

/// Answers the questions of one build.
pub(super) struct Answers {
    session: Arc<Session>,
    /// By the name of the context.
    folders: HashMap<String, Folder>,
    /// Transfers that go on, by the name of the context. One file after the other comes by each.
    transfers: Mutex<HashMap<String, Arc<Mutex<Transfer>>>>,
    /// Id of an archive that is the build context.
    upload: Option<String>,
    agents: Agents,
    frames: Frames,
}

impl Answers {
    pub(super) fn new(
        session: Arc<Session>,
        folders: HashMap<String, Folder>,
        upload: Option<String>,
        frames: Frames,
    ) -> Self {
        let agents = Agents::new(session.clone());
        Self { session, folders, transfers: Mutex::default(), upload, agents, frames }
    }

    /// Answers one question.
    pub(super) async fn answer(&self, ask: Ask) {
        let data = Answer { frames: &self.frames, id: ask.id };
        let answered = match ask.what {
            What::List { context } => self.list(&context, &data).await,
            What::Fetch { context, paths } => self.fetch(&context, &paths, &data).await,
            What::Secret { name } => self.secret(name, &data).await,
            What::Agent { name, connection, message } => {
                match self.agents.ask(name, connection, &message).await {
                    Ok(answer) => data.send(&answer).await,
                    Err(status) => Err(status),
                }
            }
            What::Archive => self.archive(&data).await,
            What::Cache { .. } => {
                Err(Status::unimplemented("caches in folders of the client are not supported"))
            }
        };
        let last = match answered {
            Ok(()) => Frame::numbered(Frame::END, ask.id, b""),
            Err(status) => Frame::numbered(Frame::FAILED, ask.id, status.message().as_bytes()),
        };
        // An engine that has ended the build wants no more answers.
        let _ = self.frames.send(last).await;
    }

    /// Bytes that came of a context so far.
    pub(super) async fn received(&self, context: &str) -> u64 {
        match self.transfers.lock().await.get(context) {
            Some(transfer) => transfer.lock().await.received,
            None => 0,
        }
    }

    async fn begin(&self, context: &str) -> Result<(Vec<Entry>, Transfer), Status> {
        let folder = self.folders.get(context);
        let folder = folder.ok_or_else(|| Status::not_found(format!("no context {context:?}")))?;
        let wanted = Wanted { folder: &folder.name, follow: &[], exclude: &folder.exclude };
        Transfer::begin(&folder.session, &wanted).await
    }

    async fn list(&self, context: &str, data: &Answer<'_>) -> Result<(), Status> {
        let (entries, transfer) = self.begin(context).await?;
        self.transfers.lock().await.insert(context.to_owned(), Arc::new(Mutex::new(transfer)));
        let mut lines = Vec::with_capacity(PIECE);
        for entry in entries {
            entry.append_to(&mut lines).map_err(|error| Status::internal(error.to_string()))?;
            if lines.len() >= PIECE {
                data.send(&lines).await?;
                lines.clear();
            }
        }
        data.send(&lines).await
    }

    async fn fetch(&self, context: &str, paths: &[String], data: &Answer<'_>) -> Result<(), Status> {
        let transfer = self.transfers.lock().await.get(context).cloned();
        let transfer = transfer.ok_or_else(|| Status::not_found(format!("no context {context:?}")))?;
        let mut transfer = transfer.lock().await;
        if transfer.has_sent(paths) {
            // What was kept of it is gone: another build of the folder has just tidied up.
            *transfer = self.begin(context).await?.1;
        }
        transfer.fetch(paths, data).await
    }

    /// Hands on the archive that the client has instead of a folder.
    async fn archive(&self, data: &Answer<'_>) -> Result<(), Status> {
        const METHOD: &str = "/moby.upload.v1.Upload/Pull";
        let id = self.upload.as_deref().ok_or_else(|| Status::not_found("there is no archive"))?;
        let path = AsciiMetadataValue::try_from(format!("/{id}"));
        let mut request = Request::new(stream::pending::<BytesMessage>());
        let path = path.map_err(|_| Status::invalid_argument("invalid id of an archive"))?;
        request.metadata_mut().insert("urlpath", path);
        request.metadata_mut().insert("urlhost", AsciiMetadataValue::from_static("buildkit-session"));
        let mut parts = self.session.stream::<_, BytesMessage>(METHOD, request).await?;
        while let Some(part) = parts.message().await? {
            data.send(&part.data).await?;
        }
        Ok(())
    }

    async fn secret(&self, id: String, data: &Answer<'_>) -> Result<(), Status> {
        const METHOD: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
        if !self.session.offers(METHOD) {
            return Err(Status::not_found(format!("secret {id}: not found")));
        }
        let secret: Result<GetSecretResponse, _> =
            self.session.call(METHOD, GetSecretRequest { id: id.clone() }).await;
        match secret {
            Ok(secret) => data.send(&secret.data).await,
            Err(status) if matches!(status.code(), Code::NotFound | Code::Unimplemented) => {
                Err(Status::not_found(format!("secret {id}: not found")))
            }
            Err(status) => Err(status),
        }
    }
}
