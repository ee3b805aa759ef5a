//! Archives and images on their way: pull, import, save, export; and what registries are asked.

use std::io::{BufWriter, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use wharf_api::auth::{AuthConfig, AuthResponse};
use wharf_api::progress::Progress;
use wharf_engine::image::{
    Cancel, Credentials, ImportRequest, ImportSource, PullRequest, PushRequest, repository_and_tag,
};
use wharf_oci::{AnyReference, Reference};

use super::{Call, platform};
use crate::call::Result;
use crate::failure::Failure;
use crate::produce::{self, blocking, progress};
use crate::reply;

/// `Content-Type` of archives.
pub(super) const TAR: &str = "application/x-tar";

/// Bytes of an archive that are sent at once.
pub(super) const PIECE: usize = 64 * 1024;

/// `POST /images/create`: a pull with `fromImage`, otherwise an import.
pub(super) async fn create_image(call: Call) -> Result {
    if call.query.text("fromImage").is_empty() { import(call).await } else { pull(call).await }
}

async fn pull(call: Call) -> Result {
    let mut request = PullRequest::new(call.query.text("fromImage"), call.query.text("tag"))?;
    let (wanted, cancel) = Cancel::pair();
    request.cancel = cancel;
    request.platform = platform::text(&call, 32)?;
    request.credentials = credentials(&call);
    // A client that is gone wants no image.
    produce::progress_until_gone(wanted, move |report| Ok(call.engine.images.pull(&request, report)?)).await
}

/// `POST /images/{name}/push`.
pub(super) async fn push(call: Call) -> Result {
    let mut reference = Reference::parse(&call.name).map_err(|error| Failure::invalid(error.to_string()))?;
    let tag = call.query.text("tag");
    if !tag.is_empty() {
        reference = reference.with_tag(tag).map_err(|error| Failure::invalid(error.to_string()))?;
    }
    let (platform, credentials) = (platform::document(&call, 46)?, credentials(&call));
    let (wanted, cancel) = Cancel::pair();
    let request = PushRequest { reference, platform, credentials, cancel };
    produce::progress_until_gone(wanted, move |report| Ok(call.engine.images.push(&request, report)?)).await
}

async fn import(mut call: Call) -> Result {
    let request = ImportRequest {
        reference: repository_and_tag(call.query.text("repo"), call.query.text("tag"))?,
        message: call.query.text("message").to_owned(),
        changes: call.query.all("changes").map(str::to_owned).collect(),
        platform: platform::text(&call, 32)?,
    };
    let mut body = call.reader();
    progress(move |report| {
        let source = match call.query.text("fromSrc") {
            "-" => ImportSource::Stream(&mut body),
            url => ImportSource::Url(url.to_owned()),
        };
        Ok(call.engine.images.import(&request, source, report)?)
    })
    .await
}

/// `POST /images/load`.
pub(super) async fn load(mut call: Call) -> Result {
    let (platform, quiet) = (platform::single_document(&call, 48)?, call.query.flag_or("quiet", true));
    let mut body = call.reader();
    progress(move |report| {
        if let Err(error) = call.engine.images.load(&mut body, platform.as_ref(), quiet, report) {
            // compat: the answer is a success that tells of the failure, even when nothing came before it.
            report(Progress::error(error.to_string()));
        }
        Ok(())
    })
    .await
}

/// `GET /images/get` and `GET /images/{name}/get`.
pub(super) async fn save(call: Call) -> Result {
    let mut names: Vec<String> = call.query.all("names").map(str::to_owned).collect();
    let platform = platform::single_document(&call, 48)?;
    names.extend(Some(call.name).filter(|name| !name.is_empty()));
    let engine = call.engine;
    produce::bytes(TAR, move |sink| {
        let mut buffered = BufWriter::with_capacity(PIECE, sink);
        engine.images.save(&names, platform.as_ref(), &mut buffered)?;
        buffered.flush().map_err(|error| Failure::system(error.to_string()))
    })
    .await
}

/// `GET /containers/{name}/export`.
pub(super) async fn export(call: Call) -> Result {
    produce::bytes("application/octet-stream", move |sink| {
        let mut buffered = BufWriter::with_capacity(PIECE, sink);
        call.engine.export_container(&call.name, &mut buffered)?;
        buffered.flush().map_err(|error| Failure::system(error.to_string()))
    })
    .await
}

/// `POST /auth`.
pub(super) async fn login(mut call: Call) -> Result {
    let auth: AuthConfig = call.json().await?;
    let address = auth.serveraddress.clone();
    let credentials = from_auth(auth);
    let identity_token = blocking(move || call.engine.images.login(&address, &credentials)).await?;
    let status = "Login Succeeded".to_owned();
    Ok(reply::json(&AuthResponse { identity_token: identity_token.unwrap_or_default(), status }))
}

/// `GET /images/search`.
pub(super) async fn search(call: Call) -> Result {
    let limit = match call.query.text("limit") {
        "" => 0,
        text => text.parse().map_err(|_| {
            let reason = format!("strconv.Atoi: parsing {text:?}: invalid syntax");
            Failure::invalid(format!("invalid limit specified: {reason}"))
        })?,
    };
    let (filters, credentials) = (call.filters()?, credentials(&call));
    let found = blocking(move || {
        let term = call.query.text("term");
        call.engine.images.search(term, limit, &filters, credentials.as_ref())
    });
    Ok(reply::json(&found.await?))
}

/// `GET /distribution/{name}/json`.
pub(super) async fn distribution(call: Call) -> Result {
    let named = AnyReference::parse(&call.name).map_err(|error| Failure::invalid(error.to_string()))?;
    let AnyReference::Named(reference) = named else {
        return Err(Failure::system("no manifest found for full image ID"));
    };
    let (reference, credentials) = (reference.with_default_tag(), credentials(&call));
    let found = blocking(move || call.engine.images.distribution(&reference, credentials.as_ref()));
    Ok(reply::json(&found.await?))
}

/// The credentials of the `X-Registry-Auth` header: base64 of a document, in either alphabet, padded or not. One that
/// cannot be read counts as none, as the reference has it.
fn credentials(call: &Call) -> Option<Credentials> {
    credentials_of(call.header("x-registry-auth")?)
}

fn credentials_of(header: &str) -> Option<Credentials> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = header.replace('+', "-").replace('/', "_");
    let document = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT).decode(text).ok()?;
    let credentials = from_auth(serde_json::from_slice(&document).ok()?);
    let parts = [&credentials.username, &credentials.identity_token, &credentials.registry_token];
    let empty = parts.iter().all(|part| part.is_empty());
    (!empty).then_some(credentials)
}

