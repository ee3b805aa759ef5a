//! The head of a Dockerfile: `# escape=`, `# syntax=`, `# check=`.

/// What the head of a Dockerfile says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// Character that continues lines and takes the meaning from the next character.
    pub escape: char,
    /// Image of the frontend that is asked for.
    pub syntax: Option<String>,
    /// Control of the build checks: `skip=StageNameCasing;error=true`.
    pub check: Option<String>,
}

impl Default for Directives {
    fn default() -> Self {
        Self { escape: '\\', syntax: None, check: None }
    }
}

/// Reads directives from the first lines on; anything else ends the head.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) directives: Directives,
    seen: Vec<String>,
    done: bool,
}

impl Head {
    /// Takes a line of the file; whether it is a directive.
    pub(super) fn line(&mut self, line: &str) -> Result<bool, String> {
        if self.done {
            return Ok(false);
        }
        let Some((key, value)) =
            split(line).filter(|(key, _)| matches!(key.as_str(), "escape" | "syntax" | "check"))
        else {
            self.done = true;
            return Ok(false);
        };
        if self.seen.contains(&key) {
            return Err(format!("only one {key} parser directive can be used"));
        }
        match key.as_str() {
            "escape" if value == "\\" || value == "`" => {
                self.directives.escape = value.chars().next().unwrap_or('\\');
            }
            "escape" => return Err(format!("invalid escape token '{value}' does not match ` or \\")),
            "syntax" => self.directives.syntax = Some(value.to_owned()),
            _ => self.directives.check = Some(value.to_owned()),
        }
        self.seen.push(key);
        Ok(true)
    }
}

/// `# key = value` with the key in lower case.
fn split(line: &str) -> Option<(String, &str)> {
    let (key, value) = line.strip_prefix('#')?.split_once('=')?;
    let (key, value) = (key.trim(), value.trim());
    let is_key =
        key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.chars().all(|c| c.is_ascii_alphanumeric());
    (is_key && !value.is_empty()).then(|| (key.to_lowercase(), value))
}
