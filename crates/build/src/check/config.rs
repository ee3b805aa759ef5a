//! `# check=skip=A,B;error=true;experimental=all`.

use super::Rule;
use crate::dockerfile::parse_bool;

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
            let (key, value) = option.split_once('=').ok_or_else(|| unknown(option))?;
            match key.trim() {
                "skip" => config.skip = Names::parse(value),
                "experimental" => config.experimental = Names::parse(value),
                "error" => config.error = boolean(option, value.trim())?,
                key => return Err(unknown(key)),
            }
        }
        Ok(config)
    }

    pub(super) fn is_on(&self, rule: Rule) -> bool {
        if rule.is_experimental() { self.experimental.contain(rule) } else { !self.skip.contain(rule) }
    }
}

fn unknown(option: &str) -> String {
    format!("failed to parse check options: invalid check option {}", crate::quote::go(option))
}

fn boolean(option: &str, value: &str) -> Result<bool, String> {
    parse_bool(value).ok_or_else(|| {
        let (option, value) = (crate::quote::go(option), crate::quote::go(value));
        let reason = format!("strconv.ParseBool: parsing {value}: invalid syntax");
        format!("failed to parse check options: failed to parse check option {option}: {reason}")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let config = Config::parse("skip=MaintainerDeprecated, UndefinedVar;error=true").unwrap();
        assert!(config.error);
        assert!(!config.is_on(Rule::UndefinedVar) && config.is_on(Rule::StageNameCasing));
        assert!(!config.is_on(Rule::InvalidDefinitionDescription));
        assert!(Config::parse("experimental=all").unwrap().is_on(Rule::InvalidDefinitionDescription));
        assert!(!Config::parse("skip=all").unwrap().is_on(Rule::StageNameCasing));
    }

    #[test]
    fn errors_have_dockers_words() {
        let error = |text: &str| Config::parse(text).unwrap_err();
        assert_eq!(error("foo=true"), "failed to parse check options: invalid check option \"foo\"");
        assert_eq!(error("foo"), "failed to parse check options: invalid check option \"foo\"");
        assert_eq!(
            error("error=maybe"),
            "failed to parse check options: failed to parse check option \"error=maybe\": strconv.ParseBool: parsing \"maybe\": invalid syntax"
        );
    }
}
