//! OCI documents and names. Does no I/O.
//!
//! - [`digest`]: content digests and the streaming hasher that makes them
//! - [`reference`]: image references by the rules of the distribution project, and Docker's familiar form of them
//! - [`platform`]: operating system and processor of an image, and which one a host prefers
//! - [`image`]: the documents of an image: configuration, manifest, index, descriptor
//! - [`runtime`]: the documents of the runtime specification, re-exported from `oci-spec`

pub mod digest;
mod error;
pub mod image;
pub mod path;
pub mod platform;
pub mod reference;
mod text;

pub use digest::{Algorithm, Digest, Hasher, chain_id, chain_ids};
pub use error::{DigestError, PlatformError, ReferenceError};
pub use oci_spec::{OciSpecError, runtime};
pub use platform::{Matcher, Platform};
pub use reference::{AnyReference, Reference};
