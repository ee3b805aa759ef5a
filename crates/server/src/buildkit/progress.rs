//! What happens in a build, as BuildKit's clients hear it: vertices, what is done of them, what they write.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::{self};
use jiff::Timestamp as Instant;
use tokio::sync::Notify;
use wharf_api::build::Event;
use wharf_oci::Digest;

use super::proto::control::{StatusResponse, Vertex, VertexLog, VertexStatus};
use super::proto::types::Timestamp;
use super::rpc::Messages;

/// Bytes of output that wait for a client that does not read; what is more is left out.
const MOST_OUTPUT: usize = 8 << 20;

/// News of a build until the client has taken them.
#[derive(Default)]
pub(super) struct Progress {
    news: Mutex<News>,
    changed: Notify,
}

#[derive(Default)]
struct News {
    waiting: VecDeque<StatusResponse>,
    /// Bytes of output among them.
    output: usize,
    ended: bool,
}

impl Progress {
    /// Adds something; nothing is kept back for a build that has ended.
    pub(super) fn tell(&self, news: StatusResponse) {
        let output: usize = news.logs.iter().map(|log| log.msg.len()).sum();
        let mut known = self.lock();
        if output > 0 && known.output + output > MOST_OUTPUT {
            return;
        }
        known.output += output;
        known.waiting.push_back(news);
        drop(known);
        self.changed.notify_one();
    }

