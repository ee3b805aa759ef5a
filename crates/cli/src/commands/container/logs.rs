//! `container logs`.

use tokio::io::AsyncWriteExt;
use wharf_api::{container::Inspect, stream::StreamKind};
use wharf_client::{Demux, LogsOptions};

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    flag::Flag,
    print, time,
};

static FLAGS: &[Flag] = &[
    Flag::bool("details", "Show extra details provided to logs"),
    Flag::bool("follow", "Follow log output").short('f'),
    Flag::string(
        "since",
        "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)",
    ),
    Flag::string("tail", "Number of lines to show from the end of the logs").short('n').default("all"),
    Flag::bool("timestamps", "Show timestamps").short('t'),
    Flag::string(
        "until",
        "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)",
    ),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("logs", "[OPTIONS] CONTAINER", "Fetch the logs of a container")
        .aliases(&["container logs", "logs"])
        .args(Args::Exact(1))
        .flags(FLAGS)
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let moment = |name: &str| match m.str(name) {
        "" => Ok(String::new()),
        text => time::timestamp(text)
            .map_err(|why| Error::message(format!("invalid value for \"{name}\": {why}"))),
    };
    let options = LogsOptions {
        stdout: true,
        stderr: true,
        follow: m.bool("follow"),
        timestamps: m.bool("timestamps"),
        details: m.bool("details"),
        since: moment("since")?,
        until: moment("until")?,
        tail: m.str("tail").to_owned(),
    };
    let client = cli.client()?;
    cli.block_on(async {
        let container: Inspect = client.container_inspect(m.arg(0), false).await?;
        let tty = container.config.tty;
        let log = client.container_logs(&container.id, &options).await?;
        let mut pieces = Demux::new(log, !tty);
        while let Some((stream, bytes)) = pieces.next().await? {
            match stream {
                StreamKind::Stderr => tokio::io::stderr().write_all(&bytes).await?,
                _ => print::out_bytes(&bytes),
            }
        }
        Ok(())
    })
}
