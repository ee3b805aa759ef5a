//! Docker itself, and other tools that speak to registries.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

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
    /// The one that `ORACLE` names or that lies beside the checkout, if Docker's engine answers there.
    pub fn find(name: &str) -> Option<Oracle> {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/oracle/oracle");
        let program = env::var_os("ORACLE").map_or(beside, PathBuf::from);
        let share = env::var_os("ORACLE_SHARE").map_or_else(|| "/tmp/oracle-share".into(), PathBuf::from);
        let folder = share.join(format!("wharf-{name}-{}", std::process::id()));
        let oracle = Oracle { program, folder };
        let answers = oracle.program.exists() && oracle.docker(&["version"]).code == 0;
        if !answers {
            eprintln!("skipped: no Docker to compare with");
            return None;
        }
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
