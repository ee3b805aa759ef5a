//! A disk that is small.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// An ext4 file system of its own on a loop device. Both go when it is dropped, also in a panic: the kernel frees the device
/// with its last mount.
#[derive(Debug)]
pub struct SmallDisk {
    at: PathBuf,
    _image: tempfile::NamedTempFile,
}

impl SmallDisk {
    /// Mounts one of `megabytes` at the folder `at`.
    pub fn mount(at: &Path, megabytes: u64) -> SmallDisk {
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(megabytes << 20).unwrap();
        // Nothing is kept back for root, who runs the tests.
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(image.path()));
        run(Command::new("mount").args(["-o", "loop"]).arg(image.path()).arg(at));
        let disk = SmallDisk { at: at.to_owned(), _image: image };
        // An empty folder is easier to compare with.
        fs::remove_dir(disk.at.join("lost+found")).unwrap();
        disk
    }

    /// Kilobytes in use.
    pub fn used(&self) -> u64 {
        self.df("used")
    }

    /// Kilobytes that are free.
    pub fn free(&self) -> u64 {
        self.df("avail")
    }

    fn df(&self, column: &str) -> u64 {
        let output = Command::new("df").args(["-k", &format!("--output={column}")]).arg(&self.at).output();
        String::from_utf8_lossy(&output.unwrap().stdout).split_whitespace().last().unwrap().parse().unwrap()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever has files open keeps them; the mount goes from here at once and altogether with the last of them.
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
