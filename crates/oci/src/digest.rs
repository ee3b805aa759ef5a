//! Content digests: `algorithm:hex`, the identity of every blob, layer and image.
//!
//! Image specification, "Digests": <https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests>.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::DigestError;

/// A digest algorithm registered by the image specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256, the one everybody writes.
    Sha256,
    /// SHA-384, accepted because Docker accepts it.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// The name in front of the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Number of hexadecimal digits of a digest made by this algorithm.
    pub fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(s: &str) -> Result<Self, DigestError> {
        match s {
            "sha256" => Ok(Self::Sha256),
            "sha384" => Ok(Self::Sha384),
            "sha512" => Ok(Self::Sha512),
            _ => Err(DigestError::Algorithm),
        }
    }
}

/// A validated digest. Ordered and compared as its text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(Box<str>);

impl Digest {
    /// Checks `s`; the encoded part must be lower-case hexadecimal of the algorithm's length.
    pub fn parse(s: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = s.split_once(':').ok_or(DigestError::Format)?;
        // Counted to the end rather than up to the first that is none: that way it is done many bytes at a time.
        let digits = hex.bytes().filter(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).count();
        let is_hex = digits == hex.len();
        if !is_algorithm_name(algorithm) || hex.is_empty() || !(is_hex || hex.bytes().all(is_encoded_byte)) {
            return Err(DigestError::Format);
        }
        let algorithm: Algorithm = algorithm.parse()?;
        if hex.len() != algorithm.hex_len() {
            return Err(DigestError::Length);
        }
        if !is_hex {
            return Err(DigestError::Format);
        }
        Ok(Self(s.into()))
    }

    /// The SHA-256 digest of `data`.
    pub fn sha256(data: &[u8]) -> Self {
        let mut hasher = Hasher::sha256();
        hasher.update(data);
        hasher.finish()
    }

    /// A SHA-256 digest from its 64 hexadecimal digits.
    pub fn from_sha256_hex(hex: &str) -> Result<Self, DigestError> {
        Self::parse(&format!("sha256:{hex}"))
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        match self.0.as_bytes()[3] {
            b'2' => Algorithm::Sha256,
            b'3' => Algorithm::Sha384,
            _ => Algorithm::Sha512,
        }
    }

    /// The hexadecimal part.
    pub fn hex(&self) -> &str {
        // Every supported name has six letters.
        &self.0[7..]
    }

    /// The first twelve hexadecimal digits, the form shown to people.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }

    /// The whole text, `algorithm:hex`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `data` has this digest.
    pub fn matches(&self, data: &[u8]) -> bool {
        let mut hasher = Hasher::new(self.algorithm());
        hasher.update(data);
        hasher.finish() == *self
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(s: &str) -> Result<Self, DigestError> {
        Self::parse(s)
    }
}

impl AsRef<str> for Digest {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(crate::text::Parsed(Self::parse))
    }
}

/// Computes a digest of a stream; also an [`std::io::Write`] that never fails.
#[derive(Clone, Debug)]
pub struct Hasher(State);

#[derive(Clone, Debug)]
enum State {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    /// A hasher for `algorithm`.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha384 => State::Sha384(Sha384::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// A hasher for SHA-256.
    pub fn sha256() -> Self {
        Self::new(Algorithm::Sha256)
    }

    /// Adds bytes.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.0 {
            State::Sha256(h) => h.update(data),
            State::Sha384(h) => h.update(data),
            State::Sha512(h) => h.update(data),
        }
    }

    /// The digest of everything added.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(h) => encode(Algorithm::Sha256, &h.finalize()),
            State::Sha384(h) => encode(Algorithm::Sha384, &h.finalize()),
            State::Sha512(h) => encode(Algorithm::Sha512, &h.finalize()),
        }
    }
}

impl std::io::Write for Hasher {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.update(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The chain id of a stack of layers given by their diff ids, bottom first; `None` for no layers.
///
/// Image specification, "Layer ChainID": the digest of the parent's chain id, a space and the layer's diff id.
pub fn chain_id(diff_ids: &[Digest]) -> Option<Digest> {
    chain_ids(diff_ids).pop()
}

/// The chain ids of every layer of the stack, bottom first.
pub fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let next = match chain.last() {
            None => diff_id.clone(),
            Some(parent) => Digest::sha256(format!("{parent} {diff_id}").as_bytes()),
        };
        chain.push(next);
    }
    chain
}

fn encode(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(7 + algorithm.hex_len());
    text.push_str(algorithm.as_str());
    text.push(':');
    for byte in bytes {
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 15)]));
    }
    Digest(text.into())
}

fn is_algorithm_name(name: &str) -> bool {
    name.split(['.', '+', '_', '-'])
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

fn is_encoded_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'=' | b'_' | b'-')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn digest_of_known_input() {
        let digest = Digest::sha256(b"");
        assert_eq!(digest.hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(digest.algorithm(), Algorithm::Sha256);
        assert_eq!(digest.short(), "e3b0c44298fc");
        assert!(digest.matches(b"") && !digest.matches(b"x"));
    }

    #[test]
    fn every_algorithm_round_trips() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512] {
            let digest = Hasher::new(algorithm).finish();
            let parsed: Digest = digest.to_string().parse().unwrap();
            assert_eq!((parsed.algorithm(), parsed.hex().len()), (algorithm, algorithm.hex_len()));
        }
    }

    #[test]
    fn malformed_digests_are_refused() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (text, error) in [
            (String::new(), DigestError::Format),
            (hex.to_owned(), DigestError::Format),
            (format!("sha256:{}", hex.to_uppercase()), DigestError::Format),
            (format!("SHA256:{hex}"), DigestError::Format),
            (format!("sha256:{}", &hex[1..]), DigestError::Length),
            ("sha256:".to_owned(), DigestError::Format),
            (format!("md5:{hex}"), DigestError::Algorithm),
            (format!("sha256:../{}", &hex[3..]), DigestError::Format),
        ] {
            assert_eq!(Digest::parse(&text), Err(error), "{text}");
        }
    }

    #[test]
    fn chain_follows_the_specification() {
        let a = Digest::sha256(b"a");
        let b = Digest::sha256(b"b");
        assert_eq!(chain_id(&[]), None);
        assert_eq!(chain_id(std::slice::from_ref(&a)), Some(a.clone()));
        assert_eq!(chain_id(&[a.clone(), b.clone()]), Some(Digest::sha256(format!("{a} {b}").as_bytes())));
    }

    proptest! {
        #[test]
        fn parse_never_panics_and_is_exact(s in "\\PC{0,80}") {
            if let Ok(digest) = Digest::parse(&s) {
                prop_assert_eq!(digest.as_str(), s.as_str());
            }
        }

        #[test]
        fn splitting_the_input_changes_nothing(data in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..200) {
            let at = at.min(data.len());
            let mut hasher = Hasher::sha256();
            hasher.update(&data[..at]);
            hasher.update(&data[at..]);
            prop_assert_eq!(hasher.finish(), Digest::sha256(&data));
        }
    }
}
