//! `container wait`.

use wharf_client::WaitCondition;

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
};

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "wait",
    "CONTAINER [CONTAINER...]",
    "Block until one or more containers stop, then print their exit codes",
)
.aliases(&["container wait", "wait"])
.args(Args::Min(1))
.run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    cli.each(m.args(), |client, name| async move {
        let wait = client.container_wait(&name, WaitCondition::NotRunning).await?;
        let answer = wait.outcome().await?;
        match answer.error {
            Some(error) if !error.message.is_empty() => Err(Error::message(error.message)),
            _ => Ok(answer.status_code.to_string()),
        }
    })
}