    /// There is no more to come.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_one();
    }

    /// The news as they come, to the end of the build. Who asks second shares them with who asked first.
    pub(super) fn follow<B: Send + Sync + 'static>(
        build: Arc<B>,
        progress: fn(&B) -> &Progress,
    ) -> Messages<StatusResponse> {
        stream::unfold(build, move |build| async move {
            let next = progress(&build).next().await;
            next.map(|news| (Ok(news), build))
        })
        .boxed()
    }

    async fn next(&self) -> Option<StatusResponse> {
        loop {
            // Kept if nobody waits for it just now.
            let changed = self.changed.notified();
            if let Some(next) = self.taken() {
                return next;
            }
            changed.await;
        }
    }

    /// What is there now: news, or their end.
    fn taken(&self) -> Option<Option<StatusResponse>> {
        let mut known = self.lock();
        match known.waiting.pop_front() {
            Some(news) => {
                known.output -= news.logs.iter().map(|log| log.msg.len()).sum::<usize>();
                Some(Some(news))
            }
            None => known.ended.then_some(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Turns what the engine tells into news.
pub(super) struct Vertices {
    /// Makes the digests of this build's vertices its own.
    reference: String,
    known: HashMap<u32, Vertex>,
}

impl Vertices {
    pub(super) fn new(reference: &str) -> Self {
        Self { reference: reference.to_owned(), known: HashMap::new() }
    }

    /// The news that an event is.
    pub(super) fn event(&mut self, event: Event, now: Instant) -> StatusResponse {
        match event {
            Event::Started { step, name } => self.started(step, name, now),
            Event::Cached { step } => self.ended(step, now, |vertex| vertex.cached = true),
            Event::Done { step } => self.ended(step, now, |_| {}),
            Event::Failed { step, error } => self.ended(step, now, |vertex| vertex.error = error),
            Event::Status { step, text } => self.status(step, &text, now),
        }
    }

    /// Something begins.
    pub(super) fn started(&mut self, step: u32, name: String, now: Instant) -> StatusResponse {
        let digest = self.digest(step);
        let vertex = Vertex { digest, name, started: Some(timestamp(now)), ..Vertex::default() };
        self.known.insert(step, vertex.clone());
        StatusResponse { vertexes: vec![vertex], ..StatusResponse::default() }
    }

    fn ended(&mut self, step: u32, now: Instant, how: impl FnOnce(&mut Vertex)) -> StatusResponse {
        let Some(vertex) = self.known.get_mut(&step) else { return StatusResponse::default() };
        vertex.completed = Some(timestamp(now));
        how(vertex);
        StatusResponse { vertexes: vec![vertex.clone()], ..StatusResponse::default() }
    }

    /// A part of a vertex; one that ends in `done` is complete.
    fn status(&self, step: u32, text: &str, now: Instant) -> StatusResponse {
        let (id, completed) = match text.strip_suffix(" done") {
            Some(id) => (id, Some(timestamp(now))),
            None => (text, None),
        };
        self.part(step, id, 0, completed, now)
    }

    /// So many bytes of a vertex were transferred.
    pub(super) fn transferred(&self, step: u32, id: &str, bytes: u64, now: Instant) -> StatusResponse {
        self.part(step, id, i64::try_from(bytes).unwrap_or(i64::MAX), Some(timestamp(now)), now)
    }

    fn part(
        &self,
        step: u32,
        id: &str,
        current: i64,
        completed: Option<Timestamp>,
        now: Instant,
    ) -> StatusResponse {
        let status = VertexStatus {
            id: id.to_owned(),
            vertex: self.digest(step),
            current,
            timestamp: Some(timestamp(now)),
            started: Some(timestamp(now)),
            completed,
            ..VertexStatus::default()
        };
        StatusResponse { statuses: vec![status], ..StatusResponse::default() }
    }

    /// A vertex wrote something.
    pub(super) fn output(&self, step: u32, text: &[u8], now: Instant) -> StatusResponse {
        let log = VertexLog {
            vertex: self.digest(step),
            timestamp: Some(timestamp(now)),
            stream: 1,
            msg: text.to_vec(),
        };
        StatusResponse { logs: vec![log], ..StatusResponse::default() }
    }

    /// The vertex with a name.
    pub(super) fn named(&self, name: &str) -> Option<u32> {
        self.known.iter().find(|(_, vertex)| vertex.name == name).map(|(step, _)| *step)
    }

    /// Vertices that began and did not end are ended by a failure of the whole.
    pub(super) fn abandon(&mut self, error: &str, now: Instant) -> StatusResponse {
        let open = self.known.values_mut().filter(|vertex| vertex.completed.is_none());
        let vertexes = open.map(|vertex| {
            vertex.completed = Some(timestamp(now));
            error.clone_into(&mut vertex.error);
            vertex.clone()
        });
        StatusResponse { vertexes: vertexes.collect(), ..StatusResponse::default() }
    }

    /// What clients know a vertex by.
    pub(super) fn digest(&self, step: u32) -> String {
        Digest::sha256(format!("{}/{step}", self.reference).as_bytes()).to_string()
    }
}

/// A time as messages have it.
pub(super) fn timestamp(time: Instant) -> Timestamp {
    Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn events_are_vertices() {
        let now = Instant::UNIX_EPOCH;
        let mut vertices = Vertices::new("a");
        let begun = vertices.event(Event::Started { step: 1, name: "x".to_owned() }, now);
        let done = vertices.event(Event::Cached { step: 1 }, now);
        let (begun, done) = (&begun.vertexes[0], &done.vertexes[0]);
        assert!(begun.started.is_some() && begun.completed.is_none() && !begun.cached);
        assert!(done.digest == begun.digest && done.started.is_some() && done.completed.is_some());
        assert!(done.cached && done.name == "x" && vertices.named("x") == Some(1));
        assert_ne!(Vertices::new("b").digest(1), begun.digest, "another build has other vertices");

        let part = vertices.event(Event::Status { step: 1, text: "pulling done".to_owned() }, now);
        assert!(part.statuses[0].id == "pulling" && part.statuses[0].completed.is_some());
        vertices.event(Event::Started { step: 2, name: "y".to_owned() }, now);
        let left = vertices.abandon("gone", now);
        assert_eq!(left.vertexes.iter().map(|v| (&*v.name, &*v.error)).collect::<Vec<_>>(), [("y", "gone")]);
    }

    #[tokio::test]
    async fn output_that_nobody_reads_is_limited() {
        let progress = Progress::default();
        let vertices = Vertices::new("a");
        for _ in 0..20 {
            progress.tell(vertices.output(1, &[b'x'; 1 << 20], Instant::UNIX_EPOCH));
        }
        progress.end();
        let mut got = 0;
        while progress.next().await.is_some() {
            got += 1;
        }
        assert_eq!(got, MOST_OUTPUT >> 20);
    }
}
