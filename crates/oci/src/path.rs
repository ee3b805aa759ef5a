//! Paths inside images and containers, as text.

/// An absolute path without `.`, `..` and doubled or trailing slashes; `..` at the root stays there.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// `path` seen from `folder`, cleaned.
pub fn join(folder: &str, path: &str) -> String {
    if path.starts_with('/') { clean(path) } else { clean(&format!("{folder}/{path}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        assert_eq!(clean("../a/./b//../c/"), "/a/c");
        assert_eq!(clean(""), "/");
        assert_eq!(join("/w", "x"), "/w/x");
        assert_eq!(join("/w", "/x/."), "/x");
        assert_eq!(join("", "x"), "/x");
    }
}
