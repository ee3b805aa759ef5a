//! Image references: `[domain/]path[:tag][@digest]`.
//!
//! The grammar is the distribution project's (`reference/regexp.go`), the normalisation Docker's: a name whose first
//! part is not a host (no dot, no colon, not `localhost`, no capitals) lives on `docker.io`, and there a name of one
//! part is in `library/`. The *familiar* form undoes that for people.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Digest, ReferenceError};

const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DEFAULT_DOMAIN: &str = "index.docker.io";
const OFFICIAL_PREFIX: &str = "library/";
const DEFAULT_TAG: &str = "latest";
const MAX_PATH: usize = 255;
const MAX_TAG: usize = 128;

/// A parsed, normalised reference. Ordered by its parts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// What a user may write where an image is meant: an id in full, or a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnyReference {
    /// `sha256:…`, or 64 hexadecimal digits.
    Digest(Digest),
    /// A name.
    Named(Reference),
}

impl Reference {
    /// Parses and normalises a name: `ubuntu` becomes `docker.io/library/ubuntu`. Adds no tag.
    pub fn parse(s: &str) -> Result<Self, ReferenceError> {
        if is_identifier(s) {
            return Err(ReferenceError::Identifier(s.to_owned()));
        }
        let (domain, remainder) = split_domain(s);
        let path = remainder.split(':').next().unwrap_or_default();
        if path.to_lowercase() != path {
            return Err(ReferenceError::Uppercase(path.to_owned()));
        }
        parse_full(&format!("{domain}/{remainder}"))
    }

    /// The registry host with its port, `docker.io` for Docker Hub.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry, `library/ubuntu`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, if one was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Domain and path, `docker.io/library/ubuntu`.
    pub fn name(&self) -> String {
        if self.domain.is_empty() { self.path.clone() } else { format!("{}/{}", self.domain, self.path) }
    }

    /// The name as people write it: without `docker.io/` and `library/`.
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.name();
        }
        match self.path.strip_prefix(OFFICIAL_PREFIX) {
            Some(rest) if !rest.contains('/') => rest.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// The whole reference as people write it, `ubuntu:24.04`.
    pub fn familiar(&self) -> String {
        self.suffixed(self.familiar_name())
    }

    /// Whether neither a tag nor a digest was given.
    pub fn is_name_only(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    /// This reference, with the tag `latest` if it has neither tag nor digest.
    pub fn with_default_tag(mut self) -> Self {
        if self.is_name_only() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// The same name with another tag; a digest is kept.
    pub fn with_tag(mut self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Tag);
        }
        self.tag = Some(tag.to_owned());
        Ok(self)
    }

    /// The same name and tag with another digest.
    pub fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// The reference without its tag; a digest is kept.
    pub fn without_tag(mut self) -> Self {
        self.tag = None;
        self
    }

    /// The reference without its digest; a tag is kept.
    pub fn without_digest(mut self) -> Self {
        self.digest = None;
        self
    }

    fn suffixed(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(digest.as_str());
        }
        name
    }
}

