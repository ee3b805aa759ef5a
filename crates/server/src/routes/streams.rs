//! Containers: everything that streams or waits.

use std::os::unix::net::UnixStream as BlockingStream;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use tokio::net::UnixStream;
use wharf_api::container::{WaitError, WaitResponse};
use wharf_api::stats::Stats;
use wharf_api::stream::{MULTIPLEXED_STREAM, RAW_STREAM};
use wharf_api::time::ZERO;
use wharf_engine::Engine;
use wharf_engine::container::{AttachOptions, Attachment, LogOptions, WaitCondition};

use super::Call;
use crate::call::Result;
use crate::failure::Failure;
use crate::hijack::{Session, hijack};
use crate::produce::blocking;
use crate::reply;

/// `POST /containers/{name}/wait`: headers at once, the document when the condition holds.
pub(super) async fn wait(call: Call) -> Result {
    let condition = WaitCondition::parse(call.query.text("condition"))?;
    let wait = call.engine.wait_container(&call.name, condition)?;
    let document = async move {
        let exit = wait.done().await;
        let error = Some(exit.error).filter(|message| !message.is_empty());
        WaitResponse { error: error.map(|message| WaitError { message }), status_code: exit.code.into() }
    };
    Ok(reply::json_lines(stream::once(document)))
}

/// `POST /containers/{name}/attach`.
pub(super) async fn attach(call: Call) -> Result {
    let container = call.engine.containers.find(&call.name)?.get();
    let query = &call.query;
    let options = AttachOptions {
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        detach_keys: query.text("detachKeys").to_owned(),
    };
    let past = match query.flag("logs") {
        true => Some(call.engine.container_logs(&call.name, past_output(&options))?),
        false => None,
    };
    let attachment = match query.flag("stream") {
        true => {
            let (engine, name) = (call.engine.clone(), call.name.clone());
            Some(blocking(move || engine.attach_container(&name, options)).await?)
        }
        false => None,
    };
    let stream = async move {
        match attachment? {
            Attachment::Ready(stream) => asynchronous(stream),
            Attachment::Pending(stream) => asynchronous(stream.await.ok()?),
        }
    };
    Ok(hijack(call, Session { past, stream, ended: async {}, raw: container.config.tty }))
}

/// Everything written so far.
fn past_output(options: &AttachOptions) -> LogOptions {
    LogOptions {
        stdout: options.stdout,
        stderr: options.stderr,
        follow: false,
        since: None,
        until: None,
        timestamps: false,
        details: false,
        tail: None,
    }
}

/// A stream of the engine, ready for asynchronous use.
pub(super) fn asynchronous(stream: BlockingStream) -> Option<UnixStream> {
    let ready = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
    ready.map_err(|error| tracing::error!(%error, "a stream cannot be used")).ok()
}

/// `GET /containers/{name}/logs`.
pub(super) async fn logs(call: Call) -> Result {
    let container = call.engine.containers.find(&call.name)?.get();
    let query = &call.query;
    let options = LogOptions {
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        follow: query.flag("follow"),
        since: query.timestamp("since")?,
        until: query.timestamp("until")?,
        timestamps: query.flag("timestamps"),
        details: query.flag("details"),
        // Anything that is no number means all lines.
        tail: query.text("tail").parse().ok(),
    };
    let blocks = call.engine.container_logs(&call.name, options)?;
    let content_type = if container.config.tty || !call.since(42) { RAW_STREAM } else { MULTIPLEXED_STREAM };
    let blocks = stream::unfold(blocks, |mut blocks| async move {
        let block: Bytes = blocks.recv().await?;
        Some((Ok::<_, std::io::Error>(block), blocks))
    });
    Ok(reply::stream(content_type, blocks))
}

/// Time between two samples.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// `GET /containers/{name}/stats`.
pub(super) async fn stats(call: Call) -> Result {
    let (follow, one_shot) = (call.query.flag_or("stream", true), call.query.flag("one-shot"));
    if follow && one_shot {
        return Err(Failure::invalid("cannot have stream=true and one-shot=true"));
    }
    let first = sample(&call.engine, &call.name, None).await?;
    if follow {
        let samples = stream::unfold((call, Some(first), None::<Stats>), |(call, next, last)| async move {
            let next = match next {
                Some(first) => first,
                None => {
                    tokio::time::sleep(SAMPLE_INTERVAL).await;
                    // The end of the container's existence ends the stream.
                    sample(&call.engine, &call.name, last.as_ref()).await.ok()?
                }
            };
            Some((next.clone(), (call, None, Some(next))))
        });
        return Ok(reply::json_lines(samples));
    }
    if one_shot || first.read == ZERO {
        return Ok(reply::json(&first));
    }
    tokio::time::sleep(SAMPLE_INTERVAL).await;
    Ok(reply::json(&sample(&call.engine, &call.name, Some(&first)).await?))
}

/// A sample that knows the one before it, from which clients compute rates.
async fn sample(engine: &Arc<Engine>, name: &str, last: Option<&Stats>) -> Result<Stats> {
    let (engine, name) = (engine.clone(), name.to_owned());
    let mut sample = blocking(move || engine.container_stats(&name)).await?;
    if let Some(last) = last {
        sample.preread.clone_from(&last.read);
        sample.precpu_stats = last.cpu_stats.clone();
    }
    Ok(sample)
}
