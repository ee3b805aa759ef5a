//! A client's key agent, for steps and for repositories.
//!
//! A step finds a socket of the engine's. What comes in by it is cut into the messages of the agent's protocol (a length
//! in four bytes, big-endian, and so many bytes), and each is asked of the client, which has the agent.

use std::{
    fs,
    io::{self, Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            fs::{PermissionsExt, chown},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use rustix::{
    fs::{Mode, OFlags},
    net::Shutdown,
};

use crate::{Error, Result};

/// The longest message, in bytes, as OpenSSH's agent has it.
const LONGEST: u32 = 256 << 10;

/// Asks a client's agent: the number of a connection to it and a message; returns the answer. An empty message ends the
/// connection.
pub(super) type Agent = Arc<dyn Fn(u64, &[u8]) -> Result<Vec<u8>> + Send + Sync>;

/// A socket that is there while this lives.
pub(super) struct AgentSocket {
    path: PathBuf,
    /// The folder it is in.
    folder: OwnedFd,
    listener: Arc<UnixListener>,
}

impl AgentSocket {
    /// Serves an agent at a path, for an owner: permissions, user and group.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub(super) fn serve(path: &Path, agent: Agent, (mode, uid, gid): (u32, u32, u32)) -> Result<Self> {
        let failed = |error| Error::io("listen on", path, error);
        let folder = path.parent().unwrap_or(path);
        let folder =
            rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let folder = folder.map_err(|errno| failed(errno.into()))?;
        let listener = Arc::new(UnixListener::bind(address(path, &folder)).map_err(failed)?);
        chown(path, Some(uid), Some(gid)).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)?;
        let accepting = listener.clone();
        let accept = move || {
            // Ends with an error when the socket is shut down.
            while let Ok((stream, _)) = accepting.accept() {
                let agent = agent.clone();
                let serve = move || {
                    if let Err(error) = forward(stream, &agent) {
                        tracing::debug!(%error, "a step's connection to a key agent broke off");
                    }
                };
                // Without a thread the connection is closed, which the step sees.
                let _ = thread::Builder::new().name("agent".to_owned()).spawn(serve);
            }
        };
        thread::Builder::new().name("agents".to_owned()).spawn(accept).map_err(failed)?;
        Ok(Self { path: path.to_owned(), folder, listener })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where programs of this host find it while this lives.
    pub(super) fn address(&self) -> PathBuf {
        address(&self.path, &self.folder)
    }
}

impl Drop for AgentSocket {
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&*self.listener, Shutdown::Both);
        let _ = fs::remove_file(&self.path);
    }
}

/// A short way: a path of this length may not fit into the address of a socket.
fn address(path: &Path, folder: &OwnedFd) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    Path::new(&format!("/proc/{}/fd/{}", std::process::id(), folder.as_raw_fd())).join(name)
}

/// Asks message after message until the step closes the connection.
fn forward(mut stream: UnixStream, agent: &Agent) -> Result<()> {
    static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
    let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    let failed = |error: io::Error| Error::system(error.to_string());
    let mut done = Ok(());
    while let Some(message) = read_message(&mut stream).map_err(failed)? {
        let answer = agent(connection, &message);
        done = answer.and_then(|answer| write_message(&mut stream, &answer).map_err(failed));
        if done.is_err() {
            break;
        }
    }
    agent(connection, &[])?;
    done
}

/// The next message; `None` at the end of the stream.
fn read_message(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = u32::from_be_bytes(length);
    if length == 0 || length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length as usize];
    stream.read_exact(&mut message)?;
    Ok(Some(message))
}

fn write_message(stream: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), message].concat())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn messages_go_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        // Longer than an address may be.
        let deep = folder.path().join("x".repeat(120));
        fs::create_dir(&deep).unwrap();
        let (sender, asked) = channel();
        let agent: Agent = Arc::new(move |connection, message| {
            sender.send((connection, message.to_vec())).unwrap();
            Ok([b"re:", message].concat())
        });
        let socket = AgentSocket::serve(&deep.join("s"), agent, (0o600, 0, 0)).unwrap();
        let mut stream = UnixStream::connect(socket.address()).unwrap();
        for text in ["one", "two"] {
            write_message(&mut stream, text.as_bytes()).unwrap();
            assert_eq!(read_message(&mut stream).unwrap().unwrap(), format!("re:{text}").into_bytes());
        }
        drop(stream);
        let asked: Vec<_> = asked.iter().take(3).collect();
        assert_eq!(asked[2], (asked[0].0, Vec::new()), "the end is told");
        let path = socket.path().to_owned();
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn too_long_is_refused() {
        assert!(read_message(&mut &[0xff, 0, 0, 0][..]).is_err());
        assert!(read_message(&mut &[0, 0, 0, 0][..]).is_err());
        assert!(read_message(&mut &b""[..]).unwrap().is_none());
    }
}