impl AnyReference {
    /// Parses a full image id or a name.
    pub fn parse(s: &str) -> Result<Self, ReferenceError> {
        if is_identifier(s) {
            return Ok(Self::Digest(Digest::from_sha256_hex(s)?));
        }
        match Digest::parse(s) {
            Ok(digest) => Ok(Self::Digest(digest)),
            Err(_) => Reference::parse(s).map(Self::Named),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.suffixed(self.name()))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(s: &str) -> Result<Self, ReferenceError> {
        Self::parse(s)
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(crate::text::Parsed(Self::parse))
    }
}

/// Whether `s` has the form of a tag.
pub fn is_tag(s: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    s.len() <= MAX_TAG
        && s.bytes().next().is_some_and(word)
        && s.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

/// 64 lower-case hexadecimal digits: always an id.
fn is_identifier(s: &str) -> bool {
    s.len() == 64 && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn split_domain(s: &str) -> (&str, String) {
    let (domain, rest) = match s.split_once('/') {
        None => (DEFAULT_DOMAIN, s),
        Some((LEGACY_DEFAULT_DOMAIN, rest)) => (DEFAULT_DOMAIN, rest),
        Some((first, rest))
            if first == "localhost" || first.contains(['.', ':']) || first.to_lowercase() != first =>
        {
            (first, rest)
        }
        Some(_) => (DEFAULT_DOMAIN, s),
    };
    if domain == DEFAULT_DOMAIN && !rest.contains('/') {
        (domain, format!("{OFFICIAL_PREFIX}{rest}"))
    } else {
        (domain, rest.to_owned())
    }
}

/// Matches the whole grammar. The name must have a slash.
fn parse_full(s: &str) -> Result<Reference, ReferenceError> {
    let Some(parts) = Parts::split(s) else {
        return match Parts::split(&s.to_lowercase()) {
            Some(_) => Err(ReferenceError::NameUppercase),
            None => Err(ReferenceError::Format),
        };
    };
    if parts.path.len() > MAX_PATH {
        return Err(ReferenceError::TooLong);
    }
    Ok(Reference {
        domain: parts.domain.to_owned(),
        path: parts.path.to_owned(),
        tag: parts.tag.map(str::to_owned),
        digest: parts.digest.map(Digest::parse).transpose()?,
    })
}

struct Parts<'a> {
    domain: &'a str,
    path: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// Splits at the delimiters, which can stand in no other part, and checks every part; `None` if one does not match.
    fn split(s: &'a str) -> Option<Self> {
        let (first, rest) = s.split_once('/')?;
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (rest, None),
        };
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        if !path.split('/').all(is_path_component)
            || !tag.is_none_or(is_tag)
            || !digest.is_none_or(has_digest_form)
        {
            return None;
        }
        if is_domain(first) {
            return Some(Self { domain: first, path, tag, digest });
        }
        // compat: the domain is optional in the grammar, so a first part such as `a_b.c` becomes part of the path.
        let whole = &s[..first.len() + 1 + path.len()];
        is_path_component(first).then_some(Self { domain: "", path: whole, tag, digest })
    }
}

/// Lower-case letters and digits, joined by one dot, one or two underscores or any number of dashes.
fn is_path_component(s: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut rest = s.as_bytes();
    loop {
        let run = rest.iter().take_while(|b| alphanumeric(b)).count();
        if run == 0 {
            return false;
        }
        rest = &rest[run..];
        if rest.is_empty() {
            return true;
        }
        let separator = rest.iter().take_while(|b| !alphanumeric(b)).count();
        match &rest[..separator] {
            b"." | b"_" | b"__" => {}
            dashes if dashes.iter().all(|b| *b == b'-') => {}
            _ => return false,
        }
        rest = &rest[separator..];
    }
}

fn is_domain(s: &str) -> bool {
    let (host, port) = match s.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            if address.is_empty() || !address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':') {
                return false;
            }
            ("v6", port.strip_prefix(':').or((!port.is_empty()).then_some("")))
        }
        None => match s.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (s, None),
        },
    };
    host.split('.').all(is_domain_component)
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

