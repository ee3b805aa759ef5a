//! What the parser found on the command line, read back by flag name.

use wharf_api::Filters;

use crate::{flag::Flag, value};

/// The flags and arguments given to one command.
#[derive(Debug, Clone)]
pub(crate) struct Matches {
    flags: &'static [Flag],
    given: Vec<(&'static str, String)>,
    args: Vec<String>,
}

impl Matches {
    pub(crate) fn new(flags: &'static [Flag]) -> Self {
        Self { flags, given: Vec::new(), args: Vec::new() }
    }

    /// Records a value that was checked before.
    pub(crate) fn set(&mut self, flag: &'static Flag, value: String) {
        self.given.push((flag.same_as.unwrap_or(flag.name), value));
    }

    pub(crate) fn push_arg(&mut self, arg: String) {
        self.args.push(arg);
    }

    /// The positional arguments.
    pub(crate) fn args(&self) -> &[String] {
        &self.args
    }

    /// The positional argument at `index`, or an empty text.
    pub(crate) fn arg(&self, index: usize) -> &str {
        self.args.get(index).map_or("", String::as_str)
    }

    /// True if the flag was given.
    pub(crate) fn changed(&self, name: &str) -> bool {
        self.given.iter().any(|(n, _)| *n == name)
    }

    /// True if any flag was given.
    pub(crate) fn any_changed(&self) -> bool {
        !self.given.is_empty()
    }

    fn last(&self, name: &str) -> Option<&str> {
        self.given.iter().rev().find(|(n, _)| *n == name).map(|(_, value)| value.as_str())
    }

    fn flag(&self, name: &str) -> Option<&'static Flag> {
        let flag = self.flags.iter().find(|f| f.name == name);
        debug_assert!(flag.is_some(), "no flag --{name} is defined for this command");
        flag
    }

    /// The last value given, or the default.
    pub(crate) fn str(&self, name: &str) -> &str {
        self.last(name).unwrap_or_else(|| self.flag(name).map_or("", |f| f.default))
    }

    /// The last value given, if any.
    pub(crate) fn opt(&self, name: &str) -> Option<&str> {
        debug_assert!(self.flag(name).is_some());
        self.last(name)
    }

    /// The state of a switch.
    pub(crate) fn bool(&self, name: &str) -> bool {
        value::parse_bool(self.str(name)).unwrap_or(false)
    }

    /// A number.
    pub(crate) fn int(&self, name: &str) -> i64 {
        value::parse_int(self.str(name)).unwrap_or(0)
    }

    /// A number, if given.
    pub(crate) fn opt_int(&self, name: &str) -> Option<i64> {
        self.opt(name).map(|_| self.int(name))
    }

    /// A span of time in nanoseconds.
    pub(crate) fn duration(&self, name: &str) -> i64 {
        value::parse_duration(self.str(name)).unwrap_or(0)
    }

    /// A size in bytes.
    pub(crate) fn bytes(&self, name: &str) -> i64 {
        value::parse_bytes(self.str(name)).unwrap_or(0)
    }

    /// Every value given, records already split.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let split = self.flag(name).is_some_and(|f| f.kind == crate::flag::Kind::Split);
        let values = self.given.iter().filter(|(n, _)| *n == name).map(|(_, value)| value);
        if split {
            values.flat_map(|v| value::split_record(v).unwrap_or_default()).collect()
        } else {
            values.cloned().collect()
        }
    }

    /// The values of `--filter`.
    pub(crate) fn filters(&self) -> Filters {
        let mut filters = Filters::default();
        for text in self.list("filter") {
            if let Some((key, value)) = text.split_once('=') {
                filters.add(key.trim().to_lowercase(), value.trim());
            }
        }
        filters
    }
}
