//! `container exec`.

use std::time::Duration;

use serde::de::IgnoredAny;
use wharf_api::{
    StrSlice,
    exec::{CreateRequest, Inspect, StartRequest},
};
use wharf_client::Client;

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    commands::container::{
        options::{self, Process},
        session::{self, Streams, Target},
    },
    flag::Flag,
    terminal,
};

static FLAGS: &[Flag] = &[
    Flag::bool("detach", "Detached mode: run command in the background").short('d'),
    Flag::string("detach-keys", "Override the key sequence for detaching a container"),
    Flag::list("env", "Set environment variables").short('e').check(options::env),
    Flag::list("env-file", "Read in a file of environment variables"),
    Flag::bool("interactive", "Keep STDIN open even if not attached").short('i'),
    Flag::bool("privileged", "Give extended privileges to the command"),
    Flag::bool("tty", "Allocate a pseudo-TTY").short('t'),
    Flag::string("user", "Username or UID (format: \"<name|uid>[:<group|gid>]\")").short('u'),
    Flag::string("workdir", "Working directory inside the container").short('w'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("exec", "[OPTIONS] CONTAINER COMMAND [ARG...]", "Execute a command in a running container")
        .aliases(&["container exec", "exec"])
        .args(Args::Min(2))
        .trailing()
        .flags(FLAGS)
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let request = exec_request(cli, m)?;
    let client = cli.client()?;
    cli.block_on(exec(&client, m, request))
}

fn exec_request(cli: &Cli, m: &Matches) -> Result<CreateRequest> {
    let env = options::variables(&Process, &m.list("env-file"), &m.list("env")).map_err(Error::message)?;
    let attached = !m.bool("detach");
    Ok(CreateRequest {
        user: m.str("user").to_owned(),
        privileged: m.bool("privileged"),
        tty: m.bool("tty"),
        attach_stdin: attached && m.bool("interactive"),
        attach_stdout: attached,
        attach_stderr: attached,
        detach_keys: session::detach_keys(cli, m),
        env: (!env.is_empty()).then_some(env),
        working_dir: m.str("workdir").to_owned(),
        cmd: Some(StrSlice(m.args()[1..].to_vec())),
        ..CreateRequest::default()
    })
}

async fn exec(client: &Client, m: &Matches, mut request: CreateRequest) -> Result<()> {
    let container = m.arg(0);
    if request.attach_stdout
        && let Err(error) = terminal::check_input(request.attach_stdin, request.tty)
    {
        // A container that is missing is the more important news.
        client.container_inspect::<IgnoredAny>(container, false).await?;
        return Err(error);
    }
    if request.tty {
        let (height, width) = terminal::size().unwrap_or_default();
        request.console_size = Some([height.into(), width.into()]);
    }
    let id = client.exec_create(container, &request).await?;
    let start =
        StartRequest { detach: m.bool("detach"), tty: request.tty, console_size: request.console_size };
    if start.detach {
        return Ok(client.exec_start_detached(&id, &start).await?);
    }
    let hijacked = client.exec_start(&id, &start).await?;
    let streams = Streams {
        stdin: request.attach_stdin,
        output: true,
        tty: request.tty,
        detach_keys: &request.detach_keys,
    };
    let streaming = session::run(hijacked, &streams);
    let end = match request.tty {
        true => session::beside(streaming, session::follow_size(client, Target::Exec(&id))).await?,
        false => streaming.await?,
    };
    end.or_escape()?;
    session::exit_with(exit_code(client, &id).await?)
}

/// The exit code; the process may outlive its output for a moment.
async fn exit_code(client: &Client, id: &str) -> Result<i64> {
    for wait in [1, 2, 4, 8, 16, 32, 64] {
        let session: Inspect = client.exec_inspect(id).await?;
        if let Some(code) = session.exit_code {
            return Ok(code);
        }
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    // It went on without its streams, so there is nothing more to wait for.
    Ok(0)
}
