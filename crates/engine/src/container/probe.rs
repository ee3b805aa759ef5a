//! Running health checks: one task per running container with a check.

use std::{os::unix::net::UnixStream, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{io::AsyncReadExt, sync::watch, task::AbortHandle, time::timeout};
use wharf_api::{exec::CreateRequest, stream::Decoder};

use super::{
    Container, Entry, Status,
    health::{Check, Probe},
    live::Live,
};
use crate::{Engine, Error, Exec, ExecState, Result, tables};

/// How much of a probe's output is kept, in bytes.
const OUTPUT_LIMIT: usize = 4096;
/// How long the end of a killed probe is waited for.
const AFTER_KILL: Duration = Duration::from_millis(200);

/// A started probe: its session and its output.
type Session = (watch::Receiver<Exec>, Option<UnixStream>);

impl Engine {
    /// Starts to probe the container of `entry` if it has a health check. The caller ends the task with the run.
    pub(super) fn watch_health(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        live: &Arc<Live>,
    ) -> Option<AbortHandle> {
        let container = entry.get();
        container.config.healthcheck.as_ref()?;
        let image = self.images.find(&container.image, None).ok();
        let check = Check::new(&container.config, image.and_then(|image| image.run_config().shell.clone()))?;
        let task = self.clone().check_health(entry.clone(), live.clone(), Arc::new(check));
        Some(self.runtime.spawn(task).abort_handle())
    }

    async fn check_health(self: Arc<Self>, entry: Arc<Entry>, live: Arc<Live>, check: Arc<Check>) {
        let mut record = entry.watch();
        loop {
            let delay = {
                let container = entry.get();
                let status = container.state.health.as_ref().map(|health| health.status).unwrap_or_default();
                check.delay(status, age(&container, Timestamp::now()))
            };
            tokio::time::sleep(delay).await;
            if entry.get().state.status == Status::Paused {
                // A frozen container cannot answer; the interval begins anew when it is thawed.
                if record.wait_for(|container| container.state.status != Status::Paused).await.is_err() {
                    return;
                }
                continue;
            }
            // A probe takes far more memory than the wait for it, so it is not part of the task's frame.
            let probe = Box::pin(self.probe(&entry.get().id, &live, &check)).await;
            let (engine, entry, live, check) = (self.clone(), entry.clone(), live.clone(), check.clone());
            let recorded =
                tokio::task::spawn_blocking(move || engine.record_probe(&entry, &live, &check, probe));
            if let Ok(Err(error)) = recorded.await {
                tracing::error!(%error, "recording a container's health");
            }
        }
    }

    async fn probe(self: &Arc<Self>, container: &str, live: &Arc<Live>, check: &Check) -> Probe {
        let start = Timestamp::now();
        let result = self.run_probe(container, live, check).await;
        let (exit_code, output) = result.unwrap_or_else(|error| (-1, error.to_string()));
        Probe { start, end: Timestamp::now(), exit_code, output }
    }

    /// Runs the check's command in the container; returns its exit code and output.
    async fn run_probe(
        self: &Arc<Self>,
        container: &str,
        live: &Arc<Live>,
        check: &Check,
    ) -> Result<(i32, String)> {
        let request = CreateRequest {
            cmd: Some(check.command.clone().into()),
            attach_stdout: true,
            attach_stderr: true,
            ..CreateRequest::default()
        };
        let (engine, container) = (self.clone(), container.to_owned());
        let begun = tokio::task::spawn_blocking(move || engine.begin_probe(&container, request));
        // The time it takes to start the command is not the command's.
        let (mut exec, stream) = begun.await.map_err(|error| Error::system(error.to_string()))??;
        let mut output = Output::default();
        if let Ok(code) = timeout(check.timeout, result(&mut exec, stream, &mut output)).await {
            return Ok((code?, output.text()));
        }
        let (live, id) = (live.clone(), exec.borrow().id.clone());
        let _ = tokio::task::spawn_blocking(move || live.monitor.exec_kill(&id, 9)).await;
        let _ = timeout(AFTER_KILL, exit_code(&mut exec)).await;
        let limit = i64::try_from(check.timeout.as_nanos()).unwrap_or(i64::MAX);
        let words = format!("Health check exceeded timeout ({})", wharf_template::duration_text(limit));
        let printed = output.text();
        Ok((-1, if printed.is_empty() { words } else { format!("{words}: {printed}") }))
    }

    fn begin_probe(&self, container: &str, request: CreateRequest) -> Result<Session> {
        let exec = self.create_probe(container, request)?;
        // The borrow must have ended before the session changes.
        let id = exec.borrow().id.clone();
        let stream = self.start_exec(&id, false, None)?;
        Ok((exec, stream))
    }

    /// Publishes what a probe means for the health of the run behind `live`. Only a change of the status is worth a
    /// write to the database.
    fn record_probe(&self, entry: &Entry, live: &Arc<Live>, check: &Check, probe: Probe) -> Result<()> {
        let _guard = entry.lock();
        let mut container = (*entry.get()).clone();
        let current = entry.live().is_some_and(|current| Arc::ptr_eq(&current, live));
        if !current || container.state.status != Status::Running {
            return Ok(());
        }
        let age = age(&container, probe.start);
        let health = container.state.health.get_or_insert_default();
        let before = health.status;
        health.record(check, age, probe);
        let status = health.status;
        if status == before {
            entry.publish(container);
            return Ok(());
        }
        self.db.write(|tx| tables::CONTAINERS.put(tx, &container.id, &container))?;
        let container = entry.publish(container);
        let action = format!("health_status: {}", status.as_str());
        self.events.publish("container", &action, &container.id, container.event_attributes());
        Ok(())
    }
}

/// How long the container's run has taken at the instant `at`.
fn age(container: &Container, at: Timestamp) -> Duration {
    let started = container.state.started_at.unwrap_or(at);
    Duration::try_from(at.duration_since(started)).unwrap_or_default()
}

/// Takes the output of a probe to its end; returns its exit code.
async fn result(
    exec: &mut watch::Receiver<Exec>,
    stream: Option<UnixStream>,
    output: &mut Output,
) -> Result<i32> {
    if let Some(stream) = stream {
        output.take(stream).await.map_err(|error| Error::system(error.to_string()))?;
    }
    exit_code(exec).await
}

async fn exit_code(exec: &mut watch::Receiver<Exec>) -> Result<i32> {
    let ended = exec.wait_for(|exec| matches!(exec.state, ExecState::Exited(_))).await;
    match ended.map(|exec| exec.state) {
        Ok(ExecState::Exited(code)) => Ok(code),
        _ => Err(Error::system("the health check has no exit code")),
    }
}

/// The begin of what a probe prints.
#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    more: bool,
}

impl Output {
    /// Reads a multiplexed stream to its end.
    async fn take(&mut self, stream: UnixStream) -> std::io::Result<()> {
        stream.set_nonblocking(true)?;
        let mut stream = tokio::net::UnixStream::from_std(stream)?;
        let mut decoder = Decoder::default();
        let mut buffer = [0; 4096];
        loop {
            let read = stream.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            decoder
                .feed(&buffer[..read], |_, part| self.push(part))
                .map_err(|error| std::io::Error::other(error.to_string()))?;
        }
    }

    fn push(&mut self, part: &[u8]) {
        let room = OUTPUT_LIMIT - self.bytes.len();
        self.bytes.extend_from_slice(&part[..part.len().min(room)]);
        self.more |= part.len() > room;
    }

    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        // compat: three dots stand for what was cut off.
        if self.more { format!("{text}...") } else { text.into_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_limited() {
        let mut output = Output::default();
        output.push(&[b'x'; OUTPUT_LIMIT - 1]);
        output.push(b"y");
        assert!(output.text().ends_with("xy"));
        output.push(b"z");
        assert_eq!(output.text().len(), OUTPUT_LIMIT + 3);
        assert!(output.text().ends_with("xy..."));
    }
}
