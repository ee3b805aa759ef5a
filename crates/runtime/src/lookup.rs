//! Finding the program to execute, by the rules and with the words of Go's `exec.LookPath`, which runc uses.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Access, AtFlags, CWD, FileType};
use wharf_sys::Errno;

use crate::error::{Error, Result, errno_text};

/// The path to execute for `program`, as seen from the current root and working directory with the current user's rights.
/// `path` is the value of `PATH` in the new environment.
pub(crate) fn find(program: &str, path: &str) -> Result<CString> {
    let fail = |reason: String| Error::Init(format!("exec: {program:?}: {reason}"));
    if program.contains('/') {
        check(program).map_err(fail)?;
        return CString::new(program).map_err(|_| fail(errno_text(Errno::INVAL)));
    }
    for directory in path.split(':').filter(|_| !program.is_empty() && !path.is_empty()) {
        let candidate = if directory.is_empty() {
            format!("./{program}")
        } else {
            format!("{}/{program}", directory.trim_end_matches('/'))
        };
        if check(&candidate).is_ok() {
            if !directory.starts_with('/') {
                return Err(fail("cannot run executable found relative to current directory".into()));
            }
            return CString::new(candidate).map_err(|_| fail(errno_text(Errno::INVAL)));
        }
    }
    Err(fail("executable file not found in $PATH".into()))
}

fn check(path: &str) -> Result<(), String> {
    let stat = rustix::fs::stat(OsStr::from_bytes(path.as_bytes()))
        .map_err(|errno| format!("stat {path}: {}", errno_text(errno)))?;
    if FileType::from_raw_mode(stat.st_mode).is_dir() {
        // compat: runc reports a directory with both reasons.
        return Err(format!("{}: {}", errno_text(Errno::ISDIR), errno_text(Errno::ACCESS)));
    }
    match rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS) {
        Ok(()) => Ok(()),
        // faccessat2 is missing before Linux 5.8 and in some filters: then the mode bits decide.
        Err(Errno::NOSYS | Errno::PERM) if stat.st_mode & 0o111 != 0 => Ok(()),
        Err(Errno::NOSYS | Errno::PERM | Errno::ACCESS) => Err(errno_text(Errno::ACCESS)),
        Err(errno) => Err(errno_text(errno)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let text = |program: &str| find(program, "/usr/bin:/bin").unwrap_err().to_string();
        assert_eq!(text("nosuch-program"), "exec: \"nosuch-program\": executable file not found in $PATH");
        assert_eq!(text("/nosuch"), "exec: \"/nosuch\": stat /nosuch: no such file or directory");
        assert_eq!(text("/etc"), "exec: \"/etc\": is a directory: permission denied");
        assert_eq!(text("/etc/passwd"), "exec: \"/etc/passwd\": permission denied");
        assert_eq!(text(""), "exec: \"\": executable file not found in $PATH");
        assert_eq!(find("sh", "/nosuch:/bin").unwrap().to_str().unwrap(), "/bin/sh");
        assert!(find("sh", "").is_err());
    }
}
