//! Logical lines to instructions.

use super::flags::{Flags, Form};
use super::lines::{self, Line};
use super::mount::{MountSpec, parse_bool};
use super::split::{self, Json};
use super::suggest::nearest;
use super::{
    AddFlags, Arg, Command, CopyFlags, Dockerfile, Files, Heredoc, Instruction, Kind, NetworkMode,
    ParseError, Run, RunDevice, Stage, health,
};

const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Errors of the first pass over a file carry no line in their text, those of the second do.
enum Failure {
    Syntax(String),
    Meaning(String),
}

/// Parses a whole file.
pub(super) fn dockerfile(text: &str) -> Result<Dockerfile, ParseError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.is_empty() {
        return Err(ParseError::whole("the Dockerfile cannot be empty"));
    }
    let read = lines::read(text)?;
    let escape = read.directives.escape;
    // compat: a broken word anywhere is reported before a wrong instruction in an earlier line.
    let parsed: Vec<Result<Item, Failure>> = read.lines.iter().map(|line| item(line, escape)).collect();
    for (result, line) in parsed.iter().zip(&read.lines) {
        if let Err(Failure::Syntax(message)) = result {
            return Err(ParseError::at(message, line.lines.clone()));
        }
    }
    let mut file = Dockerfile {
        text: text.to_owned(),
        directives: read.directives,
        global_args: Vec::new(),
        stages: Vec::new(),
        empty_continuations: read.empty_continuations,
    };
    for (result, line) in parsed.into_iter().zip(&read.lines) {
        let item = result.map_err(|failure| {
            let (Failure::Syntax(message) | Failure::Meaning(message)) = failure;
            let start = line.lines.start();
            ParseError::at(format!("dockerfile parse error on line {start}: {message}"), line.lines.clone())
        })?;
        match (item, file.stages.last_mut()) {
            (Item::From(stage), _) => file.stages.push(stage),
            (Item::Instruction(instruction), Some(stage)) => stage.instructions.push(instruction),
            (Item::Instruction(arg @ Instruction { kind: Kind::Arg(_), .. }), None) => {
                file.global_args.push(arg)
            }
            _ => return Err(ParseError::at("no build stage in current context", line.lines.clone())),
        }
    }
    if file.stages.is_empty() {
        return Err(ParseError::whole("dockerfile contains no stages to build"));
    }
    Ok(file)
}

/// Parses instructions that belong to no stage, and tells the escape character in them. `refused` says why a keyword is
/// not allowed.
pub(crate) fn instructions(
    text: &str,
    refused: impl Fn(&str) -> Option<String>,
) -> Result<(Vec<Instruction>, char), ParseError> {
    let read = lines::read(text)?;
    let escape = read.directives.escape;
    let parsed: Vec<_> = read.lines.iter().map(|line| (line, item(line, escape))).collect();
    for (line, result) in &parsed {
        if let Err(Failure::Syntax(message)) = result {
            return Err(ParseError::at(message, line.lines.clone()));
        }
    }
    if let Some(message) = read.lines.iter().find_map(|line| refused(split::keyword(&line.text).0)) {
        return Err(ParseError::whole(message));
    }
    let mut instructions = Vec::new();
    for (line, result) in parsed {
        match result {
            Ok(Item::Instruction(instruction)) => instructions.push(instruction),
            Ok(Item::From(_)) => {}
            Err(Failure::Syntax(message) | Failure::Meaning(message)) => {
                return Err(ParseError::at(message, line.lines.clone()));
            }
        }
    }
    Ok((instructions, escape))
}

/// Parses a trigger of `ONBUILD`; its lines are those of the `FROM` that runs it.
pub(crate) fn trigger(text: &str, at: std::ops::RangeInclusive<usize>) -> Result<Instruction, ParseError> {
    let read = lines::read(text)?;
    let [line] = &read.lines[..] else {
        return Err(ParseError::at("onbuild trigger should be a single expression", at));
    };
    match item(line, '\\') {
        Ok(Item::Instruction(instruction)) => Ok(Instruction { lines: at, ..instruction }),
        Ok(Item::From(_)) => Err(ParseError::at("FROM isn't allowed as an ONBUILD trigger", at)),
        Err(Failure::Syntax(message) | Failure::Meaning(message)) => Err(ParseError::at(message, at)),
    }
}

