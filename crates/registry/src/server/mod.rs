//! A registry: the distribution protocol over files in the layout of the reference registry.
//!
//! - [`serve`]: listens, until told to end
//! - [`Config`] (`config`): file, environment, flags
//! - [`collect_garbage`] (`collect`): removes what nothing refers to, also while a server writes
//! - `route`: what a path means; `blobs`, `uploads`, `manifests`, `listing`, `referrers`, `page`: the handlers
//! - `auth`: who may do what; `upstream`: registries whose content is cached here
//! - `store`: blobs, manifests and tags over `storage`, the seam to what the bytes lie on; `layout`: their names there
//! - `connection`: sockets, TLS, time limits
//!
//! Handlers are asynchronous; everything that touches the storage runs on threads that may block (`blocking`).
//!
//! Specification: <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md>.

mod auth;
mod blobs;
mod blocking;
mod call;
mod collect;
mod config;
mod connection;
mod document;
mod failure;
mod layout;
mod listing;
mod manifests;
mod metrics;
mod name;
mod page;
mod range;
mod receive;
mod referrers;
mod reply;
mod route;
mod router;
mod session;
mod storage;
mod store;
mod uploads;
mod upstream;

use std::sync::Arc;

pub use auth::AuthError;
pub use collect::{Collected, collect_garbage};
pub use config::{Config, ConfigError};
pub use connection::serve;

use self::auth::Authority;
use self::metrics::Metrics;
use self::referrers::Completed;
use self::session::Sessions;
use self::storage::Disk;
use self::store::Store;
use self::upstream::Upstreams;

/// What keeps a server from starting.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The files that say who may do what.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// Certificate and key.
    #[error("TLS: {0}")]
    Tls(String),
    /// An upstream that cannot be asked.
    #[error("upstream {url}: {reason}")]
    Upstream {
        /// Its address.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The storage cannot be used.
    #[error("the storage at {} cannot be used", .path.display())]
    Storage {
        /// Where.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A running registry.
pub(crate) struct Registry {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) sessions: Sessions,
    pub(crate) completed: Completed,
    pub(crate) authority: Authority,
    pub(crate) upstreams: Upstreams,
    pub(crate) metrics: Metrics,
}

impl Registry {
    fn open(config: Config) -> Result<Arc<Self>, ServeError> {
        if !config.read_only {
            std::fs::create_dir_all(&config.root)
                .map_err(|source| ServeError::Storage { path: config.root.clone(), source })?;
        }
        let authority = Authority::new(&config.auth)?;
        let upstreams = Upstreams::new(&config)?;
        Ok(Arc::new(Self {
            store: Store::new(Arc::new(Disk::new(&config.root))),
            sessions: Sessions::default(),
            completed: Completed::default(),
            metrics: Metrics::default(),
            authority,
            upstreams,
            config,
        }))
    }
}
