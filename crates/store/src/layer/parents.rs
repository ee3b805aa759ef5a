//! Folders of a tree that is being unpacked, resolved inside it and kept open while entries of one folder follow each
//! other, as they do in real archives.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Folders kept open. Archives go through folders depth first, so a few are enough.
const KEPT: usize = 8;

/// Flags of a folder opened as a starting point only.
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The folders of one tree. Paths are relative to its root and have no `.`, `..` or empty components.
pub(crate) struct Parents {
    root: Rc<OwnedFd>,
    kept: Vec<(Vec<u8>, Rc<OwnedFd>)>,
}

impl Parents {
    pub(crate) fn new(root: OwnedFd) -> Self {
        Self { root: Rc::new(root), kept: Vec::with_capacity(KEPT) }
    }

    /// The root folder.
    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The folder at `path`. Links in it are followed with the tree as their root, so it is always inside.
    pub(crate) fn open(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>, Errno> {
        if path.is_empty() {
            return Ok(Rc::clone(&self.root));
        }
        if let Some(at) = self.kept.iter().position(|(kept, _)| kept == path) {
            self.kept[..=at].rotate_right(1);
            return Ok(Rc::clone(&self.kept[0].1));
        }
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let folder = Rc::new(rustix::fs::openat2(&*self.root, path, FOLDER, Mode::empty(), inside)?);
        self.keep(path, &folder);
        Ok(folder)
    }

    /// [`Parents::open`], making missing folders: root's, mode 0755, as Docker does for entries without parent.
    pub(crate) fn make(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>, Errno> {
        match self.open(path) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        let mut folder = Rc::clone(&self.root);
        for end in component_ends(path) {
            folder = match self.open(&path[..end]) {
                Ok(folder) => folder,
                Err(Errno::NOENT) => {
                    let (_, name) = split(&path[..end]);
                    // Fails for a link that leads nowhere.
                    rustix::fs::mkdirat(&*folder, name, Mode::from_raw_mode(0o755))?;
                    let made = self.open(&path[..end])?;
                    // The umask may have taken bits away. Not by name: in a running container it may be a link by now.
                    let by_descriptor = format!("/proc/self/fd/{}", made.as_raw_fd());
                    rustix::fs::chmod(by_descriptor, Mode::from_raw_mode(0o755))?;
                    made
                }
                Err(errno) => return Err(errno),
            };
        }
        Ok(folder)
    }

    /// Forgets everything, because something was replaced that a kept folder may lie in.
    pub(crate) fn clear(&mut self) {
        self.kept.clear();
    }

    fn keep(&mut self, path: &[u8], folder: &Rc<OwnedFd>) {
        self.kept.truncate(KEPT - 1);
        self.kept.insert(0, (path.to_vec(), Rc::clone(folder)));
    }
}

/// Parent path and last component; the parent of a single component is empty, the root.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

fn component_ends(path: &[u8]) -> impl Iterator<Item = usize> {
    (1..=path.len()).filter(|&end| end == path.len() || path[end] == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart() {
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(split(b"a"), (&b""[..], &b"a"[..]));
        assert_eq!(component_ends(b"a/bc/d").collect::<Vec<_>>(), [1, 4, 6]);
    }
}