enum Item {
    From(Stage),
    Instruction(Instruction),
}

/// A line cut into pieces.
struct Parts<'a> {
    name: String,
    flags: Vec<String>,
    rest: &'a str,
    escape: char,
    heredocs: &'a [Heredoc],
}

fn item(line: &Line, escape: char) -> Result<Item, Failure> {
    let (keyword, rest) = split::keyword(&line.text);
    let (flags, rest) = split::flags(rest);
    let parts = Parts { name: keyword.to_uppercase(), flags, rest, escape, heredocs: &line.heredocs };
    if parts.name == "FROM" {
        return from(&parts, keyword, line).map(Item::From).map_err(Failure::Meaning);
    }
    Ok(Item::Instruction(Instruction {
        kind: kind(&parts, &line.text)?,
        keyword: keyword.to_owned(),
        lines: line.lines.clone(),
        source: line.text.trim().to_owned(),
        comments: line.comments.clone(),
    }))
}

fn from(parts: &Parts<'_>, keyword: &str, line: &Line) -> Result<Stage, String> {
    let words = split::blanks(parts.rest);
    let (base, as_word, name) = match &words[..] {
        [base] => (base, "", ""),
        [base, as_word, name] if as_word.eq_ignore_ascii_case("as") => {
            (base, as_word.as_str(), name.as_str())
        }
        _ => return Err("FROM requires either one or three arguments".to_owned()),
    };
    let lower = name.to_lowercase();
    let valid = lower.starts_with(|c: char| c.is_ascii_lowercase())
        && lower.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
    if !name.is_empty() && !valid {
        return Err(format!(
            "invalid name for build stage: {}, name can't start with a number or contain symbols",
            crate::quote::go(name)
        ));
    }
    let flags = Flags::read(&parts.flags, &[("platform", Form::One)])?;
    Ok(Stage {
        name: lower,
        name_as_written: name.to_owned(),
        base: base.clone(),
        platform: flags.one("platform").filter(|p| !p.is_empty()),
        keywords: (keyword.to_owned(), as_word.to_owned()),
        lines: line.lines.clone(),
        source: line.text.trim().to_owned(),
        comments: line.comments.clone(),
        instructions: Vec::new(),
    })
}

fn kind(parts: &Parts<'_>, text: &str) -> Result<Kind, Failure> {
    use Failure::{Meaning, Syntax};
    let name = parts.name.as_str();
    let rest = parts.rest;
    let no_flags = || Flags::none(&parts.flags).map_err(Meaning);
    match name {
        "ADD" | "COPY" => files(parts),
        "RUN" => run(parts).map(|run| Kind::Run(Box::new(run))),
        "ENV" | "LABEL" => {
            let pairs = split::pairs(rest, name, parts.escape).map_err(Syntax)?;
            no_flags()?;
            at_least_one(name, &pairs)?;
            if pairs.iter().any(|pair| pair.key.is_empty()) {
                return Err(Meaning(format!("{name} names can not be blank")));
            }
            Ok(if name == "ENV" { Kind::Env(pairs) } else { Kind::Label(pairs) })
        }
        "ARG" => {
            let words = split::words(rest, parts.escape);
            at_least_one(name, &words)?;
            no_flags()?;
            args(&words).map(Kind::Arg).map_err(Meaning)
        }
        "CMD" => command(parts).and_then(|command| no_flags().map(|()| Kind::Cmd(command))),
        "ENTRYPOINT" => command(parts).and_then(|command| no_flags().map(|()| Kind::Entrypoint(command))),
        "SHELL" => match list(rest)? {
            Some(words) => {
                at_least_one(name, &words)?;
                no_flags().map(|()| Kind::Shell(words))
            }
            None if rest.is_empty() => Err(Meaning("SHELL requires at least one argument".to_owned())),
            None => Err(Meaning("SHELL requires the arguments to be in JSON form".to_owned())),
        },
        "VOLUME" => {
            let words = list(rest)?.unwrap_or_else(|| split::blanks(rest));
            at_least_one(name, &words)?;
            no_flags()?;
            let words: Vec<String> = words.iter().map(|word| word.trim().to_owned()).collect();
            if words.contains(&String::new()) {
                return Err(Meaning("VOLUME specified can not be an empty string".to_owned()));
            }
            Ok(Kind::Volume(words))
        }
        "EXPOSE" => {
            let mut words = split::blanks(rest);
            at_least_one(name, &words)?;
            no_flags()?;
            words.sort();
            Ok(Kind::Expose(words))
        }
        "HEALTHCHECK" => {
            if split::json(split::keyword(rest).1) == Json::OtherTypes {
                return Err(Syntax(OTHER_TYPES.to_owned()));
            }
            health::parse(&parts.flags, rest).map(Kind::Healthcheck).map_err(Meaning)
        }
        "ONBUILD" => onbuild(parts, text).map(Kind::Onbuild),
        "MAINTAINER" => exactly_one(parts).map(Kind::Maintainer),
        "STOPSIGNAL" => exactly_one(parts).map(Kind::Stopsignal),
        "USER" => exactly_one(parts).map(Kind::User),
        "WORKDIR" => exactly_one(parts).map(Kind::Workdir),
        _ => {
            let hint =
                nearest(name, KEYWORDS).map(|hint| format!(" (did you mean {hint}?)")).unwrap_or_default();
            Err(Meaning(format!("unknown instruction: {}{hint}", split::keyword(text).0)))
        }
    }
}

