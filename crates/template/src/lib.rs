//! The Go template language behind `--format` and log tags.
