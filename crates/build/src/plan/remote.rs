//! Addresses that `ADD` and contexts can name: repositories and files of the web.

use crate::graph::{GitSource, HttpSource, Op};

/// What an address stands for; `None` if it is a path.
pub(super) fn parse(address: &str) -> Option<Op> {
    git(address).map(Op::Git).or_else(|| http(address).map(Op::Http))
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

/// `https://host/x.git#ref:folder`, `git://`, `ssh://`, `git@host:x`.
fn git(address: &str) -> Option<GitSource> {
    let (remote, fragment) = match address.split_once('#') {
        Some((remote, fragment)) => (remote, fragment),
        None => (address, ""),
    };
    let (base, query) = match remote.split_once('?') {
        Some((base, query)) => (base, query),
        None => (remote, ""),
    };
    let web = base.starts_with("http://") || base.starts_with("https://");
    let named = base.starts_with("git://") || base.starts_with("ssh://") || is_scp(base);
    if !(named || web && base.ends_with(".git")) {
        return None;
    }
    let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
    let mut source = GitSource {
        remote: base.to_owned(),
        reference: reference.to_owned(),
        subdir: subdir.to_owned(),
        checksum: None,
        keep_git_dir: false,
    };
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=').or(Some((pair, "")))) {
        let value = decode(value);
        match key {
            "ref" => source.reference = value,
            "branch" => source.reference = format!("refs/heads/{value}"),
            "tag" => source.reference = format!("refs/tags/{value}"),
            "subdir" => source.subdir = value,
            "checksum" | "commit" => source.checksum = Some(value),
            "keep-git-dir" => source.keep_git_dir = value.is_empty() || value == "1" || value == "true",
            _ => {}
        }
    }
    Some(source)
}

/// `user@host:path`.
fn is_scp(text: &str) -> bool {
    let Some((user, rest)) = text.split_once('@') else { return false };
    let word = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    rest.split_once(':').is_some_and(|(host, path)| word(user) && word(host) && !path.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let name = |address: &str| match parse(address) {
            Some(Op::Http(http)) => format!("http {}", http.file_name),
            Some(Op::Git(git)) => format!("git {} {} {}", git.remote, git.reference, git.subdir),
            _ => "path".to_owned(),
        };
        assert_eq!(name("https://e.org/a/b%20c.tgz?x=1#y"), "http b c.tgz");
        assert_eq!(name("https://e.org"), "http __unnamed__");
        assert_eq!(name("https://e.org/x.git#v1:sub"), "git https://e.org/x.git v1 sub");
        assert_eq!(name("https://e.org/x.git?ref=v2&subdir=d"), "git https://e.org/x.git v2 d");
        assert_eq!(name("git@e.org:a/b"), "git git@e.org:a/b  ");
        assert_eq!(name("a/b@c"), "path");
        assert_eq!(name("x.git"), "path");
    }
}
