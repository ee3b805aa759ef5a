//! `-e`, `--env-file`, `-l` and `--label-file`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Surroundings, host_config::map};
use crate::{config::ConfigFile, error::go_os_error};

/// The environment: the files' variables first. A bare name takes the client's value; where the client has none,
/// it is left out of a file and stays bare on the command line, which takes it away from the image's.
pub(in crate::commands::container) fn variables(
    around: &dyn Surroundings,
    files: &[String],
    given: &[String],
) -> Result<Vec<String>, String> {
    let own = |name: &str| around.variable(name);
    let mut all = Vec::new();
    for file in files {
        all.extend(read(around, file, &own)?);
    }
    for variable in given {
        let value = if variable.contains('=') { None } else { own(variable) };
        all.push(value.map_or_else(|| variable.clone(), |value| format!("{variable}={value}")));
    }
    Ok(all)
}

/// The proxies that the configuration file wants every container to use, for the engine at `host`, unless the
/// command line gives them. Each is set in capital and in small letters.
pub(in crate::commands::container) fn proxies(
    config: &ConfigFile,
    host: &str,
    given: &[String],
) -> Vec<String> {
    let all = config.get("proxies");
    let Some(proxies) = all.and_then(|all| all.get(host).or_else(|| all.get("default"))) else {
        return Vec::new();
    };
    let taken = |name: &str| given.iter().any(|variable| variable.split('=').next() == Some(name));
    let mut variables = Vec::new();
    for (key, name) in [
        ("httpProxy", "HTTP_PROXY"),
        ("httpsProxy", "HTTPS_PROXY"),
        ("noProxy", "NO_PROXY"),
        ("ftpProxy", "FTP_PROXY"),
        ("allProxy", "ALL_PROXY"),
    ] {
        let value = proxies.get(key).and_then(Value::as_str).unwrap_or_default();
        for name in [name.to_owned(), name.to_lowercase()] {
            if !value.is_empty() && !taken(&name) {
                variables.push(format!("{name}={value}"));
            }
        }
    }
    variables
}

/// The labels: those of the command line win.
pub(super) fn labels(
    around: &dyn Surroundings,
    files: &[String],
    given: &[String],
) -> Result<BTreeMap<String, String>, String> {
    let mut all = Vec::new();
    for file in files {
        all.extend(read(around, file, &|_| None)?);
    }
    all.extend_from_slice(given);
    Ok(map(&all))
}

/// The `NAME=VALUE` lines of a file.
fn read(
    around: &dyn Surroundings,
    path: &str,
    own: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<String>, String> {
    let invalid = |why: String| format!("invalid env file ({path}): {why}");
    let content = around.read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::IsADirectory => invalid(format!("read {path}: {}", go_os_error(&error))),
        _ => format!("open {path}: {}", go_os_error(&error)),
    })?;
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&content);
    let mut all = Vec::new();
    for (number, line) in content.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = std::str::from_utf8(line).map_err(|_| {
            let bytes: Vec<String> = line.iter().map(u8::to_string).collect();
            invalid(format!("invalid utf8 bytes at line {}: [{}]", number + 1, bytes.join(" ")))
        })?;
        all.extend(variable(text, own).map_err(invalid)?);
    }
    Ok(all)
}

/// The variable of one line, unless it is empty, a comment or a bare name without a value.
fn variable(line: &str, own: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>, String> {
    let line = line.trim_start();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, value) = line.split_once('=').map_or((line, None), |(name, value)| (name, Some(value)));
    if name.contains(char::is_whitespace) {
        return Err(format!("variable '{name}' contains whitespaces"));
    }
    if name.is_empty() {
        return Err(format!("no variable name on line '{line}'"));
    }
    Ok(match value {
        Some(_) => Some(line.to_owned()),
        None => own(name).map(|value| format!("{name}={value}")),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn proxies_of_the_configuration_yield_to_the_command_line() {
        let config = ConfigFile::from(json!({"proxies": {
            "default": {"httpProxy": "http://p", "noProxy": "x"},
            "tcp://other:1": {"ftpProxy": "ftp://q"},
        }}));
        assert_eq!(
            proxies(&config, "unix:///s", &["HTTP_PROXY=mine".to_owned(), "no_proxy".to_owned()]),
            ["http_proxy=http://p", "NO_PROXY=x"]
        );
        assert_eq!(proxies(&config, "tcp://other:1", &[]), ["FTP_PROXY=ftp://q", "ftp_proxy=ftp://q"]);
        assert!(proxies(&ConfigFile::default(), "unix:///s", &[]).is_empty());
    }
}
