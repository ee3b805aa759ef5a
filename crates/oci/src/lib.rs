//! OCI documents and names: image configuration, manifests, digests, references and platforms. Does no I/O.
