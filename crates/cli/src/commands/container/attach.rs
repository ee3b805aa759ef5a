//! `container attach`.

use wharf_api::container::Inspect;
use wharf_client::{AttachOptions, Client, Wait, WaitCondition};

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    commands::container::{
        run,
        session::{self, Streams, Target},
    },
    flag::Flag,
    terminal,
};

static FLAGS: &[Flag] = &[
    Flag::string("detach-keys", "Override the key sequence for detaching a container"),
    Flag::bool("no-stdin", "Do not attach STDIN"),
    Flag::bool("sig-proxy", "Proxy all received signals to the process").default("true"),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "attach",
    "[OPTIONS] CONTAINER",
    "Attach local standard input, output, and error streams to a running container",
)
.aliases(&["container attach", "attach"])
.args(Args::Exact(1))
.flags(FLAGS)
.run(run_attach);

fn run_attach(cli: &Cli, m: &Matches) -> Result<()> {
    let client = cli.client()?;
    cli.block_on(attach(cli, &client, m))
}

async fn attach(cli: &Cli, client: &Client, m: &Matches) -> Result<()> {
    let name = m.arg(0);
    // The exit code must not get lost between the look at the container and the wait.
    let wait = client.container_wait(name, WaitCondition::NotRunning).await;
    let container = running(client, name).await?;
    let (id, tty) = (container.id.as_str(), container.config.tty);
    terminal::check_input(!m.bool("no-stdin"), tty)?;
    let signals: std::pin::Pin<Box<dyn Future<Output = _>>> = match m.bool("sig-proxy") && !tty {
        true => Box::pin(session::forward_signals(client.clone(), id.to_owned())),
        false => Box::pin(std::future::pending()),
    };
    session::beside(attached(cli, client, m, &container, wait?), signals).await
}

async fn attached(cli: &Cli, client: &Client, m: &Matches, container: &Inspect, wait: Wait) -> Result<()> {
    let (id, tty) = (container.id.as_str(), container.config.tty);
    let options = AttachOptions {
        stdin: !m.bool("no-stdin") && container.config.open_stdin,
        stdout: true,
        stderr: true,
        logs: false,
        detach_keys: session::detach_keys(cli, m),
    };
    let hijacked = client.container_attach(id, &options).await?;
    // A container that stopped meanwhile would leave the session open for ever.
    running(client, id).await?;
    let streams = Streams { stdin: options.stdin, output: true, tty, detach_keys: &options.detach_keys };
    let streaming = session::run(hijacked, &streams);
    let end = match tty {
        true => {
            let size = async {
                session::redraw(client, id).await;
                session::follow_size(client, Target::Container(id)).await
            };
            session::beside(streaming, size).await?
        }
        false => streaming.await?,
    };
    end.or_escape()?;
    session::exit_with(run::exit_code(wait.outcome().await))
}

/// The container, if it is in a state to attach to.
async fn running(client: &Client, name: &str) -> Result<Inspect> {
    let container: Inspect = client.container_inspect(name, false).await?;
    let state = &container.state;
    let obstacle = if !state.running {
        "stopped container, start it first"
    } else if state.paused {
        "paused container, unpause it first"
    } else if state.restarting {
        "restarting container, wait until it is running"
    } else {
        return Ok(container);
    };
    Err(Error::message(format!("You cannot attach to a {obstacle}")))
}