pub(super) fn from_auth(auth: AuthConfig) -> Credentials {
    let pair =
        STANDARD.decode(&auth.auth).ok().and_then(|pair| String::from_utf8(pair).ok()).unwrap_or_default();
    let (username, password) = match pair.split_once(':') {
        Some((username, password)) if auth.username.is_empty() => (username.to_owned(), password.to_owned()),
        _ => (auth.username, auth.password),
    };
    Credentials { username, password, identity_token: auth.identitytoken, registry_token: auth.registrytoken }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE;

    use super::*;

    #[test]
    fn registry_credentials() {
        let read = |document: &str| {
            let padded = URL_SAFE.encode(document);
            let plain = STANDARD.encode(document);
            let found = credentials_of(&padded).map(|found| format!("{} {}", found.username, found.password));
            for form in [padded.trim_end_matches('=').to_owned(), plain] {
                let other =
                    credentials_of(&form).map(|found| format!("{} {}", found.username, found.password));
                assert_eq!(found, other, "{form}");
            }
            found
        };
        assert_eq!(read(r#"{"username":"u","password":"p?>~"}"#), Some("u p?>~".to_owned()));
        assert_eq!(read(r#"{"auth":"dTpw"}"#), Some("u p".to_owned()));
        assert_eq!(read(r#"{"identitytoken":"t"}"#), Some(" ".to_owned()));
        assert_eq!(read("{}"), None);
        assert!(credentials_of("!").is_none() && credentials_of("").is_none());
    }
}
