//! Dockerfiles with mistakes in them: each is planned or refused, quickly and without a panic.
#![allow(clippy::unwrap_used, missing_docs)]

/// What the fuzz targets do with any text.
#[path = "../../../fuzz/src/lib.rs"]
pub mod any;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use wharf_build::dockerfile::Dockerfile;
use wharf_build::plan::{PlanOptions, plan};

/// What mistakes are made of.
const PIECES: [&str; 28] = [
    "\n",
    "\\\n",
    "\\",
    "$",
    "${",
    "}",
    "${x:-",
    "${x//",
    "\"",
    "'",
    "<<EOF",
    "\nEOF\n",
    "[",
    "]",
    "--",
    "=",
    "--from=0 ",
    "--mount=type=",
    ",",
    "#",
    " ",
    "\t",
    "\u{0}",
    "é",
    "FROM x AS y\n",
    "ONBUILD ",
    "../",
    "\u{feff}",
];

fn texts() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dockerfiles");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let dockerfiles = paths.iter().filter(|path| path.extension().is_some_and(|e| e == "Dockerfile"));
    dockerfiles.map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// Puts a piece in place of some characters.
fn change(text: &str, at: Index, cut: usize, piece: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = at.index(chars.len() + 1);
    let after = (at + cut).min(chars.len());
    chars[..at].iter().collect::<String>() + piece + &chars[after..].iter().collect::<String>()
}

/// What mistakes in them are made of.
const IGNORE_PIECES: [&str; 16] =
    ["**", "*", "/", "!", "[", "]", "^", "-", "?", "\\", "..", "\n", "\n\n", "#", "é", "./"];

/// Patterns and paths that mistakes are put into.
const IGNORES: [&str; 3] = [
    "**/*.log\nnode_modules\n!node_modules/keep\n*/temp?\n\nnode_modules/keep\na/x.log\na/temp1",
    "*\n!src\nsrc/**/test\n\nsrc\nsrc/a/test\nREADME.md",
    "# comment\n/abs/**\n[a-c]*\n\\#x\n!**\n\nabs/x\nbee\n#x",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mistakes(
        which in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), 0_usize..12, any::<Index>()), 1..6),
    ) {
        let texts = texts();
        let mut text = texts[which.index(texts.len())].clone();
        for (at, cut, piece) in changes {
            text = change(&text, at, cut, PIECES[piece.index(PIECES.len())]);
        }
        any::dockerfile(&text);
    }

    #[test]
    fn mistakes_in_ignore_files(
        which in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), 0_usize..6, any::<Index>()), 1..6),
    ) {
        let mut text = IGNORES[which.index(IGNORES.len())].to_owned();
        for (at, cut, piece) in changes {
            text = change(&text, at, cut, IGNORE_PIECES[piece.index(IGNORE_PIECES.len())]);
        }
        any::dockerignore(&text);
    }
}

#[test]
fn doubling_a_variable_again_and_again_is_refused() {
    let text = format!("FROM a\nENV a=0123456789\n{}", "ENV a=$a$a\n".repeat(60));
    let error = plan(&Dockerfile::parse(&text).unwrap(), &PlanOptions::default(), &any::Every).unwrap_err();
    assert!(error.message.contains("longer than 1048576 bytes"), "{error}");
    let text = format!("ARG a=0123456789\n{}FROM a\n", "ARG a=$a$a\n".repeat(60));
    let error = plan(&Dockerfile::parse(&text).unwrap(), &PlanOptions::default(), &any::Every).unwrap_err();
    assert!(error.message.contains("longer than 1048576 bytes"), "{error}");
}

#[test]
fn many_stages_are_planned() {
    let stages: String = (1..3000).map(|i| format!("FROM s{} AS s{i}\nRUN {i}\n", i - 1)).collect();
    let text = format!("FROM a AS s0\n{stages}");
    let graph = plan(&Dockerfile::parse(&text).unwrap(), &PlanOptions::default(), &any::Every).unwrap();
    assert_eq!(graph.nodes.len(), 3000 + 2);
}
