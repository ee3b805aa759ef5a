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
    exp: Option<Time>,
    nbf: Option<Time>,
    #[serde(default)]
    access: Option<Vec<Access>>,
}

/// Seconds since 1970; the standard allows parts of one.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(from = "f64")]
struct Time(u64);

impl From<f64> for Time {
    fn from(seconds: f64) -> Self {
        // What is before 1970 becomes its beginning, which is as long over.
        Self(seconds as u64)
    }
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
    /// Extensions that have to be understood (RFC 7515, section 4.1.11). None is.
    crit: Option<serde_json::Value>,
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
        if header.crit.is_some() {
            return Err("an extension that is not understood");
        }
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
        if claims.exp.is_none_or(|Time(end)| now > end.saturating_add(LEEWAY)) {
            return Err("expired");
        }
        if claims.nbf.is_some_and(|Time(begin)| now.saturating_add(LEEWAY) < begin) {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{Ed25519KeyPair, KeyPair};
    use serde_json::{Value, json};

    use super::*;
    use crate::server::auth::keys;

    const NOW: u64 = 1_700_000_000;

    /// An issuer, and who trusts it.
    struct Bench {
        key: Ed25519KeyPair,
        trust: Trust,
    }

    impl Bench {
        fn new() -> Bench {
            let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
            let key = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
            let x = URL_SAFE_NO_PAD.encode(key.public_key());
            let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": x}]});
            let trust = Trust {
                issuer: "issuer".to_owned(),
                service: "service".to_owned(),
                keys: keys::of_jwks(&set.to_string()).unwrap(),
                anchors: Vec::new(),
            };
            Bench { key, trust }
        }

        fn sign(&self, header: &Value, claims: &Value) -> String {
            let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
            let signed = format!("{}.{}", encode(header), encode(claims));
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes())))
        }

        /// What becomes of a right token in which some claims are others; those that are null are left out.
        fn with(&self, claims: Value) -> Result<Claims, &'static str> {
            let mut all = claims_of(json!([]));
            all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
            all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            self.trust.verify(&self.sign(&json!({"alg": "EdDSA"}), &all), NOW)
        }

        fn headed(&self, header: Value) -> Option<&'static str> {
            self.trust.verify(&self.sign(&header, &claims_of(json!([]))), NOW).err()
        }
    }

    fn claims_of(access: Value) -> Value {
        json!({"iss": "issuer", "aud": "service", "exp": NOW + 100, "nbf": NOW, "access": access})
    }

    #[test]
    fn who_it_is_from_and_for() {
        let bench = Bench::new();
        let err = |claims| bench.with(claims).err();
        assert_eq!(err(json!({})), None);
        assert_eq!(err(json!({"iss": "x"})), Some("another issuer"));
        assert_eq!(err(json!({"iss": null})), Some("another issuer"));
        assert_eq!(err(json!({"aud": ["x", "service"]})), None);
        for aud in [json!("x"), json!(["x"]), json!([]), json!(""), Value::Null] {
            assert_eq!(err(json!({"aud": aud})), Some("for another service"), "{aud}");
        }
    }

    #[test]
    fn when_it_is_valid() {
        let bench = Bench::new();
        let err = |claims| bench.with(claims).err();
        for (exp, error) in [
            (json!(NOW - LEEWAY), None),
            (json!(NOW - LEEWAY - 1), Some("expired")),
            (json!(NOW as f64 + 0.5), None),
            (json!(-1), Some("expired")),
            (json!(u64::MAX), None),
            (Value::Null, Some("expired")),
            (json!("tomorrow"), Some("malformed claims")),
        ] {
            assert_eq!(err(json!({"exp": exp})), error, "{exp}");
        }
        for (nbf, error) in [
            (json!(NOW + LEEWAY), None),
            (json!(NOW + LEEWAY + 1), Some("not valid yet")),
            (json!(u64::MAX), Some("not valid yet")),
            (Value::Null, None),
        ] {
            assert_eq!(err(json!({"nbf": nbf})), error, "{nbf}");
        }
    }

    #[test]
    fn no_other_algorithm_stands_for_the_keys_own() {
        let bench = Bench::new();
        let unsigned = Some("the signature is not valid");
        assert_eq!(bench.headed(json!({"alg": "EdDSA", "kid": "one"})), None);
        // A name that nobody knows does not matter: any of the keys may have signed.
        assert_eq!(bench.headed(json!({"alg": "EdDSA", "kid": "two"})), None);
        assert_eq!(bench.headed(json!({"alg": "RS256"})), unsigned);
        assert_eq!(bench.headed(json!({"alg": "ES256"})), unsigned);
        for alg in ["none", "None", "HS256", "", "eddsa"] {
            assert_eq!(bench.headed(json!({"alg": alg})), Some("unsupported algorithm"));
        }
        // Signed with the public key as if it were a secret.
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": "HS256"}).to_string());
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims_of(json!([])).to_string()));
        let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, bench.key.public_key().as_ref());
        let tag = URL_SAFE_NO_PAD.encode(ring::hmac::sign(&secret, signed.as_bytes()));
        assert!(bench.trust.verify(&format!("{signed}.{tag}"), NOW).is_err());
    }

    #[test]
    fn keys_that_come_with_the_token_are_not_believed() {
        let (bench, stranger) = (Bench::new(), Bench::new());
        let x = URL_SAFE_NO_PAD.encode(stranger.key.public_key());
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
        for header in [
            json!({"alg": "EdDSA", "jwk": jwk}),
            json!({"alg": "EdDSA", "kid": "one", "jku": "https://stranger.test"}),
            json!({"alg": "EdDSA", "x5c": ["AAAA"]}),
            json!({"alg": "EdDSA", "x5c": []}),
        ] {
            let token = stranger.sign(&header, &claims_of(json!([])));
            assert_eq!(bench.trust.verify(&token, NOW).err(), Some("the signature is not valid"), "{header}");
        }
        let critical = json!({"alg": "EdDSA", "crit": ["exp"]});
        assert_eq!(bench.headed(critical), Some("an extension that is not understood"));
    }

    #[test]
    fn what_is_granted() {
        let bench = Bench::new();
        let granted = |access: Value, repository: Option<&str>, action: &str| {
            bench.with(json!({"access": access})).unwrap().grant(repository, action)
        };
        let of = |kind: &str, name: &str, actions: &[&str]| json!([{"type": kind, "name": name, "actions": actions}]);
        let pull = of("repository", "a/b", &["pull"]);
        assert!(granted(pull.clone(), Some("a/b"), "pull"));
        for (name, action) in
            [("a/b", "push"), ("a", "pull"), ("a/b/c", "pull"), ("a/bb", "pull"), ("", "pull")]
        {
            assert!(!granted(pull.clone(), Some(name), action), "{name} {action}");
        }
        assert!(granted(of("repository(plugin)", "a", &["*"]), Some("a"), "delete"));
        assert!(!granted(of("repository", "catalog", &["*"]), None, "*"));
        assert!(granted(of("registry", "catalog", &["*"]), None, "*"));
        assert!(!granted(of("registry", "a", &["*"]), Some("a"), "pull"));
        for nothing in [json!([]), Value::Null] {
            assert!(!granted(nothing, Some("a/b"), "pull"));
        }
    }
}
