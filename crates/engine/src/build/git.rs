//! Sources from git repositories, by the `git` program of the host.
//!
//! Whoever writes a Dockerfile says what is cloned, so nothing of it may be taken for an option, no protocol but those of
//! the net is spoken, and nothing of this host's configuration, hooks or keys is used.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    io::{Read, Seek},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use wharf_build::graph::GitSource;

use super::{
    BuildClient, Cancel,
    agent::{Agent, AgentSocket},
    archive::Folder,
    tree::{Kind, Tree, TreeEntry},
};
use crate::{Engine, Error, Result};

/// Protocols that are spoken.
const PROTOCOLS: &str = "http:https:git:ssh";
/// No configuration, no keys and no known hosts of this host; hosts are not checked, as the reference builder has it for
/// those that the client says nothing about.
const SSH: &str = "ssh -F /dev/null -o BatchMode=yes -o IdentityFile=none -o StrictHostKeyChecking=no \
                   -o UserKnownHostsFile=/dev/null -o GlobalKnownHostsFile=/dev/null -o LogLevel=ERROR";
/// Settings of every call.
const SETTINGS: [&str; 12] = [
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.symlinks=true",
    "-c",
    "core.autocrlf=false",
    "-c",
    "advice.detachedHead=false",
    "-c",
    "init.defaultBranch=master",
    "-c",
    "gc.auto=0",
];
/// Variables of the engine that git may see.
const PASSED: [&str; 8] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];
/// As much of what git wrote as is told.
const TOLD: u64 = 64 << 10;

/// What a client lends for cloning one repository.
#[derive(Default)]
pub(super) struct Lent {
    agent: Option<Agent>,
    /// A header that lets one in.
    authorization: Option<String>,
}

impl Lent {
    /// What the client lends for a source: its agent for ssh; for the web the secret `GIT_AUTH_TOKEN` or
    /// `GIT_AUTH_HEADER`, that of the host first.
    ///
    /// # Errors
    /// The client is gone, or a secret is no text.
    pub(super) fn of(client: &dyn BuildClient, source: &GitSource) -> Result<Self> {
        let Some((_, rest)) =
            source.remote.split_once("://").filter(|(scheme, _)| scheme.starts_with("http"))
        else {
            return Ok(Self { agent: client.agent("default"), authorization: None });
        };
        let host = rest.split('/').next().unwrap_or_default();
        let secret = |name: &str| {
            for name in [format!("{name}.{host}"), name.to_owned()] {
                if let Some(secret) = client.secret(&name)? {
                    let text = String::from_utf8(secret).ok().map(|text| text.trim().to_owned());
                    let text = text.filter(|text| !text.contains(['\n', '\r', '\0']));
                    return text
                        .map(Some)
                        .ok_or_else(|| Error::invalid(format!("secret {name} is no line of text")));
                }
            }
            Ok(None)
        };
        let authorization = match secret("GIT_AUTH_HEADER")? {
            Some(header) => Some(header),
            None => secret("GIT_AUTH_TOKEN")?
                .map(|token| format!("basic {}", STANDARD.encode(format!("x-access-token:{token}")))),
        };
        Ok(Self { agent: None, authorization })
    }
}

/// Gets repositories.
pub(super) struct Git<'a> {
    pub(super) engine: &'a Arc<Engine>,
    pub(super) cancel: &'a Cancel,
    pub(super) lent: Lent,
    /// Takes what git writes.
    pub(super) output: &'a dyn Fn(&[u8]),
}

/// A repository that is being cloned.
struct Clone<'a> {
    git: &'a Git<'a>,
    source: &'a GitSource,
    work: PathBuf,
    agent: Option<AgentSocket>,
}

impl Git<'_> {
    /// The files of a commit. They are the client's as far as modes and owners go, and of the present time.
    ///
    /// # Errors
    /// There is no `git`, or it fails: its words are the reason.
    pub(super) fn clone_repository(&self, source: &GitSource) -> Result<Tree> {
        check(source)?;
        let folder = Folder::create(self.engine)?;
        let work = folder.below("work");
        fs::create_dir(&work).map_err(|error| Error::io("mkdir", &work, error))?;
        let agent = self.lent.agent.clone();
        let agent = agent
            .map(|agent| AgentSocket::serve(&folder.below("agent"), agent, (0o600, 0, 0)))
            .transpose()?;
        let clone = Clone { git: self, source, work: work.clone(), agent };
        let commit = clone.check_out()?;
        let top = clone.top()?;
        let keep = source.keep_git_dir && source.subdir.is_empty();
        let mut entries = BTreeMap::new();
        let mut listing = Listing {
            folder: &folder,
            left: self.engine.store.limits().tar_bytes,
            keep_git: keep,
            entries: &mut entries,
        };
        listing.add(&top, "")?;
        fs::remove_dir_all(&work).map_err(|error| Error::io("remove", &work, error))?;
        let words = [commit.as_str(), &source.subdir, if keep { "keep" } else { "" }];
        let alone = if source.submodules { "" } else { "alone" };
        let identity = format!("git\0{}\0{alone}", words.join("\0"));
        Ok(Tree::new(entries, Box::new(folder)).identified_by(identity))
    }
}

