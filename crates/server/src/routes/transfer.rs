//! Images on their way: pull and import.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use wharf_api::auth::AuthConfig;
use wharf_engine::image::{Credentials, ImportRequest, ImportSource, PullRequest, repository_and_tag};

use super::{Call, images};
use crate::call::Result;
use crate::produce::progress;

/// `POST /images/create`: a pull with `fromImage`, otherwise an import.
pub(super) async fn create_image(call: Call) -> Result {
    if call.query.text("fromImage").is_empty() { import(call).await } else { pull(call).await }
}

async fn pull(call: Call) -> Result {
    let mut request = PullRequest::new(call.query.text("fromImage"), call.query.text("tag"))?;
    request.platform = images::platform(&call)?;
    request.credentials = credentials(&call);
    progress(move |report| Ok(call.engine.images.pull(&request, report)?)).await
}

async fn import(mut call: Call) -> Result {
    let request = ImportRequest {
        reference: repository_and_tag(call.query.text("repo"), call.query.text("tag"))?,
        message: call.query.text("message").to_owned(),
        changes: call.query.all("changes").map(str::to_owned).collect(),
        platform: images::platform(&call)?,
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
    let mut auth: AuthConfig = serde_json::from_slice(&document).ok()?;
    if auth.username.is_empty()
        && let Some(pair) = STANDARD.decode(&auth.auth).ok().and_then(|pair| String::from_utf8(pair).ok())
        && let Some((username, password)) = pair.split_once(':')
    {
        (auth.username, auth.password) = (username.to_owned(), password.to_owned());
    }
    let credentials = Credentials {
        username: auth.username,
        password: auth.password,
        identity_token: auth.identitytoken,
        registry_token: auth.registrytoken,
    };
    let parts = [&credentials.username, &credentials.identity_token, &credentials.registry_token];
    let empty = parts.iter().all(|part| part.is_empty());
    (!empty).then_some(credentials)
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
