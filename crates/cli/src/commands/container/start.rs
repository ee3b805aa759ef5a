//! `container start`.

use wharf_api::container::Inspect;
use wharf_client::{AttachOptions, Client, WaitCondition};

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    commands::container::{
        run,
        session::{self, End, Streams, Target},
    },
    flag::Flag,
    print,
};

static FLAGS: &[Flag] = &[
    Flag::bool("attach", "Attach STDOUT/STDERR and forward signals").short('a'),
    Flag::string("detach-keys", "Override the key sequence for detaching a container"),
    Flag::bool("interactive", "Attach container's STDIN").short('i'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("start", "[OPTIONS] CONTAINER [CONTAINER...]", "Start one or more stopped containers")
        .aliases(&["container start", "start"])
        .args(Args::Min(1))
        .flags(FLAGS)
        .run(run_start);

fn run_start(cli: &Cli, m: &Matches) -> Result<()> {
    let client = cli.client()?;
    if !m.bool("attach") && !m.bool("interactive") {
        return cli.block_on(start(&client, m.args()));
    }
    if m.args().len() > 1 {
        return Err(Error::message("you cannot start and attach multiple containers at once"));
    }
    cli.block_on(start_attached(cli, &client, m))
}

/// Starts each container; what fails is told at once, and all that failed at the end.
async fn start(client: &Client, names: &[String]) -> Result<()> {
    let mut failed = Vec::new();
    for name in names {
        match client.container_start(name, None).await {
            Ok(_) => print::line(name),
            Err(error) => {
                print::warn(&error.to_string());
                failed.push(name.as_str());
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Error::message(format!("Error: failed to start containers: {}", failed.join(", "))))
}

async fn start_attached(cli: &Cli, client: &Client, m: &Matches) -> Result<()> {
    let container: Inspect = client.container_inspect(m.arg(0), false).await?;
    let (id, tty) = (container.id.as_str(), container.config.tty);
    let signals: std::pin::Pin<Box<dyn Future<Output = _>>> = match tty {
        true => Box::pin(std::future::pending()),
        false => Box::pin(session::forward_signals(client.clone(), id.to_owned())),
    };
    session::beside(attached(cli, client, m, &container), signals).await
}

async fn attached(cli: &Cli, client: &Client, m: &Matches, container: &Inspect) -> Result<()> {
    let (id, tty) = (container.id.as_str(), container.config.tty);
    let attach = AttachOptions {
        stdin: m.bool("interactive") && container.config.open_stdin,
        stdout: true,
        stderr: true,
        logs: false,
        detach_keys: session::detach_keys(cli, m),
    };
    let remove = container.host_config.auto_remove;
    let condition = if remove { WaitCondition::Removed } else { WaitCondition::NextExit };
    let (hijacked, wait) =
        tokio::join!(client.container_attach(id, &attach), client.container_wait(id, condition));
    let (hijacked, wait) = (hijacked?, wait?);
    let streams = Streams { stdin: attach.stdin, output: true, tty, detach_keys: &attach.detach_keys };
    let size = tty.then(|| session::follow_size(client, Target::Container(id)));
    let start = async { Ok(client.container_start(id, None).await.map(drop)?) };
    match session::run_and_start(session::run(hijacked, &streams), start, size).await {
        Ok(End::Detached) => Ok(()),
        Ok(End::Closed) => session::exit_with(run::exit_code(wait.outcome().await)),
        Err(error) => {
            if remove {
                // Not before it is gone, and the first error counts.
                let _ = wait.outcome().await;
            }
            Err(error)
        }
    }
}
