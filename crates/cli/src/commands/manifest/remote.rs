//! What the commands want of registries.

use bytes::Bytes;
use wharf_oci::{
    Digest, Platform, Reference,
    image::{Document, Index, Manifest},
};
use wharf_registry::{
    Client, ClientConfig, Credentials, Error as RegistryError, Fetched, Repository, upload::Started,
};

use super::entry::Entry;
use crate::{Cli, Error, Result, registry_auth};

/// What a name stands for in a registry.
pub(super) enum Found {
    Manifest(Box<Entry>),
    List(Vec<Entry>),
}

/// Fetches what `reference` names.
///
/// # Errors
/// The registry does not answer, or has no such manifest.
pub(super) async fn fetch(cli: &Cli, reference: &Reference, insecure: bool) -> Result<Found> {
    let repository = match connect(cli, reference, insecure, false).await {
        Ok(repository) => repository,
        // A registry without TLS is none as long as nobody says that it may be.
        Err(error) if error.is_plain_http() => return Err(unknown(reference)),
        Err(error) => return Err(no_transport(&error)),
    };
    look(&repository, reference).await.map_err(|error| match &error {
        _ if is_unknown(&error) => unknown(reference),
        _ => Error::message(error.to_string()),
    })
}

/// As [`fetch`], where only a single manifest will do.
///
/// # Errors
/// As [`fetch`], or it is a list.
pub(super) async fn manifest(cli: &Cli, reference: &Reference, insecure: bool) -> Result<Entry> {
    match fetch(cli, reference, insecure).await? {
        Found::Manifest(entry) => Ok(*entry),
        Found::List(_) => Err(Error::message(format!("{reference} is a manifest list"))),
    }
}

/// The repository of `target`, to be written to.
///
/// # Errors
/// The registry does not answer.
pub(super) async fn writable(cli: &Cli, target: &Reference, insecure: bool) -> Result<Repository> {
    connect(cli, target, insecure, true).await.map_err(|error| no_transport(&error))
}

/// Makes a manifest of another repository of the same registry known in that of `target`, with all it refers to.
///
/// # Errors
/// The registry does not mount a blob, or refuses the manifest.
pub(super) async fn adopt(repository: &Repository, target: &Reference, entry: &Entry) -> Result<Digest> {
    let Document::Manifest(manifest) = Document::parse(None, &entry.body).map_err(message)? else {
        return Err(Error::message(format!("{} is a manifest list", entry.reference)));
    };
    let Manifest { config, layers, .. } = *manifest;
    for blob in std::iter::once(&config).chain(&layers) {
        let (to, from) = (target, entry.reference.path());
        let source = format!("{}@{}", entry.reference.name(), blob.digest);
        let started = repository.start_upload(Some((&blob.digest, from))).await;
        match started
            .map_err(|error| Error::message(format!("failed to mount blob {source} to {to}: {error}")))?
        {
            Started::Mounted => {}
            Started::Session(session) => {
                repository.cancel_upload(session).await;
                return Err(Error::message(format!("error mounting {source} to {to}")));
            }
        }
    }
    let digest = entry.descriptor.digest.as_str();
    put(repository, target, digest, &entry.descriptor.media_type, &entry.body).await
}

/// Puts a manifest or list under a tag or digest; returns its digest.
///
/// # Errors
/// The registry refuses it.
pub(super) async fn put(
    repository: &Repository,
    target: &Reference,
    name: &str,
    media_type: &str,
    body: &[u8],
) -> Result<Digest> {
    let put = repository.put_manifest(name, media_type, Bytes::copy_from_slice(body)).await;
    put.map_err(|error| Error::message(format!("failed to put manifest {target}: {error}")))
}

async fn connect(
    cli: &Cli,
    reference: &Reference,
    insecure: bool,
    write: bool,
) -> std::result::Result<Repository, RegistryError> {
    let domain = reference.domain();
    let credentials = registry_auth::known(&cli.config(), domain).map(|auth| Credentials {
        username: auth.username,
        password: auth.password,
        identity_token: auth.identitytoken,
        registry_token: auth.registrytoken,
    });
    let insecure = if insecure { vec![domain.to_owned()] } else { Vec::new() };
    let client = Client::new(ClientConfig { insecure, ..ClientConfig::default() });
    client.direct(reference, credentials.as_ref(), write).await
}

/// Fetches a manifest with its platform, or a list with all its manifests.
async fn look(repository: &Repository, reference: &Reference) -> std::result::Result<Found, RegistryError> {
    // compat: of a tag and a digest the tag is asked for, and has to have the digest.
    let asked = if reference.tag().is_some() { &reference.clone().without_digest() } else { reference };
    let fetched = repository.fetch(asked, &|_| None).await?;
    if let Some(digest) = reference.digest().filter(|digest| **digest != fetched.descriptor.digest) {
        return Err(RegistryError::ManifestDigest(digest.clone()));
    }
    match &fetched.document {
        Document::Manifest(_) => {
            entry(repository, reference, fetched).await.map(|entry| Found::Manifest(entry.into()))
        }
        Document::Index(index) => members(repository, reference, index).await.map(Found::List),
    }
}

async fn members(
    repository: &Repository,
    reference: &Reference,
    index: &Index,
) -> std::result::Result<Vec<Entry>, RegistryError> {
    let mut entries = Vec::new();
    for member in &index.manifests {
        let reference = reference.clone().with_digest(member.digest.clone());
        let fetched = repository.by_digest(&member.digest, &|_| None).await?;
        let mut entry = entry(repository, &reference, fetched).await?;
        // What the list says counts, not what the configuration says.
        entry.descriptor.platform = Some(member.platform.clone().unwrap_or_default());
        entries.push(entry);
    }
    Ok(entries)
}

async fn entry(
    repository: &Repository,
    reference: &Reference,
    fetched: Fetched,
) -> std::result::Result<Entry, RegistryError> {
    let Document::Manifest(manifest) = &fetched.document else {
        return Err(RegistryError::MediaType(fetched.descriptor.media_type));
    };
    let config = repository.small_blob(&manifest.config).await?;
    let platform: Platform = serde_json::from_slice(&config).map_err(RegistryError::Manifest)?;
    let mut descriptor = fetched.descriptor;
    descriptor.platform = Some(platform);
    Ok(Entry { reference: reference.clone(), descriptor, body: fetched.body.to_vec() })
}

/// Whether Docker takes an answer for "there is none".
fn is_unknown(error: &RegistryError) -> bool {
    match error.item() {
        Some(item) => matches!(item.code.as_str(), "UNAUTHORIZED" | "MANIFEST_UNKNOWN" | "NAME_UNKNOWN"),
        None => matches!(error, RegistryError::Body { .. }),
    }
}

fn unknown(reference: &Reference) -> Error {
    Error::message(format!("no such manifest: {reference}"))
}

fn no_transport(error: &RegistryError) -> Error {
    Error::message(format!("failed to configure transport: error pinging v2 registry: {error}"))
}

fn message(error: impl std::error::Error) -> Error {
    Error::message(error.to_string())
}
