//! A session with a process in a container: its streams joined to the client's own, signals and sizes passed on.

use std::{convert::Infallible, future::Future, pin::pin};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    signal::unix::{SignalKind, signal},
};
use wharf_api::stream::StreamKind;
use wharf_client::{Client, Demux, Hijacked};

use crate::{
    Cli, Error, Matches, Result, print,
    stdio::Stdio,
    terminal::{self, DetachKeys, RawMode},
};

/// How much input is read at once.
const CHUNK: usize = 32 * 1024;

/// What the process is, for the engine.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'a> {
    /// The first process of a container.
    Container(&'a str),
    /// One that exec started.
    Exec(&'a str),
}

/// What is attached.
#[derive(Debug)]
pub(super) struct Streams<'a> {
    /// The client's input is passed on.
    pub(super) stdin: bool,
    /// There is output to print.
    pub(super) output: bool,
    /// The process has a terminal.
    pub(super) tty: bool,
    /// The keys that leave the session.
    pub(super) detach_keys: &'a str,
}

/// The keys that leave a session: those given, else those of the configuration file, else the usual ones.
pub(super) fn detach_keys(cli: &Cli, m: &Matches) -> String {
    match m.str("detach-keys") {
        "" => cli.config().text("detachKeys").to_owned(),
        keys => keys.to_owned(),
    }
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// There is no more output.
    Closed,
    /// The user typed the keys that leave it.
    Detached,
}

impl End {
    /// Leaving a session ends `attach` and `exec` with this message.
    ///
    /// # Errors
    /// If the user left.
    pub(super) fn or_escape(self) -> Result<()> {
        match self {
            Self::Closed => Ok(()),
            Self::Detached => Err(Error::message("read escape sequence")),
        }
    }
}

/// Joins the streams until the output ends or the user leaves. Raw mode, where it is due, ends with the session.
///
/// # Errors
/// If the connection breaks or the client's own streams fail.
pub(super) async fn run(hijacked: Hijacked, streams: &Streams<'_>) -> Result<End> {
    let _raw = if streams.stdin && streams.tty { RawMode::set()? } else { None };
    let (read, write) = hijacked.split();
    let output = pin!(async {
        match streams.output {
            true => copy_output(Demux::new(read, !streams.tty)).await.map(|()| End::Closed),
            false => std::future::pending().await,
        }
    });
    let input = pin!(async {
        if streams.stdin && copy_input(write, streams).await == End::Detached {
            return Ok(End::Detached);
        }
        match streams.output {
            // Output goes on after the input has ended.
            true => std::future::pending().await,
            false => Ok(End::Closed),
        }
    });
    first(output, input).await
}

/// What of two ends first.
async fn first<T>(a: impl Future<Output = T> + Unpin, b: impl Future<Output = T> + Unpin) -> T {
    tokio::select! {
        biased;
        value = a => value,
        value = b => value,
    }
}

async fn copy_output(mut demux: Demux<impl AsyncRead + Unpin>) -> Result<()> {
    let (mut out, mut err) = (Stdio::output(), Stdio::error());
    while let Some((kind, bytes)) = demux.next().await.or_else(end_of_connection)? {
        let written = match kind {
            StreamKind::Stdin | StreamKind::Stdout => out.write_all(&bytes).await,
            StreamKind::Stderr => err.write_all(&bytes).await,
            StreamKind::SystemError => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                return Err(Error::message(format!("error from daemon in stream: {text}")));
            }
        };
        written.map_err(|error| match error.kind() {
            // As the signal would have ended the program.
            std::io::ErrorKind::BrokenPipe => Error::exit(141),
            _ => error.into(),
        })?;
    }
    Ok(())
}

/// A connection that the engine resets has ended, like one that it closes.
fn end_of_connection<T>(error: std::io::Error) -> std::io::Result<Option<T>> {
    match error.kind() {
        std::io::ErrorKind::ConnectionReset => Ok(None),
        _ => Err(error),
    }
}

/// Passes input on until it ends, the process takes no more, or the user leaves.
async fn copy_input(mut write: impl AsyncWrite + Unpin, streams: &Streams<'_>) -> End {
    let mut keys = streams.tty.then(|| DetachKeys::new(streams.detach_keys));
    let (mut stdin, mut buffer, mut passed) = (Stdio::input(), vec![0; CHUNK], Vec::new());
    while let Ok(length @ 1..) = stdin.read(&mut buffer).await {
        let detached = match &mut keys {
            Some(keys) => keys.pass(&buffer[..length], &mut passed),
            None => false,
        };
        let bytes = if keys.is_some() { &passed[..] } else { &buffer[..length] };
        // The output says how the connection ended.
        if write.write_all(bytes).await.is_err() {
            return End::Closed;
        }
        passed.clear();
        if detached {
            return End::Detached;
        }
    }
    let _ = write.shutdown().await;
    End::Closed
}