fn is_domain_component(s: &str) -> bool {
    !s.is_empty()
        && !s.starts_with('-')
        && !s.ends_with('-')
        && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The form the reference grammar gives a digest, wider than what [`Digest::parse`] accepts afterwards.
fn has_digest_form(s: &str) -> bool {
    let Some((algorithm, hex)) = s.split_once(':') else { return false };
    let word = |part: &str| {
        part.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
            && part.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    algorithm.split(['-', '_', '+', '.']).all(word)
        && hex.len() >= 32
        && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn show(s: &str) -> String {
        match Reference::parse(s) {
            Ok(r) => format!("{s} -> {r} | {}\n", r.familiar()),
            Err(e) => format!("{s} -> ! {e}\n"),
        }
    }

    fn check(names: &[&str], expect: Expect) {
        expect.assert_eq(&names.iter().map(|s| show(s)).collect::<String>());
    }

    #[test]
    fn names_are_normalised() {
        check(
            &[
                "ubuntu",
                "ubuntu:24.04",
                "library/ubuntu",
                "docker.io/ubuntu",
                "index.docker.io/library/ubuntu:x",
                "docker.io/library/a/b",
                "me/app",
                "localhost/app",
                "localhost:5000/app:v1",
                "registry.example.com/a/b/c",
                "127.0.0.1:5000/me/app:18.04",
                "[::1]:5000/app",
                "[fd00::1]/app",
                "HOST/app",
                "foo_bar.x/y:1",
                "a__b/c--d/e.f",
                "ubuntu:Tag_1.-",
            ],
            expect![[r#"
                ubuntu -> docker.io/library/ubuntu | ubuntu
                ubuntu:24.04 -> docker.io/library/ubuntu:24.04 | ubuntu:24.04
                library/ubuntu -> docker.io/library/ubuntu | ubuntu
                docker.io/ubuntu -> docker.io/library/ubuntu | ubuntu
                index.docker.io/library/ubuntu:x -> docker.io/library/ubuntu:x | ubuntu:x
                docker.io/library/a/b -> docker.io/library/a/b | library/a/b
                me/app -> docker.io/me/app | me/app
                localhost/app -> localhost/app | localhost/app
                localhost:5000/app:v1 -> localhost:5000/app:v1 | localhost:5000/app:v1
                registry.example.com/a/b/c -> registry.example.com/a/b/c | registry.example.com/a/b/c
                127.0.0.1:5000/me/app:18.04 -> 127.0.0.1:5000/me/app:18.04 | 127.0.0.1:5000/me/app:18.04
                [::1]:5000/app -> [::1]:5000/app | [::1]:5000/app
                [fd00::1]/app -> [fd00::1]/app | [fd00::1]/app
                HOST/app -> HOST/app | HOST/app
                foo_bar.x/y:1 -> foo_bar.x/y:1 | foo_bar.x/y:1
                a__b/c--d/e.f -> docker.io/a__b/c--d/e.f | a__b/c--d/e.f
                ubuntu:Tag_1.- -> docker.io/library/ubuntu:Tag_1.- | ubuntu:Tag_1.-
            "#]],
        );
    }

    #[test]
    fn malformed_names_are_refused_in_dockers_words() {
        check(
            &[
                "",
                "UPPER",
                "u/UPPER",
                "x:bad:tag",
                "x:",
                "x@",
                "busybox@sha256:bad",
                "a//b",
                "/a",
                "a/",
                "-a",
                "a-",
                "a..b",
                "a___b",
                "a._b",
                "host:x/a",
                "a.b:/c",
                "Foo_bar.x/y",
                "ä/x",
                "x:\u{e4}",
                "x y",
            ],
            expect![[r#"
                 -> ! invalid reference format
                UPPER -> ! invalid reference format: repository name (library/UPPER) must be lowercase
                u/UPPER -> ! invalid reference format: repository name (u/UPPER) must be lowercase
                x:bad:tag -> ! invalid reference format
                x: -> ! invalid reference format
                x@ -> ! invalid reference format
                busybox@sha256:bad -> ! invalid reference format
                a//b -> ! invalid reference format
                /a -> ! invalid reference format
                a/ -> ! invalid reference format
                -a -> ! invalid reference format
                a- -> ! invalid reference format
                a..b -> ! invalid reference format
                a___b -> ! invalid reference format
                a._b -> ! invalid reference format
                host:x/a -> ! invalid reference format
                a.b:/c -> ! invalid reference format
                Foo_bar.x/y -> ! repository name must be lowercase
                ä/x -> ! invalid reference format
                x:ä -> ! invalid reference format
                x y -> ! invalid reference format
            "#]],
        );
    }

    #[test]
    fn digests_and_identifiers() {
        let r = Reference::parse(&format!("x:1@sha256:{HEX}")).unwrap();
        assert_eq!((r.tag(), r.digest().map(Digest::hex)), (Some("1"), Some(HEX)));
        assert_eq!(r.familiar(), format!("x:1@sha256:{HEX}"));
        assert_eq!(Reference::parse(HEX), Err(ReferenceError::Identifier(HEX.to_owned())));
        assert_eq!(
            Reference::parse(&format!("x@sha512:{HEX}")),
            Err(ReferenceError::Digest(crate::DigestError::Length))
        );
        assert!(matches!(AnyReference::parse(HEX), Ok(AnyReference::Digest(_))));
        assert!(matches!(AnyReference::parse(&format!("sha256:{HEX}")), Ok(AnyReference::Digest(_))));
        assert!(matches!(AnyReference::parse("sha256:abc"), Ok(AnyReference::Named(_))));
    }

    #[test]
    fn tags_and_lengths() {
        let r = Reference::parse("x").unwrap();
        assert_eq!(r.clone().with_default_tag().familiar(), "x:latest");
        assert_eq!(r.clone().with_tag("-x"), Err(ReferenceError::Tag));
        assert!(r.clone().with_tag(&"a".repeat(128)).is_ok());
        assert_eq!(r.with_tag(&"a".repeat(129)), Err(ReferenceError::Tag));
        assert!(Reference::parse(&"a".repeat(255 - "library/".len())).is_ok());
        assert_eq!(Reference::parse(&"a".repeat(255)), Err(ReferenceError::TooLong));
    }

    proptest! {
        #[test]
        fn parse_never_panics(s in "\\PC{0,60}") {
            let _ = AnyReference::parse(&s);
        }

        #[test]
        fn both_forms_parse_back(s in "([a-zA-Z0-9.-]{1,8}(:[0-9]{1,4})?/)?[a-z0-9._-]{1,8}(/[a-z0-9._-]{1,8}){0,2}(:[a-zA-Z0-9._-]{1,8})?") {
            if let Ok(reference) = Reference::parse(&s) {
                prop_assert_eq!(&Reference::parse(&reference.to_string()).unwrap(), &reference);
                prop_assert_eq!(&Reference::parse(&reference.familiar()).unwrap(), &reference);
            }
        }
    }
}
