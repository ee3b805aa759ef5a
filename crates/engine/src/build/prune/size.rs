//! Sizes of the folders in the build cache, kept beside them so that nobody who asks waits for a walk over their files.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use jiff::Timestamp;

/// The file beside a folder that has its size in it, and when the folder was last changed before it was measured.
pub(super) fn note(folder: &Path) -> PathBuf {
    folder.with_extension("size")
}

/// Bytes of the files in a folder that was last used then. `running` counts the builds that may be writing to it: what is
/// measured meanwhile is not kept.
pub(super) fn of_folder(folder: &Path, last_used: Timestamp, running: &AtomicUsize) -> u64 {
    let idle = || running.load(Ordering::SeqCst) == 0;
    let state = state(folder, last_used);
    if let Some(size) = kept(folder, &state) {
        return size;
    }
    let quiet = idle();
    let size = crate::disk::folder_size(folder, &mut HashSet::new());
    if quiet && idle() {
        // Without the note it is measured again.
        let _ = fs::write(note(folder), format!("{size} {state}"));
    }
    size
}

fn kept(folder: &Path, state: &str) -> Option<u64> {
    let text = fs::read_to_string(note(folder)).ok()?;
    let (size, of) = text.split_once(' ')?;
    (of == state).then(|| size.parse().ok()).flatten()
}

/// What is different after a folder was used.
fn state(folder: &Path, last_used: Timestamp) -> String {
    let modified = fs::metadata(folder).and_then(|metadata| metadata.modified());
    let modified = modified.ok().and_then(|at| Timestamp::try_from(at).ok()).unwrap_or_default();
    format!("{} {}", last_used.as_nanosecond(), modified.as_nanosecond())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_measured_once_after_each_use() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("cache");
        fs::create_dir_all(folder.join("deep")).unwrap();
        let grow = |bytes: usize| fs::write(folder.join("deep/file"), vec![0; bytes]).unwrap();
        let (idle, busy) = (AtomicUsize::new(0), AtomicUsize::new(1));
        let (first, second) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(1).unwrap());
        grow(10);
        assert_eq!(of_folder(&folder, first, &busy), 10);
        grow(20);
        assert_eq!(of_folder(&folder, first, &idle), 20);
        grow(30);
        // Nobody said that it was used: nobody looked.
        assert_eq!(of_folder(&folder, first, &idle), 20);
        assert_eq!(of_folder(&folder, second, &idle), 30);
    }
}