const OTHER_TYPES: &str = "when using JSON array syntax, arrays must be comprised of strings only";

fn at_least_one<T>(name: &str, words: &[T]) -> Result<(), Failure> {
    if words.is_empty() {
        return Err(Failure::Meaning(format!("{name} requires at least one argument")));
    }
    Ok(())
}

fn exactly_one(parts: &Parts<'_>) -> Result<String, Failure> {
    if parts.rest.is_empty() {
        return Err(Failure::Meaning(format!("{} requires exactly one argument", parts.name)));
    }
    Flags::none(&parts.flags).map_err(Failure::Meaning)?;
    Ok(parts.rest.to_owned())
}

/// The exec form, if it is one.
fn list(text: &str) -> Result<Option<Vec<String>>, Failure> {
    match split::json(text) {
        Json::List(words) => Ok(Some(words)),
        Json::OtherTypes => Err(Failure::Syntax(OTHER_TYPES.to_owned())),
        Json::None => Ok(None),
    }
}

fn command(parts: &Parts<'_>) -> Result<Command, Failure> {
    Ok(match list(parts.rest)? {
        Some(words) => Command { words, shell: false },
        None if parts.rest.is_empty() => Command { words: Vec::new(), shell: true },
        None => Command { words: vec![parts.rest.to_owned()], shell: true },
    })
}

fn args(words: &[String]) -> Result<Vec<Arg>, String> {
    words
        .iter()
        .map(|word| match word.split_once('=') {
            Some(("", _)) => Err("ARG names can not be blank".to_owned()),
            Some((name, default)) => Ok(Arg { name: name.to_owned(), default: Some(default.to_owned()) }),
            None => Ok(Arg { name: word.clone(), default: None }),
        })
        .collect()
}

