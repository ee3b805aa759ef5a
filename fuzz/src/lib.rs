//! What is done with any text at all: by the fuzz targets in `fuzz/` and, on mutated files, by the tests.
#![allow(missing_docs)]

use wharf_build::dockerfile::Dockerfile;
use wharf_build::ignore::Matcher;
use wharf_build::plan::{Images, PlanOptions, ResolvedImage, check, outline, plan};
use wharf_oci::image::ImageConfig;
use wharf_oci::{Digest, Platform};

/// Every image is there, and has a trigger.
pub struct Every;

impl Images for Every {
    fn resolve(&self, name: &str, _: &Platform) -> Result<ResolvedImage, String> {
        let mut config = ImageConfig::default();
        config.config.on_build = Some(vec!["COPY --from=another a b".to_owned()]);
        Ok(ResolvedImage { reference: name.to_owned(), id: Digest::sha256(name.as_bytes()), config })
    }
}

pub fn dockerfile(text: &str) {
    let Ok(file) = Dockerfile::parse(text) else { return };
    let options = PlanOptions {
        build_args: [("BASE".to_owned(), "base".to_owned())].into(),
        platforms: ["linux/amd64", "linux/arm64"].iter().filter_map(|p| Platform::parse(p).ok()).collect(),
        ..PlanOptions::default()
    };
    let found = check(&file, &options, &Every);
    let lines = text.lines().count().max(1);
    assert!(found.warnings.iter().all(|warning| *warning.lines.end() <= lines));
    if let Ok(outline) = outline(&file, &options) {
        assert!(outline.args.iter().all(|arg| *arg.lines.end() <= lines));
    }
    if let Ok(graph) = plan(&file, &options, &Every) {
        for (at, node) in graph.nodes.iter().enumerate() {
            assert!(node.op.inputs().iter().all(|input| input.0 < at), "inputs come first");
        }
    }
}

/// The patterns end at the first empty line; what follows are paths.
pub fn dockerignore(text: &str) {
    let (patterns, paths) = text.split_once("\n\n").unwrap_or((text, "a\na/b\na/b/c.txt"));
    let Ok(matcher) = Matcher::parse(patterns) else { return };
    for path in paths.lines().filter(|path| !path.is_empty()) {
        let excluded = matcher.excluded(path);
        // A folder that is skipped has nothing in it that would be kept.
        if excluded && matcher.skips_folder(path) {
            assert!(matcher.excluded(&format!("{path}/below")), "{patterns:?} {path:?}");
        }
    }
}
