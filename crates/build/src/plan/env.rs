//! Variables of a stage: those of the image, and the build arguments in scope.

use std::collections::HashMap;

use crate::expand::Variables;

/// Variables in the order in which they were last set.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Env {
    values: HashMap<String, (u64, String)>,
    next: u64,
    bytes: usize,
}

/// More than this no program can be started with.
pub(super) const LONGEST_ENV: usize = 1 << 20;

impl Env {
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.bytes += name.len() + value.len();
        self.next += 1;
        if let Some((_, old)) = self.values.insert(name.to_owned(), (self.next, value.to_owned())) {
            self.bytes -= name.len() + old.len();
        }
    }

    /// Bytes of all names and values.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// `NAME=value`.
    pub(super) fn list(&self) -> Vec<String> {
        let mut all: Vec<_> = self.values.iter().collect();
        all.sort_by_key(|(_, (order, _))| *order);
        all.into_iter().map(|(name, (_, value))| format!("{name}={value}")).collect()
    }
}

/// Sets a variable in a list of `NAME=value`, in the place it had.
pub(super) fn set_variable(list: &mut Vec<String>, name: &str, value: &str) {
    let entry = format!("{name}={value}");
    match list.iter_mut().find(|e| e.split_once('=').map_or(e.as_str(), |(key, _)| key) == name) {
        Some(old) => *old = entry,
        None => list.push(entry),
    }
}

impl Variables for Env {
    fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(_, value)| value.as_str())
    }
}
