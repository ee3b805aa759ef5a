//! `# check=skip=A,B;error=true;experimental=all`.

use super::Rule;

/// Which checks are on, and whether findings are errors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Config {
    skip: Names,
    experimental: Names,
    pub(super) error: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    all: bool,
    names: Vec<String>,
}

impl Names {
    fn parse(text: &str) -> Self {
        let names = text.split(',').map(|name| name.trim().to_owned()).collect();
        Self { all: text.trim() == "all", names }
    }

    fn contain(&self, rule: Rule) -> bool {
        self.all || self.names.iter().any(|name| name == rule.name())
    }
}

impl Config {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut config = Self::default();
        if text.is_empty() {
            return Ok(config);
        }
        for option in text.split(';') {
            let quoted = crate::quote::go(option);
            let fail = |what: String| format!("failed to parse check options: {what}");
            let Some((key, value)) = option.split_once('=') else {
                return Err(fail(format!("invalid check option {quoted}")));
            };
            match key.trim() {
                "skip" => config.skip = Names::parse(value),
                "experimental" => config.experimental = Names::parse(value),
                "error" => {
                    config.error = match value.trim() {
                        "true" | "1" => true,
                        "false" | "0" => false,
                        _ => return Err(fail(format!("failed to parse check option {quoted}"))),
                    };
                }
                _ => return Err(fail(format!("invalid check option {quoted}"))),
            }
        }
        Ok(config)
    }

    pub(super) fn is_on(&self, rule: Rule) -> bool {
        if rule.is_experimental() { self.experimental.contain(rule) } else { !self.skip.contain(rule) }
    }
}
