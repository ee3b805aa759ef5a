//! The engine at work: its questions go to the client, its news to whoever follows, what comes out to where it belongs.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::io::BufReader;
use tokio::task::JoinSet;
use tonic::Status;
use wharf_api::build::{Ask, Event, Export, Frame, Outcome};

use super::super::answers::{Answers, Folder};
use super::super::exports::Exports;
use super::super::frames;
use super::super::proto::control::{StatusResponse, VertexWarning};
use super::super::proto::types::{Position, Range, SourceInfo};
use super::{EXPORT, LOAD_DOCKERFILE, Solve, canonical};

/// The vertex of a context, as the engine calls it.
const LOAD_CONTEXT: &str = "[internal] load build context";

impl Solve {
    /// Has the engine build.
    ///
    /// # Errors
    /// The build's.
    pub(super) async fn build(&mut self, folders: HashMap<String, Folder>) -> Result<Outcome, Status> {
        let broken = |error: std::io::Error| Status::internal(error.to_string());
        let (ours, theirs) = UnixStream::pair().map_err(broken)?;
        ours.set_nonblocking(true).map_err(broken)?;
        let (input, output) = tokio::net::UnixStream::from_std(ours).map_err(broken)?.into_split();
        let engine = self.connection.engine.clone();
        tokio::task::spawn_blocking(move || engine.serve_build(theirs));
        // The engine takes the end of this stream as its client's: it ends with this call.
        let frames = frames::writer(output);
        let request = Frame::document(Frame::REQUEST, &self.options.request);
        frames.send(request).await.map_err(|_| Status::internal("the engine does not answer"))?;
        let upload = self.options.upload.clone();
        let answers = Arc::new(Answers::new(self.session.clone(), folders, upload, frames));
        let mut answering = JoinSet::new();
        let mut exports = Exports::new(
            self.session.clone(),
            self.options.outputs.clone(),
            self.connection.engine.paths.build_temp(),
        );
        let mut input = BufReader::with_capacity(64 << 10, input);
        while let Some(frame) = frames::read(&mut input).await.map_err(broken)? {
            match frame.kind {
                Frame::ASK => {
                    let ask: Ask = document(&frame)?;
                    while answering.try_join_next().is_some() {}
                    let answers = answers.clone();
                    answering.spawn(async move { answers.answer(ask).await });
                }
                Frame::EVENT => self.event(document(&frame)?, &answers).await,
                Frame::OUTPUT => {
                    if let Some((step, text)) = frame.number() {
                        let news = self.vertices.output(step, text, Timestamp::now());
                        self.build.progress.tell(news);
                    }
                }
                Frame::EXPORT => {
                    if let Some((place, bytes)) = frame.number() {
                        self.exporting();
                        exports.take(place, bytes).await?;
                    }
                }
                Frame::DONE => {
                    let outcome: Outcome = document(&frame)?;
                    self.warn(&outcome);
                    return match &outcome.error {
                        Some(failure) => Err(self.failed(failure)),
                        None => {
                            exports.finish().await?;
                            self.exported(&outcome);
                            Ok(outcome)
                        }
                    };
                }
                // Later engines may tell more.
                _ => {}
            }
        }
        Err(Status::aborted("the engine ended the build"))
    }

    async fn event(&mut self, event: Event, answers: &Answers) {
        let now = Timestamp::now();
        if let Event::Done { step } = event
            && self.vertices.named(LOAD_CONTEXT) == Some(step)
        {
            let received = answers.received("").await;
            self.build.progress.tell(self.vertices.transferred(step, "transferring context:", received, now));
        }
        let news = self.vertices.event(event, now);
        self.build.progress.tell(news);
    }

    /// The export is under way.
    fn exporting(&mut self) {
        let name = match self.options.request.exports.first() {
            Some(Export::Files) => "exporting to client",
            Some(Export::Archive) => "exporting to oci image format",
            _ => "exporting to image",
        };
        if self.vertices.named(name).is_none() {
            self.begin(EXPORT, name.to_owned());
        }
    }

    /// The export is done.
    fn exported(&mut self, outcome: &Outcome) {
        let exports = &self.options.request.exports;
        if exports.iter().all(|export| matches!(export, Export::Nothing | Export::Check)) {
            return;
        }
        self.exporting();
        if let (true, Some(image)) =
            (self.options.request.exports.contains(&Export::Image), outcome.images.first())
        {
            let names = canonical(&self.options.request.names);
            let parts =
                ["exporting layers done".to_owned(), format!("writing image {image} done")].into_iter();
            for text in parts.chain(names.iter().map(|name| format!("naming to {name} done"))) {
                let news = self.vertices.event(Event::Status { step: EXPORT, text }, Timestamp::now());
                self.build.progress.tell(news);
            }
        }
        self.end(EXPORT);
    }

    /// Hands the findings of the checks on, unless they are the answer to a question.
    fn warn(&self, outcome: &Outcome) {
        if self.options.request.exports.contains(&Export::Check) {
            return;
        }
        let warning = |warning: &wharf_api::build::Warning| {
            let line = |line: usize| Position { line: i32::try_from(line).unwrap_or(i32::MAX), character: 0 };
            VertexWarning {
                vertex: self.vertices.digest(LOAD_DOCKERFILE),
                level: 1,
                short: format!("{}: {} (line {})", warning.check, warning.message, warning.lines.0)
                    .into_bytes(),
                detail: vec![warning.description.clone().into_bytes()],
                url: wharf_build::check::address(&warning.check),
                info: Some(SourceInfo {
                    filename: self.source.name.clone(),
                    data: self.source.text.clone().into_bytes(),
                    language: "Dockerfile".to_owned(),
                }),
                ranges: vec![Range { start: Some(line(warning.lines.0)), end: Some(line(warning.lines.1)) }],
            }
        };
        let warnings: Vec<_> = outcome.warnings.iter().map(warning).collect();
        if !warnings.is_empty() {
            self.build.progress.tell(StatusResponse { warnings, ..StatusResponse::default() });
        }
    }
}

fn document<T: serde::de::DeserializeOwned>(frame: &Frame) -> Result<T, Status> {
    serde_json::from_slice(&frame.payload).map_err(|error| Status::internal(error.to_string()))
}
