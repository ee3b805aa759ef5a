//! Building images in tests.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Output, TestDaemon};

impl TestDaemon {
    /// The folder of a build, with only a Dockerfile and these files in it.
    pub fn context(&self, dockerfile: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = self.folder.join("context");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
        for (path, content) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    /// Builds a folder; progress is plain lines on standard error.
    pub fn build(&self, folder: &Path, args: &[&str]) -> Output {
        self.wharf(&[&["build", "--progress", "plain"], args, &[folder.to_str().unwrap()]].concat())
    }
}

impl Output {
    /// Names of the steps of a build that came from the cache, in order of their names: lines of steps that are
    /// done at once may come in any order.
    pub fn cached(&self) -> Vec<String> {
        let mut names = std::collections::HashMap::new();
        let mut found = Vec::new();
        for (step, text) in self.stderr.lines().filter_map(|line| line.split_once(' ')) {
            if text.starts_with('[') {
                names.insert(step, text);
            } else if text == "CACHED" {
                found.push(names[step].to_owned());
            }
        }
        found.sort();
        found
    }
}
