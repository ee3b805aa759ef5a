//! `RUN --mount=type=…,…`: its options and what they mean.

use super::suggest::nearest;

/// What `--mount` says, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSpec(Vec<Field>);

/// `key=value`, or a key alone.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    key: String,
    value: Option<String>,
    text: String,
}

/// What is mounted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MountType {
    /// Files of the context or of another stage.
    #[default]
    Bind,
    /// A folder that outlives the build.
    Cache,
    /// An empty folder in memory.
    Tmpfs,
    /// A secret of the client.
    Secret,
    /// The client's key agent.
    Ssh,
}

impl MountType {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "bind" => Self::Bind,
            "cache" => Self::Cache,
            "tmpfs" => Self::Tmpfs,
            "secret" => Self::Secret,
            "ssh" => Self::Ssh,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Cache => "cache",
            Self::Tmpfs => "tmpfs",
            Self::Secret => "secret",
            Self::Ssh => "ssh",
        }
    }
}

/// A mount with its options read and variables expanded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) kind: MountType,
    pub(crate) from: String,
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) read_only: bool,
    pub(crate) size: Option<u64>,
    pub(crate) id: String,
    pub(crate) sharing: String,
    pub(crate) required: bool,
    pub(crate) env: Option<String>,
    pub(crate) mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
}

const KEYS: [&str; 20] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
    "dest",
];

impl MountSpec {
    /// Reads the words of a flag; most values are looked at only when variables are known.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("failed to parse csv mounts: EOF".to_owned());
        }
        let fields: Vec<Field> = csv(text)
            .into_iter()
            .map(|text| {
                let (key, value) = match text.split_once('=') {
                    Some((key, value)) => (key.to_lowercase(), Some(value.to_owned())),
                    None => (text.to_lowercase(), None),
                };
                Field { key, value, text }
            })
            .collect();
        for field in &fields {
            let variable = field
                .value
                .as_ref()
                .is_some_and(|value| value.char_indices().any(|(at, c)| c == '$' && at + 1 < value.len()));
            if field.key == "from" && variable {
                return Err(
                    "'from' doesn't support variable expansion, define alias stage instead".to_owned()
                );
            }
        }
        Ok(Self(fields))
    }

    /// The stage or image it mounts from, as written; a cache mounts from nothing.
    pub(crate) fn from(&self) -> &str {
        let value = |key: &str| self.0.iter().rev().find(|f| f.key == key).and_then(|f| f.value.as_deref());
        value("from").unwrap_or_default()
    }

    /// What kind it is, as far as that can be told without variables.
    pub(crate) fn kind(&self) -> MountType {
        let kind = self.0.iter().rev().find(|f| f.key == "type").and_then(|f| f.value.as_deref());
        kind.and_then(|kind| MountType::parse(&kind.to_lowercase())).unwrap_or_default()
    }

    /// Reads the options with variables expanded.
    pub(crate) fn options(
        &self,
        mut expand: impl FnMut(&str) -> Result<String, String>,
    ) -> Result<Options, String> {
        let mut options = Options::default();
        let mut said_access = None;
        for field in &self.0 {
            let value = match &field.value {
                Some(value) => Some(expand(value)?),
                None => None,
            };
            options.set(field, value, &mut said_access)?;
        }
        options.check(said_access)
    }
}

