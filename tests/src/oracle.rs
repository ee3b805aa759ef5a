//! Docker itself, and other tools that speak to registries.

use std::{env, fs, path::PathBuf, process::Command};

use crate::Output;

/// A program that runs Docker (`docker ARGS…`) and, in the same root file system, other tools (`in CMD…`). It is no part
/// of this repository; what needs it has nothing to do where it is not.
#[derive(Debug)]
pub struct Oracle {
    program: PathBuf,
    /// A folder that those tools see under the same name.
    pub folder: PathBuf,
}

impl Oracle {
    /// The one that `ORACLE` names, if Docker's engine answers there; `ORACLE_SHARE` is the folder that it shares with
    /// this host, that for temporary files by default.
    pub fn find(name: &str) -> Option<Oracle> {
        let Some(program) = env::var_os("ORACLE").map(PathBuf::from) else {
            eprintln!("skipped: no Docker to compare with; ORACLE names one");
            return None;
        };
        let share = env::var_os("ORACLE_SHARE").map_or_else(env::temp_dir, PathBuf::from);
        let folder = share.join(format!("wharf-{name}-{}", std::process::id()));
        let oracle = Oracle { program, folder };
        assert_eq!(oracle.docker(&["version"]).code, 0, "the Docker that ORACLE names does not answer");
        fs::create_dir_all(&oracle.folder).unwrap();
        Some(oracle)
    }

    /// Runs Docker's command line against Docker's engine.
    pub fn docker(&self, args: &[&str]) -> Output {
        Command::new(&self.program).arg("docker").args(args).output().unwrap().into()
    }

    /// Runs a shell script among the other tools, in the folder; returns what it prints, trimmed.
    pub fn script(&self, script: &str) -> String {
        let script = format!("set -e; cd '{}'; {script}", self.folder.display());
        Output::from(Command::new(&self.program).args(["in", "sh", "-c", &script]).output().unwrap()).ok()
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
