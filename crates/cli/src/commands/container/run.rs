//! `container run`: create, attach, start, and wait for the end.

use std::future::{self, Future};

use wharf_api::container::{CreateRequest, WaitResponse};
use wharf_client::{AttachOptions, Client, WaitCondition};

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    commands::container::{
        create,
        options::{self, CREATE_FLAGS, Process},
        session::{self, End, Streams, Target},
    },
    flag::{self, Flag},
    print, terminal,
};

static FLAGS: &[Flag] = &flag::concat::<{ CREATE_FLAGS.len() }, 3, { CREATE_FLAGS.len() + 3 }>(
    CREATE_FLAGS,
    [
        Flag::bool("detach", "Run container in background and print container ID").short('d'),
        Flag::string("detach-keys", "Override the key sequence for detaching a container"),
        Flag::bool("sig-proxy", "Proxy received signals to the process").default("true"),
    ],
);

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("run", "[OPTIONS] IMAGE [COMMAND] [ARG...]", "Create and run a new container from an image")
        .aliases(&["container run", "run"])
        .args(Args::Min(1))
        .trailing()
        .flags(FLAGS)
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let mut request = options::create_request(m, &Process).map_err(|text| Error::WithHelp {
        text,
        command: "run",
        code: 125,
    })?;
    let config = &mut request.config;
    if m.bool("detach") {
        if m.changed("attach") {
            return Err(Error::message("conflicting options: cannot specify both --attach and --detach"));
        }
        (config.attach_stdin, config.attach_stdout, config.attach_stderr) = (false, false, false);
        config.stdin_once = false;
    } else {
        terminal::check_input(config.attach_stdin, config.tty)?;
    }
    let client = cli.client().map_err(failed)?;
    cli.block_on(run_container(cli, client, m, request))
}

async fn run_container(cli: &Cli, client: Client, m: &Matches, request: CreateRequest) -> Result<()> {
    let config = &request.config;
    let attach = AttachOptions {
        stdin: config.attach_stdin,
        stdout: config.attach_stdout,
        stderr: config.attach_stderr,
        logs: false,
        detach_keys: session::detach_keys(cli, m),
    };
    let tty = config.tty;
    let attached_to = attach.stdin || attach.stdout || attach.stderr;
    let create = create::create(cli, &client, m, request);
    let id = match attached_to {
        // The connections for what follows are made while the engine is busy.
        true => tokio::join!(create, client.prepare(), client.prepare()).0,
        false => create.await,
    };
    let id = id.map_err(failed)?;
    if !attached_to {
        // compat: the id is printed even if the container then does not start.
        print::line(&id);
        return start(&client, &id, m.bool("rm")).await;
    }
    let signals: std::pin::Pin<Box<dyn Future<Output = _>>> = match m.bool("sig-proxy") {
        true => Box::pin(session::forward_signals(client.clone(), id.clone())),
        false => Box::pin(future::pending()),
    };
    session::beside(attached(&client, &id, &attach, tty, m.bool("rm")), signals).await
}

/// Attaches, starts, and stays until the end.
async fn attached(client: &Client, id: &str, attach: &AttachOptions, tty: bool, remove: bool) -> Result<()> {
    let output = attach.stdout || attach.stderr;
    let condition = if remove { WaitCondition::Removed } else { WaitCondition::NextExit };
    // The engine must know of both before the container runs; one need not wait for the other.
    let (hijacked, wait) =
        tokio::join!(client.container_attach(id, attach), client.container_wait(id, condition));
    let (hijacked, wait) = (hijacked?, wait?);
    let streams = Streams { stdin: attach.stdin, output, tty, detach_keys: &attach.detach_keys };
    let size = (tty && output).then(|| session::follow_size(client, Target::Container(id)));
    let end =
        session::run_and_start(session::run(hijacked, &streams), start(client, id, remove), size).await?;
    if end == End::Detached || !output {
        return Ok(());
    }
    session::exit_with(exit_code(wait.outcome().await))
}

/// The exit code of a container that ran, or what Docker makes of not getting one.
pub(super) fn exit_code(outcome: wharf_client::Result<WaitResponse>) -> i64 {
    match outcome {
        Ok(WaitResponse { error: Some(error), .. }) if !error.message.is_empty() => {
            print::warn(&format!("Error waiting for container: {}", error.message));
            125
        }
        Ok(outcome) => outcome.status_code,
        Err(error) => {
            print::warn(&format!("error waiting for container: {error}"));
            125
        }
    }
}

/// Starts the container; one that cannot be started and removes itself is gone when this returns.
async fn start(client: &Client, id: &str, remove: bool) -> Result<()> {
    let Err(error) = client.container_start(id, None).await else { return Ok(()) };
    if remove && let Ok(wait) = client.container_wait(id, WaitCondition::Removed).await {
        // It may have been gone already, and the first error counts.
        let _ = wait.outcome().await;
    }
    Err(failed(error.into()))
}

/// What kept the container from running, with the exit status that says whose fault it is.
fn failed(error: Error) -> Error {
    let text = error.to_string();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let code = if says(&["executable file not found", "no such file or directory"]) {
        127
    } else if says(&["permission denied", "is a directory"]) {
        126
    } else {
        125
    };
    Error::WithHelp { text, command: "run", code }
}
