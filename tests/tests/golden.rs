//! Transcripts of `tests/golden`, recorded from Docker and replayed here.
//!
//! To record them anew, or the answers to commands that were added: `GOLDEN_RECORD=1 PEER=docker PEER_HOST=unix://…
//! cargo test -p wharf-tests --test golden -- --test-threads 1`.

#![allow(missing_docs)]

use wharf_tests::golden;

#[test]
fn containers() {
    golden("containers");
}

#[test]
fn exec() {
    golden("exec");
}

#[test]
fn logs() {
    golden("logs");
}

#[test]
fn images() {
    golden("images");
}

#[test]
fn archives() {
    golden("archives");
}

#[test]
fn inspect() {
    golden("inspect");
}

#[test]
fn errors() {
    golden("errors");
}
