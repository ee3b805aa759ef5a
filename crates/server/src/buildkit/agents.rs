//! Key agents that a client lends.
//!
//! The engine asks message by message, the client has a stream for each connection to its agent.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::stream;
use tokio::sync::{Mutex, mpsc};
use tonic::metadata::AsciiMetadataValue;
use tonic::{Request, Status, Streaming};

use super::proto::filesync::BytesMessage;
use super::proto::session::CheckAgentRequest;
use super::session::Session;

const FORWARD: &str = "/moby.sshforward.v1.SSH/ForwardAgent";
const CHECK: &str = "/moby.sshforward.v1.SSH/CheckAgent";

/// The longest answer, in bytes, as OpenSSH has it.
const LONGEST: usize = 256 << 10;

/// The agents of a session.
pub(super) struct Agents {
    session: Arc<Session>,
    connections: Mutex<HashMap<(String, u64), Connection>>,
}

/// A connection to an agent.
struct Connection {
    messages: mpsc::Sender<BytesMessage>,
    answers: Streaming<BytesMessage>,
    /// What came and was not taken yet.
    buffer: Vec<u8>,
}

/// Those of the agents that the client has.
pub(super) async fn lent(session: &Session, names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut lent = Vec::new();
    if !session.offers(CHECK) {
        return lent;
    }
    for id in names {
        let checked: Result<(), _> = session.call(CHECK, CheckAgentRequest { id: id.clone() }).await;
        if checked.is_ok() {
            lent.push(id);
        }
    }
    lent
}

impl Agents {
    pub(super) fn new(session: Arc<Session>) -> Self {
        Self { session, connections: Mutex::default() }
    }

    /// Asks an agent. An empty message ends the connection.
    ///
    /// # Errors
    /// The client has no such agent, or it does not answer.
    pub(super) async fn ask(&self, id: String, number: u64, message: &[u8]) -> Result<Vec<u8>, Status> {
        let key = (id, number);
        let known = self.connections.lock().await.remove(&key);
        if message.is_empty() {
            return Ok(Vec::new());
        }
        let length = u32::try_from(message.len()).map_err(|_| Status::invalid_argument("too long"))?;
        let message = BytesMessage { data: [&length.to_be_bytes(), message].concat() };
        let mut connection = match known {
            Some(connection) => {
                let sent = connection.messages.send(message).await;
                sent.map_err(|_| Status::unavailable("the client's key agent is gone"))?;
                connection
            }
            None => self.connect(&key.0, message).await?,
        };
        let answer = connection.answer().await?;
        self.connections.lock().await.insert(key, connection);
        Ok(answer)
    }

    /// Makes a connection with its first message: a client says nothing about a call before it has an answer.
    async fn connect(&self, id: &str, first: BytesMessage) -> Result<Connection, Status> {
        let (messages, outgoing) = mpsc::channel(1);
        messages.try_send(first).map_err(|error| Status::internal(error.to_string()))?;
        let outgoing = stream::unfold(outgoing, |mut outgoing| async move {
            let message = outgoing.recv().await?;
            Some((message, outgoing))
        });
        let mut request = Request::new(outgoing);
        let id =
            AsciiMetadataValue::try_from(id).map_err(|_| Status::invalid_argument("invalid agent id"))?;
        request.metadata_mut().insert("buildkit.ssh.id", id);
        let answers = self.session.stream(FORWARD, request).await?;
        Ok(Connection { messages, answers, buffer: Vec::new() })
    }
}

impl Connection {
    async fn answer(&mut self) -> Result<Vec<u8>, Status> {
        let head = self.take(4).await?;
        let length = head.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        if length > LONGEST {
            return Err(Status::out_of_range("the answer of the client's key agent is too long"));
        }
        self.take(length).await
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>, Status> {
        while self.buffer.len() < length {
            let more = self.answers.message().await?;
            let more = more.ok_or_else(|| Status::unavailable("the client's key agent is gone"))?;
            self.buffer.extend_from_slice(&more.data);
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }
}
