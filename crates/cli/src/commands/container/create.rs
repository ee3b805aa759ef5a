//! `container create`, and the creation of a container for `run`.

use std::{
    fs::File,
    io::{ErrorKind, Write},
    net::IpAddr,
};

use wharf_api::container::{CreateRequest, HostConfig};
use wharf_client::Client;
use wharf_oci::{AnyReference, Platform};

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    commands::{
        container::options::{self, Process},
        image::pull::{self, Shown},
    },
    error::go_os_error,
    print, terminal,
};

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("create", "[OPTIONS] IMAGE [COMMAND] [ARG...]", "Create a new container")
        .aliases(&["container create", "create"])
        .args(Args::Min(1))
        .trailing()
        .flags(options::CREATE)
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let request = options::create_request(m, &Process).map_err(|text| Error::WithHelp {
        text,
        command: "create",
        code: 125,
    })?;
    let client = cli.client()?;
    let id = cli.block_on(create(cli, &client, m, request))?;
    print::line(&id);
    Ok(())
}

/// Creates a container, pulls its image first where that is due, and returns its id.
///
/// # Errors
/// Bad names of images and platforms, an id file that is in the way, and what the engine refuses.
pub(super) async fn create(
    cli: &Cli,
    client: &Client,
    m: &Matches,
    mut request: CreateRequest,
) -> Result<String> {
    let proxies = options::proxies(&cli.config(), &client.host().to_string(), &m.list("env"));
    if !proxies.is_empty() {
        request.config.env.get_or_insert_default().extend(proxies);
    }
    let host_config = request.host_config.get_or_insert_default();
    warn_of_local_dns(host_config);
    let id_file = IdFile::create(&host_config.container_id_file)?;
    let reference = AnyReference::parse(&request.config.image).map_err(|e| Error::message(e.to_string()))?;
    let named = match reference {
        AnyReference::Named(named) => Some(named.with_default_tag()),
        _ => None,
    };
    let platform = platform(m.str("platform"))?;
    if let Some((height, width)) = terminal::size() {
        host_config.console_size = [height.into(), width.into()];
    }
    let shown = if m.bool("quiet") { Shown::Nothing } else { Shown::Stderr };
    let pull = async || match &named {
        Some(named) => pull::pull(cli, client, named, &platform, shown).await,
        // An image that is named by its id alone cannot be pulled.
        None => Ok(()),
    };
    if m.str("pull") == "always" {
        pull().await?;
    }
    let name = Some(m.str("name"));
    let create = || client.container_create(name, Some(&platform), &request);
    let created = match (create().await, &named) {
        (Err(error), Some(named)) if error.is_not_found() && m.str("pull") == "missing" => {
            if !m.bool("quiet") {
                print::warn(&format!("Unable to find image '{}' locally", named.familiar()));
            }
            pull().await?;
            create().await?
        }
        (created, _) => created?,
    };
    for warning in created.warnings {
        print::warn(&format!("WARNING: {warning}"));
    }
    id_file.write(&created.id)?;
    Ok(created.id)
}

/// The platform in the form the engine takes.
fn platform(text: &str) -> Result<String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let platform = Platform::parse(text)
        .map_err(|error| Error::message(format!("error parsing specified platform: {error}")))?;
    // The engine has no use for the version of a system.
    Ok(Platform { os_version: String::new(), os_features: Vec::new(), ..platform }.to_string())
}

/// A resolver on the client's own loopback is not the one in the container.
fn warn_of_local_dns(host_config: &HostConfig) {
    let local = |dns: &&String| dns.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if let Some(dns) = host_config.dns.iter().flatten().find(local) {
        print::warn(&format!("WARNING: Localhost DNS ({dns}) may fail in containers."));
    }
}

/// The file that gets the id of the container. It goes again if there is none.
struct IdFile {
    path: String,
    file: Option<File>,
}

impl IdFile {
    fn create(path: &str) -> Result<Self> {
        if path.is_empty() {
            return Ok(Self { path: String::new(), file: None });
        }
        match File::create_new(path) {
            Ok(file) => Ok(Self { path: path.to_owned(), file: Some(file) }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(Error::message(format!(
                "container ID file found, make sure the other container isn't running or delete {path}"
            ))),
            Err(error) => Err(Error::message(format!(
                "failed to create the container ID file: open {path}: {}",
                go_os_error(&error)
            ))),
        }
    }

    fn write(mut self, id: &str) -> Result<()> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        file.write_all(id.as_bytes()).map_err(|error| {
            let why = go_os_error(&error);
            Error::message(format!(
                "failed to write the container ID to the file: write {}: {why}",
                self.path
            ))
        })
    }
}

impl Drop for IdFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            // The error that brought us here says more than this one could.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn platforms_go_to_the_engine_in_full() {
        for (text, sent) in [
            ("", ""),
            ("amd64", "linux/amd64"),
            ("LINUX/x86_64", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64/v8"),
            ("linux/arm", "linux/arm"),
            ("armhf", "linux/arm"),
            ("linux(5.4)/amd64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
        ] {
            assert_eq!(platform(text).unwrap(), sent, "{text}");
        }
        assert_eq!(
            platform("bogus").unwrap_err().to_string(),
            "error parsing specified platform: \"bogus\": unknown operating system or architecture: invalid argument"
        );
    }

    #[test]
    fn the_id_file_stays_only_with_an_id_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("id").to_string_lossy().into_owned();
        drop(IdFile::create(&path).unwrap());
        assert!(!std::path::Path::new(&path).exists());
        IdFile::create(&path).unwrap().write("abc").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "abc");
        let text = IdFile::create(&path).err().unwrap().to_string();
        assert!(
            text.starts_with(
                "container ID file found, make sure the other container isn't running or delete"
            )
        );
    }
}
