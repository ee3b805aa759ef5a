//! Transcripts recorded from Docker: shell commands with what they printed and their exit codes.
//!
//! A transcript is a text file of blocks:
//!
//! ```text
//! # a remark
//! $ docker exec golden-one sh -c 'echo out; echo err >&2; exit 3'
//! out
//! ! err
//! = 3
//! ```
//!
//! `$` starts a command, `!` marks a line of its standard error, `=` an exit code other than 0. What differs between two
//! runs (ids, times, addresses) is normalised on both sides, see [`normalise`].

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use regex::Regex;

use crate::{TestDaemon, binary, busybox_tar};

/// The image that transcripts use: a root file system of busybox.
const IMAGE: &str = "golden";

/// Replays `tests/golden/NAME.txt` against an engine of its own. With `GOLDEN_RECORD` set it is recorded anew instead,
/// from the command line in `PEER` with `PEER_HOST` as its `DOCKER_HOST`.
///
/// # Panics
/// A command does something else than it did with Docker.
pub fn golden(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/{name}.txt"));
    let recorded = fs::read_to_string(&path).unwrap();
    if std::env::var_os("GOLDEN_RECORD").is_some() {
        let text = Shell::peer().transcript(&recorded);
        fs::write(&path, text).unwrap();
        return;
    }
    let daemon = TestDaemon::start(&format!("g{name}"));
    let replayed = Shell::wharf(&daemon).transcript(&recorded);
    assert!(replayed == recorded, "{}:\n{}", path.display(), difference(&recorded, &replayed));
}

/// Where commands run: `docker` is the command line in question.
struct Shell {
    folder: tempfile::TempDir,
    host: String,
}

impl Shell {
    fn wharf(daemon: &TestDaemon) -> Shell {
        let shell = Shell { folder: tempfile::tempdir().unwrap(), host: daemon.host() };
        symlink(binary(), shell.folder.path().join("docker")).unwrap();
        shell.import()
    }

    fn peer() -> Shell {
        let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
        let shell = Shell { folder: tempfile::tempdir().unwrap(), host: variable("PEER_HOST") };
        let script = shell.folder.path().join("docker");
        fs::write(&script, format!("#!/bin/sh\nexec {} \"$@\"\n", variable("PEER"))).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        shell.import()
    }

    fn import(self) -> Shell {
        fs::write(self.folder.path().join("rootfs.tar"), busybox_tar()).unwrap();
        let output = self.command(&format!("docker import -c 'CMD [\"sh\"]' rootfs.tar {IMAGE}")).output();
        assert!(output.unwrap().status.success());
        self
    }

    fn command(&self, line: &str) -> Command {
        let mut path = PathBuf::from(self.folder.path()).into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("PATH", path).env("HOME", self.folder.path()).env("DOCKER_HOST", &self.host);
        command.env_remove("DOCKER_CONFIG");
        command
    }

    /// The transcript of the commands and remarks in `script`.
    fn transcript(&self, script: &str) -> String {
        let mut text = String::new();
        for line in script.lines() {
            if line.starts_with('#') || line.is_empty() {
                writeln!(text, "{line}").unwrap();
            } else if let Some(command) = line.strip_prefix("$ ") {
                writeln!(text, "{line}").unwrap();
                self.run(command, &mut text);
            }
        }
        text
    }

    fn run(&self, command: &str, text: &mut String) {
        let output = self.command(command).output().unwrap();
        for line in normalise(&String::from_utf8_lossy(&output.stdout)).lines() {
            writeln!(text, "{}{line}", if escapes(line) { "\\" } else { "" }).unwrap();
        }
        for line in normalise(&String::from_utf8_lossy(&output.stderr)).lines() {
            writeln!(text, "{}", format!("! {line}").trim_end()).unwrap();
        }
        match output.status.code() {
            Some(0) => {}
            Some(code) => writeln!(text, "= {code}").unwrap(),
            None => writeln!(text, "= signal").unwrap(),
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // A command that failed midway may have left containers.
        let _ = self.command("docker rm -f $(docker ps -aqf name=golden-)").output();
        let _ = self.command(&format!("docker rmi -f {IMAGE}")).output();
    }
}

/// Whether a line of output would be read as something else, or lost.
fn escapes(line: &str) -> bool {
    line.is_empty() || line.starts_with(['$', '#', '!', '=', '\\'])
}

/// Replaces what differs from run to run: hexadecimal ids, times, durations, addresses. Runs of blanks in tables depend on
/// their width and become two.
fn normalise(text: &str) -> String {
    static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let patterns = [
            (r"\b[0-9a-f]{64}\b", "<ID>"),
            (r"\b[0-9a-f]{12}\b", "<SHORT-ID>"),
            (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| ?[+-]\d\d:?\d\d( UTC)?)", "<TIME>"),
            (r"\b(Less than a second|About an? \w+|\d+ (second|minute|hour|day)s?)( ago)?\b", "<SPAN>"),
            (r"\b\d+\.\d+\.\d+\.\d+\b", "<IP>"),
            (r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b", "<MAC>"),
            (r"  +", "  "),
        ];
        patterns.map(|(pattern, with)| (Regex::new(&format!("(?-u){pattern}")).unwrap(), with)).into()
    });
    let mut text = text.to_owned();
    for (pattern, with) in PATTERNS.iter() {
        text = pattern.replace_all(&text, *with).into_owned();
    }
    text
}

/// The commands whose output differs, with both outputs.
fn difference(recorded: &str, replayed: &str) -> String {
    let blocks = |text: &str| text.split("\n$ ").map(str::to_owned).collect::<Vec<_>>();
    let pairs = blocks(recorded).into_iter().zip(blocks(replayed));
    let differing = pairs.filter(|(recorded, replayed)| recorded != replayed);
    differing.map(|(docker, wharf)| format!("--- docker\n$ {docker}\n+++ wharf\n$ {wharf}\n")).collect()
}
