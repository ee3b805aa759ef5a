//! One test for every MUST that the distribution specification 1.1 puts on a registry, and for most SHOULDs, named after
//! it and with its words. What the registry does beyond the specification is tested beside this folder.
//!
//! | section of the specification               | here             |
//! |--------------------------------------------|------------------|
//! | Pulling manifests, Pulling blobs           | `pull`           |
//! | Range request support                      | `pull`           |
//! | Checking if content exists                 | `pull`           |
//! | Pushing a blob monolithically              | `push_whole`     |
//! | Mounting a blob from another repository    | `push_whole`     |
//! | Pushing a blob in chunks                   | `push_chunks`    |
//! | Cancel a blob upload                       | `push_chunks`    |
//! | Pushing manifests, with subject            | `push_manifests` |
//! | Listing tags                               | `tags`           |
//! | Listing referrers, enabling the API        | `referrers`      |
//! | Deleting tags, manifests, blobs            | `delete`         |
//! | Registry proxying                          | `api`            |
//! | Determining support, Endpoints             | `api`            |
//! | Error codes, Warnings                      | `api`            |
//!
//! Specification: <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md>.

mod api;
mod delete;
mod pull;
mod push_chunks;
mod push_manifests;
mod push_whole;
mod referrers;
mod tags;
