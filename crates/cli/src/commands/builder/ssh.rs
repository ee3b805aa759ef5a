//! `--ssh`: key agents that are lent to a build.
//!
//! Keys that lie in files are given to an `ssh-agent` of their own, which ends with the build.

use std::{
    collections::{BTreeMap, HashMap},
    env, fs,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::{fs::FileTypeExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use crate::{Error, Result, value};

/// The longest answer, in bytes, as OpenSSH has it.
const LONGEST: u32 = 256 << 10;

/// The agents, by name.
#[derive(Debug, Default)]
pub(super) struct Agents {
    sockets: BTreeMap<String, PathBuf>,
    connections: Mutex<HashMap<(String, u64), UnixStream>>,
    /// Those of our own.
    started: Vec<Started>,
}

/// An agent of our own.
#[derive(Debug)]
struct Started {
    process: Child,
    folder: tempfile::TempDir,
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Agents {
    /// Reads the flags: `ID`, `ID=SOCKET` or `ID=KEY,KEY`.
    ///
    /// # Errors
    /// In buildx's words, or what `ssh-add` says about a key.
    pub(super) fn parse(given: &[String]) -> Result<Self> {
        let mut agents = Self::default();
        for text in given {
            let (id, paths) = text.split_once('=').unwrap_or((text, ""));
            let paths = value::split_record(paths).map_err(Error::message)?;
            let paths: Vec<&str> = paths.iter().map(String::as_str).filter(|path| !path.is_empty()).collect();
            let shown = format!("failed to convert agent config {{{id} [{}] false}}: ", paths.join(" "));
            let socket = agents.socket(id, &paths).map_err(|reason| Error::message(shown + &reason))?;
            if agents.sockets.insert(id.to_owned(), socket).is_some() {
                return Err(Error::message(format!("duplicate SSH agent ID {id:?}")));
            }
        }
        Ok(agents)
    }

    fn socket(&mut self, id: &str, paths: &[&str]) -> std::result::Result<PathBuf, String> {
        if paths.is_empty() {
            return match env::var_os("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty()) {
                Some(socket) => Ok(socket.into()),
                None => Err("invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set".to_owned()),
            };
        }
        let prefix = format!("failed to convert agent config for ID: {id:?}: ");
        let mut keys = Vec::new();
        for &path in paths {
            let found = fs::metadata(path)
                .map_err(|error| format!("{prefix}stat {path}: {}", crate::error::go_os_error(&error)))?;
            if !found.file_type().is_socket() {
                keys.push(path);
            } else if paths.len() > 1 {
                return Err(format!("{prefix}only single socket allowed"));
            }
        }
        match keys.as_slice() {
            [] => Ok(paths[0].into()),
            keys => {
                let started = Started::with(keys).map_err(|reason| prefix + &reason)?;
                let socket = started.folder.path().join("agent");
                self.started.push(started);
                Ok(socket)
            }
        }
    }

    /// Names of the agents.
    pub(super) fn names(&self) -> Vec<String> {
        self.sockets.keys().cloned().collect()
    }

    /// Asks an agent. An empty message ends the connection.
    ///
    /// # Errors
    /// There is no such agent, or it does not answer.
    pub(super) fn ask(&self, id: &str, connection: u64, message: &[u8]) -> io::Result<Vec<u8>> {
        let key = (id.to_owned(), connection);
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let known = connections.remove(&key);
        if message.is_empty() {
            return Ok(Vec::new());
        }
        let mut stream = match known {
            Some(stream) => stream,
            None => UnixStream::connect(self.sockets.get(id).ok_or(io::ErrorKind::NotFound)?)?,
        };
        let answer = exchange(&mut stream, message)?;
        connections.insert(key, stream);
        Ok(answer)
    }
}

/// Sends a message of the agent's protocol and waits for the answer.
fn exchange(stream: &mut UnixStream, message: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), message].concat())?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

impl Started {
    /// Starts an agent that has these keys.
    fn with(keys: &[&str]) -> std::result::Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let socket = folder.path().join("agent");
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().map_err(|error| {
            format!("keys in files need the program ssh-agent, or use an agent that runs: {error}")
        })?;
        let stdout = process.stdout.take();
        let started = Self { process, folder };
        // It says where it is when it is there.
        let said = stdout.and_then(|stdout| BufReader::new(stdout).lines().next()).and_then(io::Result::ok);
        said.ok_or_else(|| "ssh-agent does not come up".to_owned())?;
        for key in keys {
            started.add(&socket, key)?;
        }
        Ok(started)
    }

    fn add(&self, socket: &Path, key: &str) -> std::result::Result<(), String> {
        let mut command = Command::new("ssh-add");
        command.arg("-q").arg("--").arg(key).env("SSH_AUTH_SOCK", socket).stdin(Stdio::null());
        // Nobody is asked for a passphrase: such a key belongs into an agent that runs.
        command.env("SSH_ASKPASS_REQUIRE", "force").env("SSH_ASKPASS", "/bin/false");
        let output = command.output().map_err(|error| format!("ssh-add: {error}"))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(format!("failed to add {key}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn forms() {
        let error = |text: &str| Agents::parse(&[text.to_owned()]).unwrap_err().to_string();
        assert_eq!(
            error("nope=/nope"),
            "failed to convert agent config {nope [/nope] false}: failed to convert agent config for ID: \"nope\": stat \
             /nope: no such file or directory"
        );
    }

    #[test]
    fn each_connection_is_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let agents = Agents::parse(&[format!("a={}", socket.display())]).unwrap();
        let server = std::thread::spawn(move || {
            // How many messages came by each of two connections.
            let streams: Vec<_> = (0..2).map(|_| listener.accept().unwrap().0).collect();
            let count = |mut stream: UnixStream| {
                let mut head = [0; 4];
                let mut count = 0;
                while stream.read_exact(&mut head).is_ok() {
                    let mut message = vec![0; u32::from_be_bytes(head) as usize];
                    stream.read_exact(&mut message).unwrap();
                    count += 1;
                    stream.write_all(&[&[0, 0, 0, 1], &[count][..]].concat()).unwrap();
                }
                count
            };
            let mut threads = Vec::new();
            for stream in streams {
                threads.push(std::thread::spawn(move || count(stream)));
            }
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        let first = UnixStream::connect(&socket).unwrap();
        assert_eq!(agents.ask("a", 7, b"x").unwrap_or_default(), [1]);
        assert_eq!(agents.ask("a", 7, b"x").unwrap_or_default(), [2]);
        assert_eq!(agents.ask("a", 7, b"").unwrap(), b"");
        drop(first);
        assert_eq!(server.join().unwrap(), [0, 2]);
        assert!(agents.ask("b", 1, b"x").is_err());
    }
}