fn onbuild(parts: &Parts<'_>, text: &str) -> Result<String, Failure> {
    let (_, rest) = split::keyword(text);
    let (nested, _) = split::keyword(parts.rest);
    if nested.is_empty() {
        return Err(Failure::Meaning("ONBUILD requires at least one argument".to_owned()));
    }
    Flags::none(&parts.flags).map_err(Failure::Meaning)?;
    match nested.to_uppercase().as_str() {
        "ONBUILD" => {
            return Err(Failure::Meaning("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned()));
        }
        name @ ("MAINTAINER" | "FROM") => {
            return Err(Failure::Meaning(format!("{name} isn't allowed as an ONBUILD trigger")));
        }
        _ => {}
    }
    let mut trigger = rest.to_owned();
    for heredoc in parts.heredocs {
        trigger.push('\n');
        trigger.push_str(&heredoc.content);
        trigger.push_str(&heredoc.name);
    }
    Ok(trigger)
}

fn files(parts: &Parts<'_>) -> Result<Kind, Failure> {
    use Failure::Meaning;
    let name = parts.name.as_str();
    let mut words = list(parts.rest)?.unwrap_or_else(|| split::blanks(parts.rest));
    if words.len() < 2 {
        return Err(Meaning(format!(
            "{name} requires at least two arguments, but only one was provided. Destination could not be determined"
        )));
    }
    let mut known =
        vec![("chown", Form::One), ("chmod", Form::One), ("link", Form::Bool), ("exclude", Form::Many)];
    if name == "ADD" {
        known.extend([("keep-git-dir", Form::Bool), ("checksum", Form::One), ("unpack", Form::Bool)]);
    } else {
        known.extend([("from", Form::One), ("parents", Form::Bool)]);
    }
    let flags = Flags::read(&parts.flags, &known).map_err(Meaning)?;
    let destination = words.pop().unwrap_or_default();
    if Heredoc::parse(&destination).is_some() {
        return Err(Meaning(format!("{name} cannot accept a heredoc as a destination")));
    }
    // In the exec form nothing was read as a here-document.
    let sources =
        words.into_iter().filter(|word| parts.heredocs.is_empty() || Heredoc::parse(word).is_none());
    let text = |name: &str| flags.one(name).filter(|value| !value.is_empty());
    let files = Files {
        sources: sources.collect(),
        heredocs: parts.heredocs.to_vec(),
        destination,
        chown: text("chown"),
        chmod: text("chmod"),
        link: flags.is_set("link"),
        exclude: flags.many("exclude"),
    };
    let choice = |name: &str| flags.one(name).map(|value| value == "true");
    Ok(if name == "ADD" {
        let add = AddFlags {
            checksum: text("checksum"),
            keep_git_dir: choice("keep-git-dir"),
            unpack: choice("unpack"),
        };
        Kind::Add(files, add)
    } else {
        Kind::Copy(files, CopyFlags { from: text("from"), parents: flags.is_set("parents") })
    })
}

const RUN_FLAGS: [(&str, Form); 4] =
    [("mount", Form::Many), ("network", Form::One), ("security", Form::One), ("device", Form::Many)];

fn run(parts: &Parts<'_>) -> Result<Run, Failure> {
    use Failure::Meaning;
    let command = command(parts)?;
    let flags = Flags::read(&parts.flags, &RUN_FLAGS).map_err(Meaning)?;
    let network = match flags.one("network").as_deref() {
        None | Some("default") => NetworkMode::Default,
        Some("none") => NetworkMode::None,
        Some("host") => NetworkMode::Host,
        Some(other) => return Err(Meaning(format!("invalid network mode {}", crate::quote::go(other)))),
    };
    let insecure = match flags.one("security").as_deref() {
        None | Some("sandbox") => false,
        Some("insecure") => true,
        Some(other) => return Err(Meaning(format!("security {} is not valid", crate::quote::go(other)))),
    };
    let mounts: Result<_, _> = flags.many("mount").iter().map(|text| MountSpec::parse(text)).collect();
    let devices: Result<_, _> = flags.many("device").iter().map(|text| device(text)).collect();
    Ok(Run {
        command,
        heredocs: parts.heredocs.to_vec(),
        mounts: mounts.map_err(Meaning)?,
        network,
        insecure,
        devices: devices.map_err(Meaning)?,
    })
}

/// `name`, or `name=…,required`.
fn device(text: &str) -> Result<RunDevice, String> {
    let mut device = RunDevice::default();
    for (i, field) in text.split(',').enumerate() {
        match field.split_once('=') {
            Some(("name", name)) => device.name = name.to_owned(),
            Some(("required", value)) => {
                device.required =
                    parse_bool(value).ok_or_else(|| format!("invalid value for required: {value}"))?;
            }
            None if field == "required" => device.required = true,
            // The name itself has `=`: `vendor.com/class=name`.
            _ if i == 0 && !field.is_empty() => device.name = field.to_owned(),
            _ => return Err(format!("unexpected key '{field}' in '{text}'")),
        }
    }
    Ok(device)
}
