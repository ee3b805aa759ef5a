//! `system logout`.

use crate::{
    Cli, Matches, Result,
    command::{Args, Command},
    print, registry_auth,
};

/// The definition.
pub(crate) const COMMAND: Command = Command::new("logout", "[SERVER]", "Log out from a registry")
    .long("Log out from a registry.\nIf no server is specified, the default is defined by the daemon.")
    .args(Args::Max(1))
    .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let server = registry_auth::server(m.arg(0));
    print::line(&format!("Removing login credentials for {server}"));
    if let Err(error) = registry_auth::erase(cli.config_dir(), server) {
        // compat: the command succeeds all the same.
        print::warn(&format!("WARNING: could not erase credentials:\n{server}: {error}"));
    }
    Ok(())
}