/// Keeps the size of the process's terminal that of the client's, for ever.
pub(super) async fn follow_size(client: &Client, target: Target<'_>) -> Infallible {
    let Ok(mut changes) = signal(SignalKind::window_change()) else { return std::future::pending().await };
    loop {
        if let Some((height, width)) = terminal::size().filter(|size| *size != (0, 0)) {
            // The process may be gone already, which its output will tell.
            let _ = resize(client, target, height, width).await;
        }
        changes.recv().await;
    }
}

async fn resize(client: &Client, target: Target<'_>, height: u16, width: u16) -> Result<()> {
    match target {
        Target::Container(id) => client.container_resize(id, height, width).await?,
        Target::Exec(id) => client.exec_resize(id, height, width).await?,
    }
    Ok(())
}

/// Makes a terminal draw itself again for a client that comes late, by a size that differs for a moment.
pub(super) async fn redraw(client: &Client, id: &str) {
    if let Some((height, width)) = terminal::size() {
        let _ = client.container_resize(id, height.saturating_add(1), width.saturating_add(1)).await;
    }
}

/// Passes the client's signals on to a container, for ever. The handlers are there when this returns its future.
pub(super) fn forward_signals(client: Client, id: String) -> impl Future<Output = Infallible> {
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    for (kind, name) in forwarded() {
        let (Ok(mut signals), sender) = (signal(kind), sender.clone()) else { continue };
        tokio::spawn(async move { while signals.recv().await.is_some() && sender.send(name).is_ok() {} });
    }
    async move {
        let mut impatience = 0;
        while let Some(name) = received.recv().await {
            impatience += u32::from(matches!(name, "INT" | "TERM"));
            if impatience == 3 {
                print::warn("\ngot 3 SIGTERM/SIGINTs, forcefully exiting");
                std::process::exit(1);
            }
            // The container may be gone already, which its output will tell.
            let _ = client.container_kill(&id, name).await;
        }
        std::future::pending().await
    }
}

/// The signals a user or a service manager sends; the others concern the client itself.
fn forwarded() -> [(SignalKind, &'static str); 9] {
    [
        (SignalKind::hangup(), "HUP"),
        (SignalKind::interrupt(), "INT"),
        (SignalKind::quit(), "QUIT"),
        (SignalKind::terminate(), "TERM"),
        (SignalKind::alarm(), "ALRM"),
        (SignalKind::user_defined1(), "USR1"),
        (SignalKind::user_defined2(), "USR2"),
        (SignalKind::from_raw(libc::SIGCONT), "CONT"),
        (SignalKind::from_raw(libc::SIGTSTP), "TSTP"),
    ]
}

/// Starts a process whose streams are joined already, and stays until the session ends. `size` keeps up its
/// terminal's size from the moment it runs.
///
/// # Errors
/// What `start` ended with, whatever became of the streams; else what the session ended with.
pub(super) async fn run_and_start(
    streaming: impl Future<Output = Result<End>>,
    start: impl Future<Output = Result<()>>,
    size: Option<impl Future<Output = Infallible>>,
) -> Result<End> {
    let (mut streaming, mut start) = (pin!(streaming), pin!(start));
    tokio::select! {
        biased;
        started = &mut start => started?,
        end = &mut streaming => {
            // The streams of a process that cannot be started end first.
            start.await?;
            return end;
        }
    }
    match size {
        Some(size) => beside(streaming, size).await,
        None => streaming.await,
    }
}

/// Does `work` while `beside` goes on; `beside` never ends by itself.
pub(super) async fn beside<T>(work: impl Future<Output = T>, beside: impl Future<Output = Infallible>) -> T {
    tokio::select! {
        biased;
        value = work => value,
        never = beside => match never {},
    }
}

/// The status of the program for an exit code of a process.
///
/// # Errors
/// Any status but 0, as an error that prints nothing.
pub(super) fn exit_with(code: i64) -> Result<()> {
    match code {
        0 => Ok(()),
        // As a program's status is cut off by the system.
        code => Err(Error::exit((code & 0xff) as u8)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn a_failed_start_counts_even_if_the_streams_end_first() {
        let start = async {
            tokio::task::yield_now().await;
            Err(Error::message("no such program"))
        };
        let end = block_on(run_and_start(ready(Ok(End::Closed)), start, Some(pending())));
        assert_eq!(end.unwrap_err().to_string(), "no such program");
    }

    #[test]
    fn a_session_ends_with_its_streams_and_not_with_the_start() {
        let streaming = async {
            tokio::task::yield_now().await;
            Ok(End::Detached)
        };
        let end = block_on(run_and_start(streaming, ready(Ok(())), None::<std::future::Pending<_>>));
        assert_eq!(end.unwrap(), End::Detached);
        assert_eq!(End::Detached.or_escape().unwrap_err().to_string(), "read escape sequence");
    }

    #[test]
    fn exit_codes_become_the_status_of_the_program() {
        assert!(exit_with(0).is_ok());
        assert_eq!(exit_with(137).unwrap_err().code(), 137);
        assert_eq!(exit_with(256 + 3).unwrap_err().code(), 3);
    }
}
