//! JSON Web Tokens (RFC 7519): reading them, and whether they are valid.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use serde::Deserialize;
use webpki::{EndEntityCert, KeyUsage};

use super::keys::{Algorithm, Key};

/// Seconds by which clocks may differ.
const LEEWAY: u64 = 60;

/// Whose tokens are accepted.
pub(super) struct Trust {
    pub(super) issuer: String,
    pub(super) service: String,
    pub(super) keys: Vec<Key>,
    /// Authorities of certificates that come with a token.
    pub(super) anchors: Vec<TrustAnchor<'static>>,
}

/// What a token says.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    iss: Option<String>,
    aud: Option<OneOrMany>,
    exp: Option<u64>,
    nbf: Option<u64>,
    #[serde(default)]
    access: Option<Vec<Access>>,
}

/// A right.
#[derive(Debug, Deserialize)]
pub(super) struct Access {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    actions: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    x5c: Option<Vec<String>>,
}

impl Claims {
    /// Whether they grant an action on a repository, or on the registry's catalog.
    pub(super) fn grant(&self, repository: Option<&str>, action: &str) -> bool {
        let (kind, name) = repository.map_or(("registry", "catalog"), |name| ("repository", name));
        self.access.iter().flatten().any(|access| {
            // Types may carry a class: `repository(plugin)`.
            access.kind.split('(').next() == Some(kind)
                && access.name == name
                && access.actions.iter().any(|granted| granted == action || granted == "*")
        })
    }
}

impl Trust {
    /// Reads a token at `now`, in seconds since 1970.
    ///
    /// # Errors
    /// Why it is not valid.
    pub(super) fn verify(&self, token: &str, now: u64) -> Result<Claims, &'static str> {
        let (signed, signature) = token.rsplit_once('.').ok_or("not a token")?;
        let (header, claims) = signed.split_once('.').ok_or("not a token")?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| "not a token");
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| "malformed header")?;
        let algorithm = Algorithm::of(&header.alg).ok_or("unsupported algorithm")?;
        let signature = decode(signature)?;
        if !self.is_signed(&header, algorithm, signed.as_bytes(), &signature, now) {
            return Err("the signature is not valid");
        }
        let claims: Claims = serde_json::from_slice(&decode(claims)?).map_err(|_| "malformed claims")?;
        if claims.iss.as_deref() != Some(&self.issuer) {
            return Err("another issuer");
        }
        let meant = match &claims.aud {
            Some(OneOrMany::One(one)) => *one == self.service,
            Some(OneOrMany::Many(many)) => many.contains(&self.service),
            None => false,
        };
        if !meant {
            return Err("for another service");
        }
        if claims.exp.is_none_or(|end| now > end.saturating_add(LEEWAY)) {
            return Err("expired");
        }
        if claims.nbf.is_some_and(|begin| now.saturating_add(LEEWAY) < begin) {
            return Err("not valid yet");
        }
        Ok(claims)
    }

    /// By the chain that comes with the token if there is one, else by a known key: the one named, if the name is known.
    fn is_signed(
        &self,
        header: &Header,
        algorithm: Algorithm,
        signed: &[u8],
        signature: &[u8],
        now: u64,
    ) -> bool {
        if let Some(chain) = header.x5c.as_ref().filter(|chain| !chain.is_empty()) {
            let key = self.key_of_chain(chain, now);
            return key.is_some_and(|key| key.verifies(algorithm, signed, signature));
        }
        let named = |key: &&Key| header.kid.as_ref().is_some_and(|id| key.ids.contains(id));
        let candidates: Vec<_> = match self.keys.iter().find(named) {
            Some(key) => vec![key],
            None => self.keys.iter().collect(),
        };
        candidates.into_iter().any(|key| key.verifies(algorithm, signed, signature))
    }

    fn key_of_chain(&self, chain: &[String], now: u64) -> Option<Key> {
        let chain: Option<Vec<CertificateDer<'static>>> =
            chain.iter().map(|part| STANDARD.decode(part).ok().map(CertificateDer::from)).collect();
        let chain = chain?;
        let (leaf, above) = chain.split_first()?;
        let certificate = EndEntityCert::try_from(leaf).ok()?;
        certificate
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &self.anchors,
                above,
                UnixTime::since_unix_epoch(std::time::Duration::from_secs(now)),
                // Token issuers' certificates state no purpose, or the one that every server has.
                KeyUsage::server_auth(),
                None,
                None,
            )
            .ok()?;
        Key::of_certificate(leaf)
    }
}