impl Options {
    fn set(&mut self, field: &Field, value: Option<String>, access: &mut Option<bool>) -> Result<(), String> {
        let key = field.key.as_str();
        let flag = || match value.as_deref() {
            None => Ok(true),
            Some(text) => parse_bool(text).ok_or_else(|| format!("invalid value for {key}: {text}")),
        };
        match key {
            "readonly" | "ro" => return flag().map(|on| *access = Some(on)),
            "readwrite" | "rw" => return flag().map(|on| *access = Some(!on)),
            "required" => {
                self.for_kinds(key, &[MountType::Secret, MountType::Ssh])?;
                return flag().map(|on| self.required = on);
            }
            _ => {}
        }
        let Some(value) = value else {
            return Err(format!("invalid field '{}' must be a key=value pair", field.text));
        };
        let number = || value.parse::<u32>().map_err(|_| format!("invalid value {value} for {key}"));
        match key {
            "type" => {
                let name = value.to_lowercase();
                self.kind = MountType::parse(&name).ok_or_else(|| {
                    let hint = nearest(&name, ["bind", "cache", "tmpfs", "secret", "ssh"]);
                    let hint = hint.map(|hint| format!(" (did you mean {hint}?)")).unwrap_or_default();
                    format!("unsupported mount type {}{hint}", crate::quote::go(&value))
                })?;
            }
            "from" => self.from = value,
            "source" | "src" => self.source = value,
            "target" | "dst" | "destination" => self.target = value,
            "size" => {
                self.for_kinds(key, &[MountType::Tmpfs])?;
                self.size = Some(size(&value).ok_or_else(|| format!("invalid value for {key}: {value}"))?);
            }
            "id" => self.id = value,
            "sharing" => {
                self.sharing = value.to_lowercase();
                if !matches!(self.sharing.as_str(), "shared" | "private" | "locked") {
                    let hint = nearest(&self.sharing, ["shared", "private", "locked"]);
                    let hint = hint.map(|hint| format!(" (did you mean {hint}?)")).unwrap_or_default();
                    return Err(format!("unsupported sharing value {}{hint}", crate::quote::go(&value)));
                }
            }
            "mode" => {
                let mode = u32::from_str_radix(&value, 8);
                self.mode = Some(mode.map_err(|_| format!("invalid value {value} for mode"))?);
            }
            "uid" => self.uid = Some(number()?),
            "gid" => self.gid = Some(number()?),
            "env" => self.env = Some(value),
            _ => {
                let hint =
                    nearest(key, KEYS).map(|hint| format!(" (did you mean {hint}?)")).unwrap_or_default();
                return Err(format!("unexpected key '{key}' in '{}'{hint}", field.text));
            }
        }
        Ok(())
    }

    fn for_kinds(&self, key: &str, kinds: &[MountType]) -> Result<(), String> {
        if kinds.contains(&self.kind) {
            return Ok(());
        }
        Err(format!("unexpected key '{key}' for mount type '{}'", self.kind.name()))
    }

    fn check(mut self, access: Option<bool>) -> Result<Self, String> {
        let kind = self.kind.name();
        if matches!(self.kind, MountType::Bind | MountType::Tmpfs) {
            for (key, given) in
                [("mode", self.mode.is_some()), ("uid", self.uid.is_some()), ("gid", self.gid.is_some())]
            {
                if given {
                    return Err(format!("{key} not allowed for {} type mounts", crate::quote::go(kind)));
                }
            }
        }
        let usual = !matches!(self.kind, MountType::Cache | MountType::Tmpfs);
        self.read_only = access.unwrap_or(usual);
        if !self.sharing.is_empty() && self.kind != MountType::Cache {
            return Err(format!("invalid cache sharing set for {kind} mount"));
        }
        if self.kind == MountType::Secret {
            if !self.from.is_empty() {
                return Err("secret mount should not have a from".to_owned());
            }
            if self.source.is_empty() && self.target.is_empty() && self.id.is_empty() {
                return Err("invalid secret mount. one of source, target required".to_owned());
            }
            if !self.source.is_empty() && !self.id.is_empty() {
                return Err("both source and id can't be set".to_owned());
            }
        }
        Ok(self)
    }
}

/// Fields separated by commas; one in double quotes may have commas in it.
fn csv(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let last = fields.len() - 1;
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                fields[last].push('"');
            }
            '"' if quoted => quoted = false,
            '"' if fields[last].is_empty() => quoted = true,
            ',' if !quoted => fields.push(String::new()),
            c => fields[last].push(c),
        }
    }
    fields
}

/// As Go's `strconv.ParseBool`.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Bytes of a size such as `64m`: powers of 1024.
fn size(text: &str) -> Option<u64> {
    let text = text.trim().to_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let shift = match unit.trim().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    let bytes = number * (1_u64 << shift) as f64;
    (bytes >= 0.0 && bytes < u64::MAX as f64).then_some(bytes as u64)
}
