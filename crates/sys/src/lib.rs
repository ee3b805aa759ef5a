//! Thin safe wrappers over the kernel: the only crate with `unsafe`.
