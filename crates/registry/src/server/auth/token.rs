//! Bearer tokens: <https://distribution.github.io/distribution/spec/auth/token/>.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::jwt::{Claims, Trust};
use super::keys::{self, Key};
use super::{AuthError, Need, quoted, unauthorized};
use crate::server::config::TokenAuth;
use crate::server::failure::Failure;

pub(crate) struct Tokens {
    realm: String,
    service: String,
    trust: Trust,
}

impl Tokens {
    pub(super) fn new(config: &TokenAuth) -> Result<Self, AuthError> {
        let (mut keys, mut anchors) = (Vec::new(), Vec::new());
        if let Some(path) = &config.roots {
            let wrong = |reason: String| AuthError::Content { path: path.clone(), reason };
            for certificate in CertificateDer::pem_slice_iter(read(path)?.as_bytes()) {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                keys.extend(Key::of_certificate(&certificate));
                if let Ok(anchor) = webpki::anchor_from_trusted_cert(&certificate) {
                    anchors.push(anchor.to_owned());
                }
            }
        }
        if let Some(path) = &config.jwks {
            let wrong = |reason: String| AuthError::Content { path: path.clone(), reason };
            keys.extend(keys::of_jwks(&read(path)?).map_err(|error| wrong(error.to_string()))?);
        }
        if keys.is_empty() && anchors.is_empty() {
            let path = config.roots.as_ref().or(config.jwks.as_ref()).cloned().unwrap_or_default();
            return Err(AuthError::Content { path, reason: "has no key that signs tokens".to_owned() });
        }
        let trust = Trust { issuer: config.issuer.clone(), service: config.service.clone(), keys, anchors };
        Ok(Self { realm: config.realm.clone(), service: config.service.clone(), trust })
    }

    pub(super) fn check(&self, authorization: Option<&str>, needs: &[Need<'_>]) -> Result<(), Failure> {
        let token = authorization.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let Some(token) = token else { return Err(self.challenge(needs, None)) };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = self.trust.verify(token, now).map_err(|reason| {
            tracing::debug!(reason, "a token is refused");
            self.challenge(needs, Some("invalid_token"))
        })?;
        if needs.iter().all(|need| grants(&claims, need)) {
            return Ok(());
        }
        Err(self.challenge(needs, Some("insufficient_scope")))
    }

    /// 401 that says where to get the token that is needed.
    fn challenge(&self, needs: &[Need<'_>], error: Option<&str>) -> Failure {
        let mut text = format!("Bearer realm={},service={}", quoted(&self.realm), quoted(&self.service));
        if let Some(first) = needs.first() {
            let kind = first.name.map_or("registry:catalog".to_owned(), |name| format!("repository:{name}"));
            let actions: Vec<_> = needs.iter().map(|need| need.action.as_str()).collect();
            text += &format!(",scope=\"{kind}:{}\"", actions.join(","));
        }
        if let Some(error) = error {
            text += &format!(",error={}", quoted(error));
        }
        unauthorized(&text)
    }
}

fn grants(claims: &Claims, need: &Need<'_>) -> bool {
    let name = need.name.map(crate::server::name::Name::as_str);
    claims.grant(name, need.action.as_str())
}

fn read(path: &Path) -> Result<String, AuthError> {
    std::fs::read_to_string(path).map_err(|source| AuthError::Read { path: path.to_owned(), source })
}
