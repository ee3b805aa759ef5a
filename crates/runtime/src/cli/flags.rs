//! Reading command lines in the form of runc: flags before the first operand, with one dash or two, `--flag value` or
//! `--flag=value`.

use std::collections::VecDeque;

use crate::error::{Error, Result};

/// A flag a command takes: name, one-letter form, whether a value follows.
pub(crate) type Flag = (&'static str, Option<char>, bool);

/// A command line taken apart.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    values: Vec<(&'static str, String)>,
    /// What is not a flag.
    pub(crate) operands: VecDeque<String>,
}

impl Flags {
    /// Reads the arguments of a command up to the first operand.
    pub(crate) fn parse(known: &[Flag], args: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut args = args.into_iter();
        let mut result = Self::default();
        while let Some(arg) = args.next() {
            if arg == "--" {
                break;
            }
            let Some(name) =
                arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')).filter(|name| !name.is_empty())
            else {
                result.operands.push_back(arg);
                break;
            };
            let (name, inline) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            let matches =
                |flag: &&Flag| flag.0 == name || flag.1.is_some_and(|short| name == short.to_string());
            let Some(flag) = known.iter().find(matches) else {
                return Err(Error::Config(format!("flag provided but not defined: -{name}")));
            };
            let value = match (flag.2, inline) {
                (false, value) => value.unwrap_or_else(|| "true".to_owned()),
                (true, Some(value)) => value,
                (true, None) => {
                    args.next().ok_or_else(|| Error::Config(format!("flag needs an argument: -{name}")))?
                }
            };
            result.values.push((flag.0, value));
        }
        result.operands.extend(args);
        Ok(result)
    }

    /// The last value of a flag.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// All values of a flag that may be repeated.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a flag without value is on.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| matches!(value, "true" | "1" | "t" | "T" | "TRUE" | "True"))
    }

    /// A number given to a flag.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        let parse = |value: &str| {
            value
                .parse()
                .map_err(|_| Error::Config(format!("invalid value {value:?} for flag -{name}: parse error")))
        };
        self.value(name).map(parse).transpose()
    }

    /// Takes the container id, the first operand.
    pub(crate) fn id(&mut self) -> Result<String> {
        match self.operands.pop_front() {
            Some(id) if !id.is_empty() => Ok(id),
            _ => Err(Error::Config("container id cannot be empty".into())),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const KNOWN: &[Flag] =
        &[("bundle", Some('b'), true), ("detach", Some('d'), false), ("env", Some('e'), true)];

    fn parse(line: &str) -> Result<Flags> {
        Flags::parse(KNOWN, line.split(' ').map(str::to_owned))
    }

    #[test]
    fn forms() {
        let flags = parse("-b /x --detach -env A=1 --env=B=2 id sh -c x").unwrap();
        assert_eq!(flags.value("bundle"), Some("/x"));
        assert!(flags.is_set("detach"));
        assert_eq!(flags.values("env").collect::<Vec<_>>(), ["A=1", "B=2"]);
        assert_eq!(flags.operands, ["id", "sh", "-c", "x"]);
        assert!(!parse("--detach=false id").unwrap().is_set("detach"));
        assert_eq!(parse("-d -- -id").unwrap().operands, ["-id"]);
    }

    #[test]
    fn mistakes() {
        assert_eq!(parse("--nosuch").unwrap_err().to_string(), "flag provided but not defined: -nosuch");
        assert_eq!(parse("-b").unwrap_err().to_string(), "flag needs an argument: -b");
        assert_eq!(parse("").unwrap().id().unwrap_err().to_string(), "container id cannot be empty");
    }
}
