//! Which tags stay. Pure.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::server::config::parse_duration;

/// How long tags of some repositories are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Pattern of repository names.
    repositories: String,
    /// This many of the newest tags stay.
    keep_last: Option<usize>,
    /// Tags that are not older stay.
    max_age: Option<Duration>,
    /// Patterns of tags that stay anyway.
    keep_tags: Vec<String>,
}

impl Rule {
    /// Reads `{repositories: PATTERN, keeplast: N, maxage: DURATION, keeptags: [PATTERN]}`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        let map = value.as_object().ok_or("a rule is a map")?;
        let mut rule =
            Self { repositories: "*".to_owned(), keep_last: None, max_age: None, keep_tags: Vec::new() };
        for (key, value) in map {
            let wrong = || format!("{key}: {value} makes no sense");
            match key.as_str() {
                "repositories" => rule.repositories = value.as_str().ok_or_else(wrong)?.to_owned(),
                "keeplast" => {
                    let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
                    rule.keep_last = Some(number.ok_or_else(wrong)?);
                }
                "maxage" => {
                    let age = value.as_str().and_then(parse_duration);
                    rule.max_age = Some(age.ok_or_else(wrong)?);
                }
                "keeptags" => {
                    let tags = value.as_array().ok_or_else(wrong)?;
                    let tags = tags.iter().map(|tag| tag.as_str().map(str::to_owned).ok_or_else(wrong));
                    rule.keep_tags = tags.collect::<Result<_, _>>()?;
                }
                _ => return Err(format!("unknown key {key}")),
            }
        }
        if rule.keep_last.is_none() && rule.max_age.is_none() {
            return Err("a rule needs keeplast or maxage, else it keeps everything".to_owned());
        }
        Ok(rule)
    }
}

/// The tags of a repository that go, by the first rule for it. A tag goes if none of the rule's reasons to stay holds.
pub(crate) fn expired<'a>(
    rules: &[Rule],
    repository: &str,
    tags: &'a [(String, SystemTime)],
    now: SystemTime,
) -> Vec<&'a str> {
    let Some(rule) = rules.iter().find(|rule| matches(&rule.repositories, repository)) else {
        return Vec::new();
    };
    let mut newest: Vec<_> = tags.iter().collect();
    newest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let stays = |at: usize, tag: &str, time: SystemTime| {
        let young = |age: Duration| now.duration_since(time).unwrap_or_default() <= age;
        rule.keep_last.is_some_and(|count| at < count)
            || rule.max_age.is_some_and(young)
            || rule.keep_tags.iter().any(|pattern| matches(pattern, tag))
    };
    let all = newest.into_iter().enumerate();
    all.filter(|(at, (tag, time))| !stays(*at, tag, *time)).map(|(_, (tag, _))| tag.as_str()).collect()
}

/// Whether `text` fits a pattern in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    let between = text.strip_prefix(start).and_then(|text| text.strip_suffix(end));
    // Each part at the first place after the one before: a later place leaves no more room for the rest.
    let parts = middle.split('*').filter(|part| !part.is_empty());
    let mut left = between;
    for part in parts {
        left = left.and_then(|text| text.split_once(part)).map(|(_, after)| after);
    }
    left.is_some()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patterns() {
        assert!(matches("*", "a/b") && matches("team/*", "team/x/y") && matches("*-rc*", "v1-rc2"));
        assert!(
            matches("a*b*c", "abbc") && matches("**", "") && matches("*ab", "abab") && matches("x*x", "xx")
        );
        assert!(!matches("team/*", "other/x") && !matches("v*", "") && !matches("a", "ab"));
        assert!(!matches("x*x", "x") && !matches("a*b*c", "acb") && !matches("*ab*ab*", "abb"));
        // However many stars: no pattern takes time that grows with their number's power.
        assert!(!matches(&"*a".repeat(100), &"a".repeat(99)));
        assert!(!matches(&format!("{}b", "*a".repeat(60)), &"a".repeat(128)));
    }

    #[test]
    fn reasons_to_stay() {
        let now = SystemTime::now();
        let day = Duration::from_secs(24 * 3600);
        let tags: Vec<_> = [("v1", 40), ("v2", 30), ("nightly-1", 20), ("nightly-2", 2), ("latest", 0)]
            .map(|(tag, age)| (tag.to_owned(), now - day * age))
            .into();
        let gone = |rule: Value| {
            let rules = [Rule::read(&rule).unwrap()];
            expired(&rules, "team/app", &tags, now).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(gone(json!({"keeplast": 2})), ["nightly-1", "v2", "v1"]);
        assert_eq!(gone(json!({"maxage": "25d", "keeptags": ["v*"]})), Vec::<String>::new());
        assert_eq!(gone(json!({"maxage": "10d", "keeptags": ["v2"]})), ["nightly-1", "v1"]);
        assert_eq!(gone(json!({"keeplast": 1, "maxage": "10d"})), ["nightly-1", "v2", "v1"]);
        assert_eq!(gone(json!({"keeplast": 0, "repositories": "other/*"})), Vec::<String>::new());
    }

    #[test]
    fn malformed_rules() {
        for bad in [json!([]), json!({}), json!({"keeplast": "2"}), json!({"maxage": "x"}), json!({"x": 1})] {
            assert!(Rule::read(&bad).is_err(), "{bad}");
        }
    }
}
