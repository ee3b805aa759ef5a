//! `load`: images from an archive.

use std::collections::HashMap;
use std::io::Read;
use std::time::{Duration, Instant};

use wharf_api::progress::Progress;
use wharf_oci::Platform;
use wharf_store::{LoadProgress, Loaded};

use super::{Images, bar};
use crate::{Error, Result};

/// Time between two progress lines of a layer.
const PACE: Duration = Duration::from_millis(100);

impl Images {
    /// Loads the images of an archive: Docker's, old or new, or an image layout. `quiet` leaves out how far layers are.
    ///
    /// # Errors
    /// 500 for what is no image archive, contradicts itself or is hostile.
    pub fn load(
        &self,
        archive: &mut (dyn Read + Send),
        platform: Option<&Platform>,
        quiet: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let mut reported: HashMap<String, Instant> = HashMap::new();
        let loaded = self.store.load(archive, platform, &mut |at: LoadProgress<'_>| {
            let id = at.layer.short();
            let due = reported.get(id).is_none_or(|last| last.elapsed() >= PACE) || at.current == at.total;
            if due && !quiet {
                reported.insert(id.to_owned(), Instant::now());
                progress(bar::line(id, "Loading layer", at.current, at.total));
            }
        });
        // Also after a failure: layers that arrived before it go.
        self.housekeeper.soon();
        let loaded = loaded?;
        if loaded.is_empty() {
            // compat: an empty line tells that nothing was for the platform.
            progress(Progress::default());
        }
        for line in lines(&loaded) {
            progress(Progress::stream(line));
        }
        for image in &loaded {
            let record = self.db.read(|view| Ok::<_, Error>(self.store.images().get(view, &image.image)?))?;
            if let Some(record) = record {
                self.publish_id("load", &record);
            }
        }
        Ok(())
    }
}

/// What is told in the end: the names, or the ids if there is no name at all.
fn lines(loaded: &[Loaded]) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, before) in loaded.iter().flat_map(|image| &image.names) {
        let name = name.familiar();
        lines.extend(before.as_ref().map(|before| {
            format!(
                "The image {name} already exists, renaming the old one with ID {before} to empty string\n"
            )
        }));
        lines.push(format!("Loaded image: {name}\n"));
    }
    if lines.is_empty() {
        lines.extend(loaded.iter().map(|image| format!("Loaded image ID: {}\n", image.image)));
    }
    lines
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::expect;
    use wharf_oci::{Digest, Reference};

    use super::*;

    #[test]
    fn names_else_ids() {
        let id = Digest::sha256(b"");
        let image = |names: &[(&str, bool)]| Loaded {
            image: id.clone(),
            names: names
                .iter()
                .map(|(name, taken)| (Reference::parse(name).unwrap(), taken.then(|| id.clone())))
                .collect(),
        };
        let show = |loaded: &[Loaded]| lines(loaded).concat().replace(id.hex(), "ID");
        expect![[r#"
            Loaded image: a:1
            The image b:2 already exists, renaming the old one with ID sha256:ID to empty string
            Loaded image: b:2
        "#]]
        .assert_eq(&show(&[image(&[("a:1", false), ("b:2", true)]), image(&[])]));
        expect![[r#"
            Loaded image ID: sha256:ID
        "#]]
        .assert_eq(&show(&[image(&[])]));
    }
}
