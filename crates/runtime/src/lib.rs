//! OCI runtime: bundle to process.
