//! Public keys that sign tokens: of certificates and of JSON Web Key Sets.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// How tokens are signed. Only what needs no shared secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Es256,
    EdDsa,
}

impl Algorithm {
    /// By its name in a token.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// A public key.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// What tokens may call it.
    pub(super) ids: Vec<String>,
    material: Material,
}

#[derive(Debug, Clone)]
enum Material {
    /// Modulus and exponent, big-endian.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// A point of P-256, uncompressed.
    Ec(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Key {
    /// Whether `signed` was signed by the owner of this key.
    pub(super) fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        match (algorithm, &self.material) {
            (Algorithm::Rs256, Material::Rsa { n, e }) => RsaPublicKeyComponents { n, e }
                .verify(&signature::RSA_PKCS1_2048_8192_SHA256, signed, signature)
                .is_ok(),
            (Algorithm::Es256, Material::Ec(point)) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                    .verify(signed, signature)
                    .is_ok()
            }
            (Algorithm::EdDsa, Material::Ed25519(point)) => {
                UnparsedPublicKey::new(&signature::ED25519, point).verify(signed, signature).is_ok()
            }
            _ => false,
        }
    }

    /// The key of a certificate; `None` for a kind that signs no tokens.
    pub(super) fn of_certificate(certificate: &CertificateDer<'_>) -> Option<Self> {
        let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
        Self::of_public_key(&parsed.subject_public_key_info())
    }

    /// A key in the form of RFC 5280, SubjectPublicKeyInfo.
    fn of_public_key(der: &[u8]) -> Option<Self> {
        const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
        const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
        const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
        const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
        let mut info = Der(der).element(0x30)?;
        let mut algorithm = Der(info.element(0x30)?.0);
        let kind = algorithm.element(0x06)?.0;
        // The first byte counts unused bits: none.
        let bits = info.element(0x03)?.0.strip_prefix(&[0])?;
        let material = match kind {
            RSA => {
                let mut key = Der(bits).element(0x30)?;
                let (n, e) = (key.element(0x02)?.0, key.element(0x02)?.0);
                Material::Rsa { n: unsigned(n), e: unsigned(e) }
            }
            EC if algorithm.element(0x06)?.0 == P256 => Material::Ec(bits.to_vec()),
            ED25519 => Material::Ed25519(bits.to_vec()),
            _ => return None,
        };
        Some(Self { ids: vec![libtrust_id(der)], material })
    }
}

/// The name that the reference registry's library gives a key: 240 bits of a hash, in groups of four letters.
fn libtrust_id(public_key: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let hash = Sha256::digest(public_key);
    let mut id = String::with_capacity(59);
    for (group, five) in hash[..30].chunks(5).enumerate() {
        let bits = five.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        for at in 0..8 {
            if at % 4 == 0 && group + at > 0 {
                id.push(':');
            }
            let letter = (bits >> (35 - 5 * at)) & 31;
            id.push(char::from(LETTERS[usize::try_from(letter).unwrap_or_default()]));
        }
    }
    id
}

fn unsigned(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}

/// The rest of a DER document.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next element, if it has this tag.
    fn element(&mut self, tag: u8) -> Option<Der<'a>> {
        let (&[found, first], rest) = self.0.split_first_chunk::<2>()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (bytes.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (found == tag).then_some(Der(content))
    }
}

/// Keys of a JSON Web Key Set (RFC 7517); those of unknown kinds are left out.
pub(super) fn of_jwks(text: &str) -> Result<Vec<Key>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Jwk>,
    }

    #[derive(Deserialize)]
    struct Jwk {
        kty: String,
        kid: Option<String>,
        crv: Option<String>,
        n: Option<String>,
        e: Option<String>,
        x: Option<String>,
        y: Option<String>,
    }

    let decode = |text: Option<&String>| URL_SAFE_NO_PAD.decode(text?.trim_end_matches('=')).ok();
    let set: Set = serde_json::from_str(text)?;
    let keys = set.keys.iter().filter_map(|jwk| {
        let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => Material::Rsa { n: decode(jwk.n.as_ref())?, e: decode(jwk.e.as_ref())? },
            ("EC", Some("P-256")) => {
                let mut point = vec![4];
                point.extend(decode(jwk.x.as_ref())?);
                point.extend(decode(jwk.y.as_ref())?);
                Material::Ec(point)
            }
            ("OKP", Some("Ed25519")) => Material::Ed25519(decode(jwk.x.as_ref())?),
            _ => return None,
        };
        Some(Key { ids: jwk.kid.iter().cloned().collect(), material })
    });
    Ok(keys.collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn verifies(jwks: &str, algorithm: &str, token: &str) -> bool {
        let keys = of_jwks(jwks).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        keys[0].verifies(Algorithm::of(algorithm).unwrap(), signed.as_bytes(), &signature)
    }

    #[test]
    fn the_examples_of_the_standards() {
        // RFC 7515, appendix A.3.
        let ec = r#"{"keys":[{"kty":"EC","crv":"P-256",
            "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
        let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNv\
                     bS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKT\
                     UJqPP3-Kg6NU1Q";
        assert!(verifies(ec, "ES256", token));
        assert!(!verifies(ec, "ES256", &token.replace("eyJpc3", "eyJpc4")));
        assert!(!verifies(ec, "EdDSA", token));
        // RFC 8037, appendix A.4.
        let ed = r#"{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"OKP","crv":"Ed25519",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AI\
                     bQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        assert!(verifies(ed, "EdDSA", token));
    }

    #[test]
    fn shared_secrets_and_nothing_sign_nothing() {
        for name in ["none", "HS256", "rs256", ""] {
            assert_eq!(Algorithm::of(name), None);
        }
        assert!(of_jwks("{").is_err());
    }

    #[test]
    fn lengths_in_der_are_believed_only_as_far_as_there_are_bytes() {
        assert_eq!(Der(&[0x30, 2, 1, 2, 3]).element(0x30).unwrap().0, [1, 2]);
        for bad in
            [&[0x30][..], &[0x30, 3, 1], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 1], &[0x31, 0], &[0x30, 0x80]]
        {
            assert!(Der(bad).element(0x30).is_none(), "{bad:?}");
        }
    }
}
