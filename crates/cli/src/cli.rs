//! What every command gets: the program's name, the global options and the way to the daemon.

use std::{future::Future, path::PathBuf};

use wharf_client::Client;

use crate::{
    Error, Matches, Result, app, autostart,
    command::Command,
    config::ConfigFile,
    help::{self, Place},
    print,
};

/// The socket of a daemon that was started without `-H`.
pub(crate) use wharf_client::DEFAULT_SOCKET;

/// One run of the command line.
#[derive(Debug)]
pub(crate) struct Cli {
    program: String,
    config: PathBuf,
    context: Option<String>,
    host: Option<String>,
    debug: bool,
}

impl Cli {
    /// Takes the global options over.
    pub(crate) fn new(program: String, global: &Matches) -> Self {
        Self {
            program,
            config: global.opt("config").map_or_else(default_config, PathBuf::from),
            context: global.opt("context").map(str::to_owned),
            host: global.opt("host").map(str::to_owned),
            debug: global.bool("debug"),
        }
    }

    /// The name messages use: the base name of `argv[0]`.
    pub(crate) fn program(&self) -> &str {
        &self.program
    }

    /// The folder of the client's configuration: `--config`, `DOCKER_CONFIG` or `~/.docker`.
    pub(crate) fn config_dir(&self) -> &std::path::Path {
        &self.config
    }

    /// The client's configuration file.
    pub(crate) fn config(&self) -> ConfigFile {
        ConfigFile::load(&self.config)
    }

    /// The name of the context in use.
    pub(crate) fn context(&self) -> &str {
        self.context.as_deref().unwrap_or("default")
    }

    /// True with `--debug`.
    pub(crate) fn debug(&self) -> bool {
        self.debug
    }

    /// The address given with `-H`, if any.
    pub(crate) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Starts a daemon where none answers and none was asked for by address.
    ///
    /// # Errors
    /// The daemon was started and did not come up.
    pub(crate) fn ensure_daemon(&self) -> Result<()> {
        let elsewhere = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if self.host.is_none()
            && self.context() == "default"
            && !elsewhere("DOCKER_HOST")
            && !elsewhere("DOCKER_CONTEXT")
        {
            autostart::ensure(std::path::Path::new(DEFAULT_SOCKET))?;
        }
        Ok(())
    }

    /// A client of the engine the options name; starts one where none was named and none answers.
    ///
    /// # Errors
    /// The address is malformed or the daemon does not start.
    pub(crate) fn client(&self) -> Result<Client> {
        let host = self.host();
        self.check_context(host)?;
        let client = Client::from_env(host)
            .map_err(|error| Error::message(format!("Failed to initialize: {error}")))?;
        self.ensure_daemon()?;
        Ok(client)
    }

    /// A context other than the default one names an engine that this version cannot find.
    fn check_context(&self, host: Option<&str>) -> Result<()> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let named = match &self.context {
            Some(name) => Some(name.clone()),
            None if host.is_some() || variable("DOCKER_HOST").is_some() => None,
            None => variable("DOCKER_CONTEXT"),
        };
        match named {
            Some(name) if name != "default" => Err(Error::message(format!(
                "context \"{name}\": contexts are not supported by this version, use -H or DOCKER_HOST"
            ))),
            _ => Ok(()),
        }
    }

    /// Calls `work` for each name in turn; what it returns is printed, what fails is reported at the end.
    ///
    /// # Errors
    /// What failed, one message per line.
    pub(crate) fn each<F: Future<Output = Result<String>>>(
        &self,
        names: &[String],
        work: impl Fn(Client, String) -> F,
    ) -> Result<()> {
        let client = self.client()?;
        self.block_on(async {
            let mut errors = Vec::new();
            for name in names {
                match work(client.clone(), name.clone()).await {
                    Ok(text) => print::line(&text),
                    Err(error) => errors.push(error),
                }
            }
            Error::join(errors)
        })
    }

    /// Runs asynchronous work on this thread to its end.
    ///
    /// # Errors
    /// What the work ended with.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
    }

    /// `help [command]`.
    ///
    /// # Errors
    /// No command has that name.
    pub(crate) fn help_for(&self, names: &[String]) -> Result<()> {
        let (mut parents, mut found): (String, Option<&'static Command>) = (self.program.clone(), None);
        for name in names {
            let next = match found {
                None => app::COMMANDS.iter().find(|c| c.name == name),
                Some(command) => {
                    parents = format!("{parents} {}", command.name);
                    command.find(name)
                }
            };
            let unknown = || Error::message(format!("unknown help topic: {}", names.join(" ")));
            found = Some(next.ok_or_else(unknown)?);
        }
        print::out(&match found {
            None => help::root(&self.program, &self.config, help::width()),
            Some(command) => {
                help::command(&Place { parents: &parents, command }, &self.program, help::width())
            }
        });
        Ok(())
    }
}

/// `DOCKER_CONFIG` or `~/.docker`.
pub(crate) fn default_config() -> PathBuf {
    if let Some(dir) = std::env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty()) {
        return PathBuf::from(dir);
    }
    PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".docker")
}
