//! The distribution protocol. Its client: finds manifests, streams blobs, both ways. Its server: [`server`].
//!
//! - [`Client`] ([`client`]): what is configured (mirrors, insecure registries, time limits) and the token cache
//! - [`Repository`] ([`repository`]): one repository on the endpoint that answered; manifests, tags, blobs
//! - [`BlobStream`] ([`blob`]): a blob as bytes, resumed after faults, its length verified
//! - [`search`]: repositories that fit a term
//! - [`upload`]: blobs and manifests on their way to a registry
//! - [`Download`]: a file named by a URL
//! - `endpoint`: which URLs stand for a registry's name, and whether plain HTTP is allowed there
//! - `auth`: challenges, basic authentication and bearer tokens
//! - `failure`: what went wrong on the way, in the words Docker's users know
//! - `retry`: how long to wait before asking again
//! - `tls`: certificates of registries, and why they are not trusted
//! - [`Error`] ([`error`])
//!
//! The digest of a manifest is verified here, the digest of a layer by whoever unpacks it.
//!
//! Specification: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>.

mod auth;
pub mod blob;
pub mod client;
mod download;
mod endpoint;
pub mod error;
mod failure;
pub mod repository;
mod retry;
pub mod search;
pub mod server;
mod tls;
pub mod upload;

pub use auth::Credentials;
pub use blob::BlobStream;
pub use client::{Client, ClientConfig, Proxies};
pub use download::Download;
pub use error::{Error, ErrorItem, Result};
pub use repository::{Fetched, Image, Repository};
pub use upload::{Parts, Session, Source, Started};
