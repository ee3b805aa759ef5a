//! Where the result of a build goes: into the engine, to registries, to the client.

use std::io::{self, Write};

use wharf_api::build::{Event, Export, Frame, Outcome, Request};
use wharf_api::progress::Progress;
use wharf_oci::Reference;

use super::{BuildRequest, Solved, session::Session};
use crate::{
    Error, Result,
    image::{Annotations, BuiltImage},
};

/// Bytes of an export that are sent at once.
const PIECE: usize = 256 << 10;

impl Solved<'_> {
    /// Makes everything that was asked for, and says what it was.
    ///
    /// # Errors
    /// One of it cannot be made.
    pub(super) fn export(
        &self,
        request: &Request,
        build: &BuildRequest,
        session: &Session,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let annotations = Annotations::new(&request.annotations)?;
        for (place, export) in request.exports.iter().enumerate() {
            let mut out = Exporter::new(session, place);
            match export {
                Export::Nothing | Export::Check => {}
                Export::Image if self.build.graph.outputs.len() > 1 => {
                    return Err(Error::not_implemented(
                        "the engine keeps images for one platform under a name",
                    ));
                }
                Export::Image => {
                    outcome.images = self.images(build)?.iter().map(ToString::to_string).collect();
                }
                Export::Push => {
                    let images = self.built(build)?;
                    outcome.index = self.push(&images, build, &annotations, session)?;
                    outcome.images = ids(&images);
                }
                Export::Archive => {
                    let images = self.built(build)?;
                    let index =
                        self.build.engine.images.save_built(&images, &build.names, &annotations, &mut out)?;
                    outcome.index = index.map(|digest| digest.to_string()).or(outcome.index.take());
                    outcome.images = ids(&images);
                }
                Export::Files => self.files(&mut out)?,
            }
            out.flush().map_err(|error| Error::system(error.to_string()))?;
        }
        Ok(())
    }

    /// Pushes images for several platforms under all names; a further step of the build to the client.
    fn push(
        &self,
        images: &[BuiltImage],
        build: &BuildRequest,
        annotations: &Annotations,
        session: &Session,
    ) -> Result<Option<String>> {
        let step = u32::try_from(self.build.graph.nodes.len()).unwrap_or(u32::MAX);
        let tell = |event: Event| {
            // A client that is gone has cancelled the build.
            let _ = session.send(&Frame::document(Frame::EVENT, &event));
        };
        let names: Vec<_> = build.names.iter().map(Reference::to_string).collect();
        tell(Event::Started { step, name: format!("pushing {}", names.join(", ")) });
        let mut progress = |line: Progress| {
            if line.id.is_empty() && !line.status.is_empty() {
                let _ = session.send(&Frame::numbered(
                    Frame::OUTPUT,
                    step,
                    format!("{}\n", line.status).as_bytes(),
                ));
            }
        };
        let _runtime = self.build.engine.runtime.enter();
        let pushed = self.build.engine.images.push_index(
            images,
            &build.names,
            &build.credentials,
            annotations,
            &mut progress,
        );
        match pushed {
            Ok(digest) => {
                tell(Event::Done { step });
                Ok(digest.map(|digest| digest.to_string()))
            }
            Err(error) => {
                tell(Event::Failed { step, error: error.to_string() });
                Err(error)
            }
        }
    }
}

fn ids(images: &[BuiltImage]) -> Vec<String> {
    images.iter().map(|(record, _)| record.id.to_string()).collect()
}

/// Sends what is exported.
pub(super) struct Exporter<'a> {
    session: &'a Session,
    /// Kind of the frames.
    kind: u8,
    /// Place of the export, or of the cache, in the request.
    place: u32,
    buffer: Vec<u8>,
}

impl<'a> Exporter<'a> {
    fn new(session: &'a Session, place: usize) -> Self {
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        Self { session, kind: Frame::EXPORT, place, buffer: Vec::with_capacity(PIECE) }
    }

    /// For what goes to a cache.
    pub(super) fn to_cache(session: &'a Session, place: usize) -> Self {
        Self { kind: Frame::CACHE, ..Self::new(session, place) }
    }
}

impl Write for Exporter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(PIECE - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..length]);
        if self.buffer.len() == PIECE {
            self.flush()?;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.session.send(&Frame::numbered(self.kind, self.place, &self.buffer))?;
            self.buffer.clear();
        }
        Ok(())
    }
}
