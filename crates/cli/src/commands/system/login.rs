//! `system login`.

use std::io::{BufRead, Read};

use rustix::termios::{LocalModes, OptionalActions};
use wharf_api::auth::AuthConfig;

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    flag::Flag,
    print, registry_auth,
};

static FLAGS: &[Flag] = &[
    Flag::string("password", "Password or Personal Access Token (PAT)").short('p'),
    Flag::bool("password-stdin", "Take the Password or Personal Access Token (PAT) from stdin"),
    Flag::string("username", "Username").short('u'),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("login", "[OPTIONS] [SERVER]", "Authenticate to a registry")
    .long("Authenticate to a registry.\nDefaults to Docker Hub if no server is specified.")
    .args(Args::Max(1))
    .flags(FLAGS)
    .run(run);

const HUB_GREETING: &str = "Log in with your Docker ID or email address to push and pull images from Docker Hub. If you \
     don't have a Docker ID, head over to https://hub.docker.com/ to create one.\nYou can log in with your password or a \
     Personal Access Token (PAT). Using a limited-scope PAT grants better security and is required for organizations using \
     SSO. Learn more at https://docs.docker.com/go/access-tokens/\n";

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    for name in ["username", "password"] {
        if m.changed(name) && m.str(name).is_empty() {
            return Err(Error::message(format!("{name} is empty")));
        }
    }
    let (mut user, mut password) = (m.str("username").to_owned(), m.str("password").to_owned());
    if !password.is_empty() {
        if m.bool("password-stdin") {
            return Err(Error::message(
                "conflicting options: cannot specify both --password and --password-stdin",
            ));
        }
        print::warn("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    }
    if m.bool("password-stdin") {
        if user.is_empty() {
            return Err(Error::message("the --password-stdin option requires --username to be set"));
        }
        std::io::stdin().read_to_string(&mut password)?;
        password = password.trim_end_matches(['\r', '\n']).to_owned();
    }
    let server = registry_auth::server(m.arg(0)).to_owned();
    if user.is_empty() && password.is_empty() {
        // A helper that fails knows nothing, as for Docker.
        let known = registry_auth::find(&cli.config(), &server).ok().flatten();
        if let Some(known) = known.filter(|known| !known.username.is_empty() && !known.password.is_empty()) {
            print::warn(&format!(
                "Authenticating with existing credentials... [Username: {}]",
                known.username
            ));
            print::note_err(
                "To login with a different account, run 'docker logout' followed by 'docker login'",
            );
            print::err("\n\n");
            match attempt(cli, known) {
                Ok(()) => return Ok(()),
                Err(error) => print::warn(&format!("Login did not succeed, error: {error}")),
            }
        }
    }
    if user.is_empty() || password.is_empty() {
        if !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
            return Err(Error::message("Error: Cannot perform an interactive login from a non TTY device"));
        }
        if server == registry_auth::HUB {
            print::line(HUB_GREETING);
        }
        (user, password) = ask(user)?;
    }
    attempt(cli, AuthConfig { username: user, password, serveraddress: server, ..AuthConfig::default() })
}

/// Logs in and remembers the credentials.
fn attempt(cli: &Cli, auth: AuthConfig) -> Result<()> {
    let client = cli.client()?;
    let answer = cli.block_on(async { Ok(client.auth(&auth).await?) })?;
    let auth = match answer.identity_token.as_str() {
        "" => auth,
        token => AuthConfig { password: String::new(), identitytoken: token.to_owned(), ..auth },
    };
    registry_auth::store(cli.config_dir(), &auth)
        .map_err(|error| Error::message(format!("Error saving credentials: {error}")))?;
    print::line(if answer.status.is_empty() { "Login Succeeded" } else { &answer.status });
    Ok(())
}

/// Asks for what is missing; the password is not shown.
fn ask(user: String) -> Result<(String, String)> {
    let mut user = user;
    if user.is_empty() {
        print::out("Username: ");
        std::io::stdin().lock().read_line(&mut user)?;
    }
    let user = user.trim().to_owned();
    if user.is_empty() {
        return Err(Error::message("username is required"));
    }
    print::out("Password: ");
    let password = read_hidden()?;
    print::line("");
    if password.is_empty() {
        return Err(Error::message("password is required"));
    }
    Ok((user, password))
}

fn read_hidden() -> Result<String> {
    let stdin = std::io::stdin();
    let before = rustix::termios::tcgetattr(&stdin).map_err(std::io::Error::from)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    rustix::termios::tcsetattr(&stdin, OptionalActions::Now, &silent).map_err(std::io::Error::from)?;
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    rustix::termios::tcsetattr(&stdin, OptionalActions::Now, &before).map_err(std::io::Error::from)?;
    read?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
