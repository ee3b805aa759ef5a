//! The Go template language behind `--format` and log tags.
//!
//! - `lex`, `parse`, `ast`: text to tree, with the messages of Go's text/template.
//! - `exec`: tree and [`Value`] to text; `funcs`: the functions of Go and Docker; `printf`: Go's fmt verbs.
//! - [`Value`]: JSON-like data that also knows Go's difference between structs, maps and typed nils;
//!   [`Object`]: data with methods, such as `.Label "key"`.
//!
//! The reference is Go's documentation of text/template and fmt.

mod ast;
mod compare;
mod duration;
mod error;
mod exec;
mod field;
mod funcs;
mod lex;
mod parse;
mod printf;
mod value;

use std::collections::HashMap;

pub use self::{
    duration::duration_text,
    error::{Error, Result},
    value::{Call, Map, Nil, Object, Struct, Value},
};

/// A parsed template.
#[derive(Debug, Clone)]
pub struct Template {
    name: String,
    source: String,
    root: Vec<ast::Node>,
    defined: HashMap<String, Vec<ast::Node>>,
    missing_key_is_error: bool,
    header: bool,
}

impl Template {
    /// Parses a template without a name, as `--format` takes it.
    ///
    /// # Errors
    /// [`Error::Parse`] with Go's message, such as `template: :1: unclosed action`.
    pub fn parse(source: &str) -> Result<Self> {
        Self::parse_named("", source)
    }

    /// Parses a template whose messages mention `name`.
    ///
    /// # Errors
    /// [`Error::Parse`] with Go's message.
    pub fn parse_named(name: &str, source: &str) -> Result<Self> {
        let (root, defined) = parse::parse(name, source)?;
        Ok(Self {
            name: name.to_owned(),
            source: source.to_owned(),
            root,
            defined,
            missing_key_is_error: false,
            header: false,
        })
    }

    /// Makes a key that a map lacks an error, as Go's option `missingkey=error` does, instead of `<no value>`.
    #[must_use]
    pub fn missing_key_is_error(mut self) -> Self {
        self.missing_key_is_error = true;
        self
    }

    /// Makes the functions that change text leave it alone, as Docker does when it renders the heading of a
    /// table with the template of its rows.
    #[must_use]
    pub fn for_header(mut self) -> Self {
        self.header = true;
        self
    }

    /// Renders JSON.
    ///
    /// # Errors
    /// [`Error::Exec`] with Go's message.
    pub fn render(&self, data: &serde_json::Value) -> Result<String> {
        self.render_value(&Value::from(data))
    }

    /// Renders any value.
    ///
    /// # Errors
    /// [`Error::Exec`] with Go's message.
    pub fn render_value(&self, data: &Value) -> Result<String> {
        exec::execute(self, data)
    }
}

#[cfg(test)]
mod tests;
