//! Names and passwords from a file of bcrypt hashes, `htpasswd -B`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::{AuthError, quoted, unauthorized};
use crate::server::blocking;
use crate::server::failure::Failure;

/// Hash of a password that nobody has: an unknown name costs as much time as a known one.
const DUMMY: &str = "$2y$05$xJdNIvZ5nTWOYqEDI7TlEOFQmFNVhBUt/3mZCt1E4H0aR6mJkJY5u";
/// Hashes checked at once: they are made to cost time, and blobs need some too.
const CHECKS: usize = 2;

pub(crate) struct Htpasswd {
    challenge: String,
    path: PathBuf,
    users: Mutex<Users>,
    checks: tokio::sync::Semaphore,
    /// Made at start, so that what is remembered of a password is worth nothing elsewhere.
    salt: [u8; 32],
}

#[derive(Default)]
struct Users {
    modified: Option<SystemTime>,
    hashes: HashMap<String, String>,
    /// By name: what its right password was seen to be, salted and hashed.
    verified: HashMap<String, [u8; 32]>,
}

impl Htpasswd {
    pub(super) fn new(realm: &str, path: &Path) -> Result<Self, AuthError> {
        let read = |source| AuthError::Read { path: path.to_owned(), source };
        let mut salt = [0; 32];
        rustix::rand::getrandom(&mut salt[..], rustix::rand::GetRandomFlags::empty())
            .map_err(|error| read(error.into()))?;
        let new = Self {
            challenge: format!("Basic realm={}", quoted(realm)),
            path: path.to_owned(),
            users: Mutex::default(),
            checks: tokio::sync::Semaphore::new(CHECKS),
            salt,
        };
        new.refresh().map_err(read)?;
        Ok(new)
    }

    pub(super) async fn check(&self, authorization: Option<&str>) -> Result<(), Failure> {
        let (name, password) =
            authorization.and_then(credentials).ok_or_else(|| unauthorized(&self.challenge))?;
        if let Err(error) = self.refresh() {
            tracing::warn!(path = %self.path.display(), %error, "the list of users cannot be read again");
        }
        let seen: [u8; 32] = {
            let mut hasher = Sha256::new();
            hasher.update(self.salt);
            hasher.update(&password);
            hasher.finalize().into()
        };
        let hash = {
            let users = self.users();
            // What is compared is a hash with a secret salt: how long it takes says nothing about the password.
            if users.verified.get(&name) == Some(&seen) {
                return Ok(());
            }
            users.hashes.get(&name).cloned()
        };
        let known = hash.is_some();
        let text = hash.clone().unwrap_or_else(|| DUMMY.to_owned());
        let _permit = self.checks.acquire().await;
        let right = blocking::join(blocking::spawn(move || bcrypt::verify(&password, &text))).await?;
        if !(known && right.unwrap_or(false)) {
            return Err(unauthorized(&self.challenge));
        }
        let mut users = self.users();
        if users.hashes.get(&name) == hash.as_ref() {
            users.verified.insert(name, seen);
        }
        Ok(())
    }

    /// Reads the file if it changed.
    fn refresh(&self) -> std::io::Result<()> {
        let modified = std::fs::metadata(&self.path)?.modified()?;
        let mut users = self.users();
        if users.modified != Some(modified) {
            let hashes = parse(&std::fs::read_to_string(&self.path)?);
            *users = Users { modified: Some(modified), hashes, verified: HashMap::new() };
        }
        Ok(())
    }

    fn users(&self) -> MutexGuard<'_, Users> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(text: &str) -> HashMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let (name, hash) = line.split_once(':')?;
            if !hash.starts_with("$2") {
                tracing::warn!(user = name, "the user's hash is not bcrypt and lets nobody in (htpasswd -B)");
                return None;
            }
            Some((name.to_owned(), hash.to_owned()))
        })
        .collect()
}

fn credentials(authorization: &str) -> Option<(String, Vec<u8>)> {
    let (scheme, encoded) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|b| *b == b':')?;
    Some((String::from_utf8(decoded[..colon].to_vec()).ok()?, decoded[colon + 1..].to_vec()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::server::failure::Code;

    fn code(result: Result<(), Failure>) -> Option<Code> {
        result.err().map(|failure| failure.code())
    }

    #[test]
    fn unknown_users_cost_time() {
        assert!(matches!(bcrypt::verify("x", DUMMY), Ok(false)));
    }

    #[tokio::test]
    async fn passwords() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let hash = bcrypt::hash("secret", 4).unwrap();
        std::fs::write(file.path(), format!("# users\n\nme:{hash}\nold:$apr1$x$y\n")).unwrap();
        let users = Htpasswd::new("the \"realm\"", file.path()).unwrap();
        assert_eq!(users.challenge, r#"Basic realm="the \"realm\"""#);
        let header = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for _ in 0..2 {
            assert_eq!(code(users.check(Some(&header("me:secret"))).await), None);
            for wrong in ["me:other", "me:", "you:secret", "old:y", "me"] {
                assert_eq!(
                    code(users.check(Some(&header(wrong))).await),
                    Some(Code::Unauthorized),
                    "{wrong}"
                );
            }
            assert_eq!(code(users.check(None).await), Some(Code::Unauthorized));
        }
        // Another password counts at once, and the old one no longer.
        std::fs::write(file.path(), format!("me:{}\n", bcrypt::hash("new", 4).unwrap())).unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        file.as_file().set_modified(later).unwrap();
        assert_eq!(code(users.check(Some(&header("me:secret"))).await), Some(Code::Unauthorized));
        assert_eq!(code(users.check(Some(&header("me:new"))).await), None);
    }
}