/// Refuses what git could take for something else.
fn check(source: &GitSource) -> Result<()> {
    let bad = |text: &str| text.starts_with('-') || text.chars().any(char::is_control);
    let strange = |c: char| matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    let reference = source.reference.as_str();
    if bad(reference) || reference.contains(strange) || reference.contains("..") || reference.contains("@{") {
        return Err(Error::invalid(format!("invalid git ref {reference:?}")));
    }
    if bad(&source.remote) {
        return Err(Error::invalid(format!("invalid git remote {:?}", source.remote)));
    }
    Ok(())
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Clone<'_> {
    /// Checks the commit out and returns it.
    fn check_out(&self) -> Result<String> {
        self.run(&["init", "--quiet", "."])?;
        self.run(&["config", "remote.origin.url", &self.source.remote])?;
        let commit = self.fetch()?;
        if let Some(expected) = &self.source.checksum
            && !commit.starts_with(expected.as_str())
        {
            let tag = self.run(&["rev-parse", "--verify", "--quiet", "FETCH_HEAD"]).unwrap_or_default();
            if !tag.trim().starts_with(expected.as_str()) {
                return Err(Error::invalid(format!("expected checksum to match {expected}, got {commit}")));
            }
        }
        self.run(&["checkout", "--quiet", "--force", "--detach", &commit])?;
        if self.source.submodules && self.work.join(".gitmodules").symlink_metadata().is_ok() {
            let update = ["submodule", "--quiet", "update", "--init", "--recursive"];
            let shallow = self.run(&[&update[..], &["--depth=1"]].concat());
            // Not every server knows how to send a part.
            shallow.or_else(|_| self.run(&update))?;
        }
        if self.source.keep_git_dir {
            self.run(&["reflog", "expire", "--all", "--expire=now"])?;
            for name in ["FETCH_HEAD", "ORIG_HEAD"] {
                let _ = fs::remove_file(self.work.join(".git").join(name));
            }
        }
        Ok(commit)
    }

    /// Fetches what is wanted, alone if the server can do that, and returns the commit.
    fn fetch(&self) -> Result<String> {
        let wanted = if self.source.reference.is_empty() { "HEAD" } else { &self.source.reference };
        let fetch = ["fetch", "--quiet", "--force", "--no-tags", "--no-recurse-submodules"];
        let one = |depth: &[&str]| self.run(&[&fetch[..], depth, &["--", "origin", wanted]].concat());
        let fetched = one(&["--depth=1"]).or_else(|error| match error.to_string() {
            text if text.contains("does not support shallow") => one(&[]),
            _ => Err(error),
        });
        let found = match fetched {
            Ok(_) => "FETCH_HEAD",
            // A server need not let one ask for a commit by its name.
            Err(_) if is_commit(wanted) => {
                let all = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];
                self.run(&[&fetch[..], &["--", "origin"], &all].concat())?;
                wanted
            }
            Err(error) if error.to_string().contains("couldn't find remote ref") => {
                return Err(Error::not_found(format!(
                    "repository does not contain ref {wanted}, output: \"\""
                )));
            }
            Err(error) => {
                return Err(error.context(format!("failed to fetch remote {}: ", self.source.remote)));
            }
        };
        let commit = self.run(&["rev-parse", "--verify", "--quiet", &format!("{found}^{{commit}}")]);
        let commit = commit.map_err(|_| {
            Error::not_found(format!("repository does not contain ref {wanted}, output: \"\""))
        })?;
        Ok(commit.trim().to_owned())
    }

    /// The folder that becomes the root. No link leads to it: it could lead anywhere.
    fn top(&self) -> Result<PathBuf> {
        let mut top = self.work.clone();
        let parts = self.source.subdir.split('/').filter(|part| !matches!(*part, "" | "."));
        for part in parts {
            top.push(part);
            let is_folder = top.symlink_metadata().is_ok_and(|found| found.is_dir());
            if !is_folder || part == ".." || part == ".git" {
                return Err(Error::not_found(format!(
                    "subdir not found or not a directory: {}",
                    self.source.subdir
                )));
            }
        }
        Ok(top)
    }

    /// Runs git to its end and returns what it wrote to standard output.
    fn run(&self, args: &[&str]) -> Result<String> {
        let failed = |error: std::io::Error| Error::system(error.to_string());
        let (mut out, mut told) =
            (tempfile::tempfile().map_err(failed)?, tempfile::tempfile().map_err(failed)?);
        let mut command = self.command(args);
        command.stdout(out.try_clone().map_err(failed)?).stderr(told.try_clone().map_err(failed)?);
        let mut child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                let words = "exec: \"git\": executable file not found in $PATH";
                Error::system(format!("git stderr:\n: {words}"))
            }
            _ => failed(error),
        })?;
        let pid = Pid::from_child(&child);
        self.git.cancel.watching_program(pid, || {
            // Only waited for, not reaped: until the build has forgotten it, its number must stay its own.
            let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        });
        let status = child.wait().map_err(failed)?;
        let read = |file: &mut File| {
            let mut bytes = Vec::new();
            file.rewind()?;
            file.take(TOLD).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let (out, told) = (read(&mut out).map_err(failed)?, read(&mut told).map_err(failed)?);
        if self.git.cancel.is_cancelled() {
            return Err(Error::system("context canceled"));
        }
        if status.success() {
            (self.git.output)(&told);
            return Ok(String::from_utf8_lossy(&out).into_owned());
        }
        let told = String::from_utf8_lossy(&told);
        let code =
            status.code().map_or_else(|| "signal: killed".to_owned(), |code| format!("exit status {code}"));
        Err(Error::system(format!("git stderr:\n{}: {code}", told.trim_end().to_owned() + "\n")))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args(SETTINGS).args(args).current_dir(&self.work).stdin(Stdio::null()).process_group(0);
        command.env_clear();
        command.env("PATH", env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()));
        command.envs(PASSED.iter().filter_map(|name| Some((name, env::var_os(name)?))));
        command.env("HOME", "/dev/null").env("LC_ALL", "C");
        command
            .env("GIT_TEMPLATE_DIR", "")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        command
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", PROTOCOLS)
            .env("GIT_SSH_COMMAND", SSH);
        // Not found from a folder of the engine's.
        command.env("GIT_CEILING_DIRECTORIES", self.work.parent().unwrap_or(&self.work));
        if let Some(agent) = &self.agent {
            command.env("SSH_AUTH_SOCK", agent.address());
        }
        if let Some(authorization) = &self.git.lent.authorization {
            // In the environment, which others cannot read, and for this server alone.
            let (scheme, rest) = self.source.remote.split_once("://").unwrap_or_default();
            let server = rest.split('/').next().unwrap_or_default();
            command.env("GIT_CONFIG_COUNT", "1");
            command.env("GIT_CONFIG_KEY_0", format!("http.{scheme}://{server}/.extraheader"));
            command.env("GIT_CONFIG_VALUE_0", format!("Authorization: {authorization}"));
        }
        command
    }
}

