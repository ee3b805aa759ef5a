//! Who may do what.

mod htpasswd;
mod jwt;
mod keys;
mod token;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};

use self::htpasswd::Htpasswd;
use self::token::Tokens;
use super::config::Auth;
use super::failure::{Code, Failure};
use super::name::Name;

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Reads of a repository.
    Pull,
    /// Writes to a repository.
    Push,
    /// Removes from a repository.
    Delete,
    /// Looks at the registry as a whole.
    Catalog,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
            Self::Catalog => "*",
        }
    }
}

/// What a client needs to be allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need<'a> {
    /// The repository, unless it is the registry as a whole.
    pub(crate) name: Option<&'a Name>,
    /// What is done there.
    pub(crate) action: Action,
}

/// Decides.
pub(crate) enum Authority {
    Open,
    Htpasswd(Box<Htpasswd>),
    Token(Box<Tokens>),
}

/// What cannot be used to decide.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// A file that cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file that has nothing that could be used.
    #[error("{}: {reason}", .path.display())]
    Content {
        /// Which.
        path: std::path::PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl Authority {
    /// Reads the files that decide.
    pub(crate) fn new(auth: &Auth) -> Result<Self, AuthError> {
        Ok(match auth {
            Auth::Open => Self::Open,
            Auth::Htpasswd { realm, path } => Self::Htpasswd(Box::new(Htpasswd::new(realm, path)?)),
            Auth::Token(config) => Self::Token(Box::new(Tokens::new(config)?)),
        })
    }

    /// Lets a request pass, or says what it lacks. Without needs, any valid identity will do.
    pub(crate) async fn check(&self, headers: &HeaderMap, needs: &[Need<'_>]) -> Result<(), Failure> {
        let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        match self {
            Self::Open => Ok(()),
            Self::Htpasswd(users) => users.check(authorization).await,
            Self::Token(tokens) => tokens.check(authorization, needs),
        }
    }
}

/// 401 with a challenge.
fn unauthorized(challenge: &str) -> Failure {
    let failure = Failure::new(Code::Unauthorized, "authentication required");
    match HeaderValue::from_str(challenge) {
        Ok(challenge) => failure.header(WWW_AUTHENTICATE, challenge),
        Err(_) => failure,
    }
}

/// A text between quotes in a header.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
