//! Addresses that `ADD` and contexts can name: repositories and files of the web.

use crate::graph::{GitSource, HttpSource, Op};

/// What an address stands for; `None` if it is a path.
///
/// # Errors
/// The query of a repository's address is malformed.
pub(super) fn parse(address: &str) -> Result<Option<Op>, String> {
    match git(address)? {
        Some(source) => Ok(Some(Op::Git(source))),
        None => Ok(http(address).map(Op::Http)),
    }
}

/// The repository that a build context names; `None` if it is something else. Unlike in `ADD`, `github.com/…` is one.
///
/// # Errors
/// The query of the address is malformed.
pub fn git_context(address: &str) -> Result<Option<GitSource>, String> {
    match address.starts_with("github.com/") {
        true => Ok(git(&format!("https://{address}"))?.or_else(|| bare_github(address))),
        false => git(address),
    }
}

/// `github.com/user/project` without `.git`.
fn bare_github(address: &str) -> Option<GitSource> {
    let (path, fragment) = address.split_once('#').unwrap_or((address, ""));
    git(&format!("https://{path}.git#{fragment}")).ok().flatten()
}

fn http(address: &str) -> Option<HttpSource> {
    if !address.starts_with("http://") && !address.starts_with("https://") {
        return None;
    }
    Some(HttpSource { url: address.to_owned(), checksum: None, file_name: file_name(address) })
}

/// Last part of the address's path.
fn file_name(address: &str) -> String {
    let after = address.split_once("://").map_or(address, |(_, rest)| rest);
    let path = after.split_once('/').map_or("", |(_, path)| path);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let name = decode(name);
    if name.is_empty() || name == "." || name == ".." || name.contains('/') {
        "__unnamed__".to_owned()
    } else {
        name
    }
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| bytes[at] == b'%') {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// `https://host/x.git#ref:folder`, `git://`, `ssh://`, `git@host:x`; the parts of the fragment can stand in a query too.
fn git(address: &str) -> Result<Option<GitSource>, String> {
    let (remote, fragment) = address.split_once('#').unwrap_or((address, ""));
    let (base, query) = remote.split_once('?').unwrap_or((remote, ""));
    let web = base.starts_with("http://") || base.starts_with("https://");
    let named = base.starts_with("git://") || base.starts_with("ssh://") || is_scp(base);
    if !(named || web && base.ends_with(".git")) {
        return Ok(None);
    }
    let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
    let mut source = GitSource {
        remote: base.to_owned(),
        reference: reference.to_owned(),
        subdir: subdir.to_owned(),
        checksum: None,
        keep_git_dir: false,
        submodules: true,
    };
    let (mut branch, mut tag) = (false, false);
    for (key, value) in query.split('&').filter(|pair| !pair.is_empty()).map(pair) {
        let quoted = crate::quote::go(key);
        if value.is_empty() {
            return Err(format!("query {quoted} has no value"));
        }
        match key {
            "ref" => set("ref", &mut source.reference, value)?,
            "branch" => {
                branch = true;
                set("ref", &mut source.reference, format!("refs/heads/{value}"))?;
            }
            "tag" => {
                tag = true;
                // Said before it shows that the names differ.
                if !branch {
                    set("ref", &mut source.reference, format!("refs/tags/{value}"))?;
                }
            }
            "subdir" => set("subdir", &mut source.subdir, value)?,
            "checksum" | "commit" => source.checksum = Some(value),
            "keep-git-dir" => source.keep_git_dir = flag(key, &value)?,
            "submodules" => source.submodules = flag(key, &value)?,
            _ => return Err(format!("unexpected query {quoted}")),
        }
    }
    if branch && tag {
        return Err("branch conflicts with tag".to_owned());
    }
    Ok(Some(source))
}

fn pair(text: &str) -> (&str, String) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    (key, decode(value))
}

fn set(name: &str, place: &mut String, value: String) -> Result<(), String> {
    if !place.is_empty() && *place != value {
        return Err(format!("{name} conflicts: {} vs {}", crate::quote::go(place), crate::quote::go(&value)));
    }
    *place = value;
    Ok(())
}

fn flag(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("invalid {key} value: {}", crate::quote::go(value))),
    }
}

/// `user@host:path`.
fn is_scp(text: &str) -> bool {
    let Some((user, rest)) = text.split_once('@') else { return false };
    let word = |s: &str| {
        !s.is_empty()
            && !s.starts_with('-')
            && s.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    rest.split_once(':').is_some_and(|(host, path)| word(user) && word(host) && !path.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let git = |git: &GitSource| format!("git {} {} {}", git.remote, git.reference, git.subdir);
        let name = |address: &str| match parse(address) {
            Ok(Some(Op::Http(http))) => format!("http {}", http.file_name),
            Ok(Some(Op::Git(source))) => git(&source),
            Ok(_) => "path".to_owned(),
            Err(error) => error,
        };
        assert_eq!(name("https://e.org/a/b%20c.tgz?x=1#y"), "http b c.tgz");
        assert_eq!(name("https://e.org"), "http __unnamed__");
        assert_eq!(name("https://e.org/x.git#v1:sub"), "git https://e.org/x.git v1 sub");
        assert_eq!(name("https://e.org/x.git?ref=v2&subdir=d"), "git https://e.org/x.git v2 d");
        assert_eq!(name("git@e.org:a/b"), "git git@e.org:a/b  ");
        assert_eq!(name("a/b@c"), "path");
        assert_eq!(name("x.git"), "path");
        assert_eq!(name("git@-oProxyCommand=x:y"), "path");
        assert_eq!(name("-u@e.org:y"), "path");
        assert_eq!(name("https://e.org/x.git?foo=1"), "unexpected query \"foo\"");
        assert_eq!(name("https://e.org/x.git?branch="), "query \"branch\" has no value");
        assert_eq!(name("https://e.org/x.git?branch=a&tag=b"), "branch conflicts with tag");
        assert_eq!(name("https://e.org/x.git?branch=a#b"), "ref conflicts: \"b\" vs \"refs/heads/a\"");
        assert_eq!(name("github.com/a/b"), "path");
        let context = |address: &str| git_context(address).unwrap().map(|source| git(&source));
        assert_eq!(context("github.com/a/b#x:y").as_deref(), Some("git https://github.com/a/b.git x y"));
        assert_eq!(context("github.com/a/b.git").as_deref(), Some("git https://github.com/a/b.git  "));
        assert_eq!(context("https://e.org/x.tgz"), None);
    }
}