/// Takes the files of a folder in.
struct Listing<'a> {
    folder: &'a Folder,
    /// Bytes that may still come.
    left: u64,
    /// Whether what git itself keeps stays.
    keep_git: bool,
    entries: &'a mut BTreeMap<String, TreeEntry>,
}

impl Listing<'_> {
    fn add(&mut self, folder: &Path, below: &str) -> Result<()> {
        let failed = |error| Error::io("read", folder, error);
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let name = name
                .to_str()
                .ok_or_else(|| Error::invalid(format!("file name {} is not UTF-8", name.display())))?;
            if name == ".git" && !self.keep_git {
                continue;
            }
            let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            let found = entry.metadata().map_err(failed)?;
            // What a umask of 022 leaves.
            let mut made = TreeEntry { mode: found.permissions().mode() & 0o755, ..TreeEntry::default() };
            if found.is_dir() {
                made.kind = Kind::Folder;
                self.entries.insert(path.clone(), made);
                self.add(&entry.path(), &path)?;
                continue;
            }
            if found.is_symlink() {
                made.kind = Kind::Link;
                made.link = fs::read_link(entry.path()).map_err(failed)?.to_string_lossy().into_owned();
            } else if found.is_file() {
                if found.len() > self.left {
                    return Err(Error::invalid("the repository exceeds the limit of a context"));
                }
                self.left -= found.len();
                let (digest, size) = self.folder.take(&entry.path())?;
                (made.size, made.digest) = (size, digest.into());
            } else {
                made.kind = Kind::Other;
            }
            self.entries.insert(path, made);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_an_option_is_refused() {
        let of = |remote: &str, reference: &str| {
            let source = GitSource {
                remote: remote.to_owned(),
                reference: reference.to_owned(),
                subdir: String::new(),
                checksum: None,
                keep_git_dir: false,
                submodules: true,
            };
            check(&source).map_err(|error| error.to_string())
        };
        assert_eq!(of("https://e.org/x.git", "v1.0/a-b"), Ok(()));
        assert_eq!(of("https://e.org/x.git", "-x"), Err("invalid git ref \"-x\"".to_owned()));
        for bad in ["a b", "a:b", "a..b", "HEAD~1", "a\nb", "x@{1}"] {
            assert!(of("https://e.org/x.git", bad).is_err(), "{bad}");
        }
        assert!(of("--upload-pack=x", "").is_err());
        assert!(is_commit(&"a1".repeat(20)) && !is_commit("a1") && !is_commit(&"z".repeat(40)));
    }
}
