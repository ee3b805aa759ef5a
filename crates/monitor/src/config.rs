//! `monitor.json`: what the daemon tells a monitor about its container.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
pub use wharf_runtime::RootFs;

use crate::error::{Error, Result};
use crate::protocol::ConsoleSize;

/// File name of [`MonitorConfig`] in a monitor's directory.
pub const CONFIG_FILE: &str = "monitor.json";
/// File name of the OCI runtime specification in a monitor's directory, which is the bundle.
pub const SPEC_FILE: &str = "config.json";
/// File name of the control socket.
pub const SOCKET_FILE: &str = "sock";
/// File name of [`ExitStatus`](crate::ExitStatus).
pub const EXIT_FILE: &str = "exit.json";

/// Everything a monitor must know besides the OCI specification `config.json` that lies beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MonitorConfig {
    /// Version of this document; 1.
    pub version: u32,
    /// Id of the container.
    pub id: String,
    /// Its root file system, mounted inside its own mount namespace.
    pub rootfs: RootFs,
    /// Give it a terminal.
    pub terminal: bool,
    /// Initial size of the terminal.
    pub console_size: Option<ConsoleSize>,
    /// Keep a standard input that attached streams write to; otherwise it reads from `/dev/null`.
    pub open_stdin: bool,
    /// Close standard input when the first stream attached to it ends.
    pub stdin_once: bool,
    /// The log.
    pub log: LogConfig,
    /// Directory for the files that hold what a slow attached stream has not read yet. They have no name. The
    /// monitor's own directory when empty, which is memory as a rule.
    pub spill_dir: PathBuf,
}

impl Default for MonitorConfig {
    fn default() -> MonitorConfig {
        MonitorConfig {
            version: 1,
            id: String::new(),
            rootfs: RootFs::Path(PathBuf::new()),
            terminal: false,
            console_size: None,
            open_stdin: false,
            stdin_once: false,
            log: LogConfig::default(),
            spill_dir: PathBuf::new(),
        }
    }
}

/// What keeps the output of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    /// One JSON object per line in a file that rotates.
    #[default]
    JsonFile,
    /// Nothing.
    None,
}

/// Where the output goes and how much of it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    /// The driver.
    pub driver: LogDriver,
    /// The live log file; rotated ones get `.1`, `.2`, … appended. Its directory must exist.
    pub path: PathBuf,
    /// A file is rotated when it has reached this many bytes; negative for never; `None` for 10 MB.
    pub max_size: Option<i64>,
    /// How many files are kept, the live one included; `None` for 3 when `max_size` is `None`, otherwise 1.
    pub max_file: Option<u32>,
    /// Compress rotated files with gzip.
    pub compress: bool,
    /// Extra attributes of every entry, as the options `labels`, `env` and `tag` choose them.
    pub attrs: BTreeMap<String, String>,
}

/// The bound a log has when nobody chose one, in bytes per file.
pub const DEFAULT_MAX_SIZE: i64 = 10_000_000;
/// The number of files a log has when nobody chose a bound.
pub const DEFAULT_MAX_FILE: u32 = 3;
/// The same of the `local` driver, whose old files are compressed unless told otherwise.
const LOCAL_MAX_SIZE: i64 = 20_000_000;
const LOCAL_MAX_FILE: u32 = 5;

impl LogConfig {
    /// Reads the options `max-size`, `max-file` and `compress` of the json-file driver; the rest of the configuration,
    /// and every other option, is the caller's.
    ///
    /// # Errors
    /// [`Error::LogOption`] in Docker's words.
    pub fn from_options(options: &BTreeMap<String, String>) -> Result<LogConfig> {
        let bad = |text: String| Error::LogOption(text);
        let max_size = match options.get("max-size").map(String::as_str) {
            None => None,
            Some("-1") => Some(-1),
            Some(text) => match parse_size(text).ok_or_else(|| bad(format!("invalid size: '{text}'")))? {
                0 => return Err(bad("max-size must be a positive number".into())),
                size => Some(size),
            },
        };
        let max_file = match options.get("max-file") {
            None => None,
            Some(text) => Some(parse_count(text)?),
        };
        let compress = match options.get("compress") {
            None => false,
            Some(text) => parse_bool(text)
                .ok_or_else(|| bad(format!("strconv.ParseBool: parsing \"{text}\": invalid syntax")))?,
        };
        let config = LogConfig { max_size, max_file, compress, ..LogConfig::default() };
        if compress && (config.capacity().is_none() || config.files() < 2) {
            let text = "compress cannot be true when max-file is less than 2 or max-size is not set";
            return Err(bad(text.into()));
        }
        Ok(config)
    }

