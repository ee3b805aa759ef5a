//! Names and passwords from a file of bcrypt hashes, `htpasswd -B`.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::{AuthError, quoted, unauthorized};
use crate::server::blocking;
use crate::server::failure::Failure;

/// What follows the cost in the hash of a password that nobody has.
const NOBODY: &str = "$xJdNIvZ5nTWOYqEDI7TlEOFQmFNVhBUt/3mZCt1E4H0aR6mJkJY5u";
/// Costs of hashes that are checked. What bcrypt does not know is no hash; with a higher cost than the last, one check takes
/// seconds, and a few clients with wrong passwords would take the processors for themselves.
const COSTS: std::ops::RangeInclusive<u32> = 4..=16;

pub(crate) struct Htpasswd {
    challenge: String,
    path: PathBuf,
    users: Mutex<Users>,
    checks: tokio::sync::Semaphore,
    /// Made at start, so that what is remembered of a password is worth nothing elsewhere.
    salt: [u8; 32],
}

/// Time, number and length of a file: two writes within a tick of the clock differ in one of the others.
type Version = (SystemTime, u64, u64);

#[derive(Default)]
struct Users {
    version: Option<Version>,
    hashes: HashMap<String, String>,
    /// The highest cost of a hash.
    cost: u32,
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
            checks: tokio::sync::Semaphore::new(at_once()),
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
        let (hash, cost) = {
            let users = self.users();
            // What is compared is a hash with a secret salt: how long it takes says nothing about the password.
            if users.verified.get(&name) == Some(&seen) {
                return Ok(());
            }
            (users.hashes.get(&name).cloned(), users.cost)
        };
        let known = hash.is_some();
        let text = hash.clone().unwrap_or_else(|| of_nobody(cost));
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
        let metadata = std::fs::metadata(&self.path)?;
        let version = Some((metadata.modified()?, metadata.ino(), metadata.len()));
        let mut users = self.users();
        if users.version != version {
            let hashes = parse(&std::fs::read_to_string(&self.path)?);
            let cost = hashes.values().filter_map(|hash| cost(hash)).max().unwrap_or(*COSTS.start());
            *users = Users { version, hashes, cost, verified: HashMap::new() };
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
            match cost(hash) {
                None => {
                    tracing::warn!(
                        user = name,
                        "the user's hash is not bcrypt and lets nobody in (htpasswd -B)"
                    );
                    None
                }
                Some(cost) if !COSTS.contains(&cost) => {
                    tracing::warn!(user = name, cost, "the user's hash costs too much and lets nobody in");
                    None
                }
                Some(_) => Some((name.to_owned(), hash.to_owned())),
            }
        })
        .collect()
}

/// The cost of a hash: `$2y$COST$…`.
fn cost(hash: &str) -> Option<u32> {
    let (version, rest) = hash.strip_prefix("$2")?.split_once('$')?;
    let (cost, _) = rest.split_once('$')?;
    (version.len() <= 1).then(|| cost.parse().ok()).flatten()
}

/// A hash that no password has. An unknown name costs as much time as a known one, or the dearest of several.
fn of_nobody(cost: u32) -> String {
    format!("$2y${cost:02}{NOBODY}")
}

/// Hashes checked at once: they are made to take time, and half of the processors are for those who were let in.
fn at_once() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| (processors.get() / 2).max(1))
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

    /// Users from a file of lines `name:hash`.
    fn users(lines: &str) -> (tempfile::NamedTempFile, Htpasswd) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines).unwrap();
        let users = Htpasswd::new("realm", file.path()).unwrap();
        (file, users)
    }

    fn header(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn unknown_users_cost_as_much_time_as_the_dearest() {
        let hash = |cost| bcrypt::hash("secret", cost).unwrap();
        let (_file, users) = users(&format!("a:{}\nb:{}\nc:{}\n", hash(4), hash(6), hash(5)));
        assert_eq!(users.users().cost, 6);
        assert!(of_nobody(6).starts_with("$2y$06$") && cost(&of_nobody(6)) == Some(6));
        assert!(matches!(bcrypt::verify("x", &of_nobody(6)), Ok(false)));
    }

    #[test]
    fn hashes_that_cost_too_much_let_nobody_in() {
        let of = |cost: &str| format!("me:$2y${cost}{NOBODY}");
        for dear in ["17", "31", "99", "3", "-1", "x", ""] {
            assert!(parse(&of(dear)).is_empty(), "{dear}");
        }
        assert_eq!((parse(&of("04")).len(), parse(&of("16")).len()), (1, 1));
        for other in ["me:$2", "me:$2y$", "me:$2zz$05$x", "me:{SHA}x", "me:"] {
            assert!(parse(other).is_empty(), "{other}");
        }
    }

    /// On one thread: a check on it would let nothing else happen before its end.
    #[tokio::test]
    async fn a_check_stops_nothing_else() {
        let (_file, users) = users(&format!("me:{}\n", bcrypt::hash("secret", 9).unwrap()));
        let ended = std::cell::Cell::new(false);
        let check = async {
            let wrong = users.check(Some(&header("me:wrong"))).await;
            ended.set(true);
            wrong
        };
        let other = async { ended.get() };
        let (wrong, was_first) = tokio::join!(check, other);
        assert_eq!((code(wrong), was_first), (Some(Code::Unauthorized), false));
    }

    /// Clients with wrong passwords wait for each other; who was let in before does not wait for them.
    #[tokio::test]
    async fn who_is_known_does_not_wait_for_guesses() {
        let (_file, users) = users(&format!("me:{}\n", bcrypt::hash("secret", 4).unwrap()));
        assert_eq!(code(users.check(Some(&header("me:secret"))).await), None);
        let _all = users.checks.acquire_many(u32::try_from(at_once()).unwrap()).await.unwrap();
        assert_eq!(code(users.check(Some(&header("me:secret"))).await), None);
        let guess = header("me:guess");
        let mut guess = std::pin::pin!(users.check(Some(&guess)));
        assert!(
            std::future::poll_fn(|cx| std::task::Poll::Ready(guess.as_mut().poll(cx).is_pending())).await
        );
    }

    #[tokio::test]
    async fn passwords() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let hash = bcrypt::hash("secret", 4).unwrap();
        std::fs::write(file.path(), format!("# users\n\nme:{hash}\nold:$apr1$x$y\n")).unwrap();
        let users = Htpasswd::new("the \"realm\"", file.path()).unwrap();
        assert_eq!(users.challenge, r#"Basic realm="the \"realm\"""#);
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
