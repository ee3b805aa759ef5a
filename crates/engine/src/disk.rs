//! What is on disk: layers and volumes, for `system df`, and volumes that nobody needs.

use std::{collections::HashSet, fs, os::unix::fs::MetadataExt, path::Path};

use crate::{Engine, Result, volume::Volume};

impl Engine {
    /// Bytes of a volume's content.
    pub fn volume_size(&self, name: &str) -> u64 {
        folder_size(&self.paths.volume_data(name), &mut HashSet::new())
    }

    /// Removes all volumes that no container mounts and that `matches` accepts; returns their names and the bytes freed.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn prune_volumes(&self, matches: impl Fn(&Volume) -> bool) -> Result<(Vec<String>, u64)> {
        let (mut removed, mut freed) = (Vec::new(), 0);
        for volume in self.volumes()? {
            if !self.volume_users(&volume.name).is_empty() || !matches(&volume) {
                continue;
            }
            let size = self.volume_size(&volume.name);
            match self.remove_volume(&volume.name, false) {
                Ok(()) => {
                    removed.push(volume.name);
                    freed += size;
                }
                // Taken into use or removed by somebody else in between.
                Err(error) => tracing::debug!(volume = %volume.name, %error, "not pruned"),
            }
        }
        let attributes = [("reclaimed".to_owned(), freed.to_string())].into_iter().collect();
        self.events.publish("volume", "prune", "", attributes);
        Ok((removed, freed))
    }
}

/// Bytes of the files below a folder; one with several names counts once. What cannot be read counts as nothing.
pub(crate) fn folder_size(folder: &Path, seen: &mut HashSet<(u64, u64)>) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_size(&entry.path(), seen),
        Ok(metadata) if metadata.nlink() > 1 && !seen.insert((metadata.dev(), metadata.ino())) => 0,
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn files_with_several_names_count_once() {
        let folder = tempfile::tempdir().unwrap();
        let size = || folder_size(folder.path(), &mut HashSet::new());
        assert_eq!(size(), 0);
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("sub/file"), [1; 1000]).unwrap();
        fs::hard_link(folder.path().join("sub/file"), folder.path().join("again")).unwrap();
        fs::write(folder.path().join("other"), [1; 10]).unwrap();
        assert_eq!(size(), 1010);
        assert_eq!(folder_size(Path::new("/nonexistent"), &mut HashSet::new()), 0);
    }
}