    /// Reads the options `max-size`, `max-file` and `compress` of the `local` driver. What it keeps has the form of
    /// json-file: Docker declares the form of these files its own affair.
    ///
    /// # Errors
    /// [`Error::LogOption`] in Docker's words.
    pub fn from_local_options(options: &BTreeMap<String, String>) -> Result<LogConfig> {
        let bad = |text: String| Error::LogOption(text);
        let option = |name: &str| options.get(name).map(String::as_str);
        let max_size = match option("max-size") {
            None => LOCAL_MAX_SIZE,
            Some(text) => parse_size(text)
                .ok_or_else(|| bad(format!("invalid value for max-size: {text}: invalid size: '{text}'")))?,
        };
        let max_file = match option("max-file") {
            None => LOCAL_MAX_FILE,
            Some(text) => text.parse().map_err(|_| {
                bad(format!(
                    "invalid value for max-file: {text}: strconv.Atoi: parsing \"{text}\": invalid syntax"
                ))
            })?,
        };
        let compress = match option("compress") {
            None => true,
            Some(text) => parse_bool(text).ok_or_else(|| {
                let reason = format!("strconv.ParseBool: parsing \"{text}\": invalid syntax");
                bad(format!("error reading compress log option: {reason}"))
            })?,
        };
        if compress && max_file < 2 {
            return Err(bad("compression cannot be enabled when max file count is 1".into()));
        }
        Ok(LogConfig { max_size: Some(max_size), max_file: Some(max_file), compress, ..LogConfig::default() })
    }

    /// Size in bytes at which a file is rotated, `None` for never.
    #[must_use]
    pub fn capacity(&self) -> Option<u64> {
        u64::try_from(self.max_size.unwrap_or(DEFAULT_MAX_SIZE)).ok()
    }

    /// How many files are kept, the live one included; at least 1.
    #[must_use]
    pub fn files(&self) -> u32 {
        let default = if self.max_size.is_none() { DEFAULT_MAX_FILE } else { 1 };
        self.max_file.unwrap_or(default).max(1)
    }
}

/// go-units' `FromHumanSize`: a decimal number, an optional space, a decimal unit with optional `b`.
fn parse_size(text: &str) -> Option<i64> {
    let split = text.rfind(|c: char| c.is_ascii_digit() || c == '.')? + 1;
    let (number, unit) = text.split_at(split);
    let value: f64 = number.parse().ok().filter(|v: &f64| *v >= 0.0)?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    // go-units accepts `kib` as well and still counts in thousands.
    let exponent = match unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(&unit) {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    Some((value * 1000f64.powi(exponent)) as i64)
}

fn parse_count(text: &str) -> Result<u32> {
    let number: i64 = text
        .parse()
        .map_err(|_| Error::LogOption(format!("strconv.Atoi: parsing \"{text}\": invalid syntax")))?;
    if number < 1 {
        return Err(Error::LogOption("max-file cannot be less than 1".into()));
    }
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Go's `strconv.ParseBool`.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    type Reader = fn(&BTreeMap<String, String>) -> Result<LogConfig>;

    fn check_with(read: Reader, options: &[(&str, &str)], expected: &Expect) {
        let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let text = match read(&options) {
            Ok(c) => format!("capacity {:?}, files {}, compress {}", c.capacity(), c.files(), c.compress),
            Err(e) => e.to_string(),
        };
        expected.assert_eq(&text);
    }

    fn check(options: &[(&str, &str)], expected: &Expect) {
        check_with(LogConfig::from_options, options, expected);
    }

    #[test]
    fn options() {
        check(&[], &expect!["capacity Some(10000000), files 3, compress false"]);
        check(&[("max-size", "-1")], &expect!["capacity None, files 1, compress false"]);
        check(&[("max-size", "1k")], &expect!["capacity Some(1000), files 1, compress false"]);
        check(
            &[("max-size", "1.5mb"), ("max-file", "2")],
            &expect!["capacity Some(1500000), files 2, compress false"],
        );
        check(
            &[("max-size", "1g"), ("max-file", "2"), ("compress", "t")],
            &expect!["capacity Some(1000000000), files 2, compress true"],
        );
        check(&[("max-size", "x")], &expect!["invalid size: 'x'"]);
        check(&[("max-size", "0")], &expect!["max-size must be a positive number"]);
        check(&[("max-file", "0")], &expect!["max-file cannot be less than 1"]);
        check(&[("max-file", "a")], &expect![[r#"strconv.Atoi: parsing "a": invalid syntax"#]]);
        check(&[("compress", "yes")], &expect![[r#"strconv.ParseBool: parsing "yes": invalid syntax"#]]);
        check(
            &[("compress", "true"), ("max-size", "1k")],
            &expect!["compress cannot be true when max-file is less than 2 or max-size is not set"],
        );
    }

    #[test]
    fn options_of_the_local_driver() {
        let check = |options: &[_], expected: Expect| {
            check_with(LogConfig::from_local_options, options, &expected);
        };
        check(&[], expect!["capacity Some(20000000), files 5, compress true"]);
        check(
            &[("max-size", "1k"), ("max-file", "1"), ("compress", "false")],
            expect!["capacity Some(1000), files 1, compress false"],
        );
        check(&[("max-size", "x")], expect!["invalid value for max-size: x: invalid size: 'x'"]);
        check(&[("max-size", "-1")], expect!["invalid value for max-size: -1: invalid size: '-1'"]);
        check(&[("max-file", "1")], expect!["compression cannot be enabled when max file count is 1"]);
        check(
            &[("compress", "x")],
            expect![[r#"error reading compress log option: strconv.ParseBool: parsing "x": invalid syntax"#]],
        );
    }

    #[test]
    fn an_empty_document_is_a_configuration() {
        let config: MonitorConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(config, MonitorConfig::default());
    }
}
