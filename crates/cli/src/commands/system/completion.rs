//! `completion`: scripts with which a shell completes our command lines. They call the program for every
//! word, so that they also know the names of objects.

use serde_json::Value as Json;

use crate::{
    Cli, Error, Matches, Result, app,
    command::{Args, Command, Section},
    flag::{Flag, Kind},
    print,
};

/// The command for users.
pub(crate) const COMMAND: Command = Command::new(
    "completion",
    "bash|zsh|fish",
    "Generate the completion script for a shell",
)
.long("Generate the completion script for a shell, to be sourced or installed where the shell looks for it.")
.args(Args::Exact(1))
.section(Section::Hidden)
.run(run);

/// What the scripts call: the words of the command line so far, of which the last is to be completed.
pub(crate) const CANDIDATES: Command = Command::new("__complete", "[WORD...]", "")
    .args(Args::Any)
    .trailing()
    .section(Section::Hidden)
    .run(candidates);

const BASH: &str = r#"_NAME() {
    local IFS=$'\n'
    COMPREPLY=($(NAME __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
}
complete -o default -F _NAME NAME
"#;

const ZSH: &str = r#"#compdef NAME
_NAME() {
    local -a found
    found=("${(@f)$(NAME __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null | sed 's/:/\\:/g; s/\t/:/')}")
    [[ -n "$found" ]] && _describe NAME found || _files
}
compdef _NAME NAME
"#;

const FISH: &str = r#"function __NAME_complete
    NAME __complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null
end
complete -c NAME -a '(__NAME_complete)'
"#;

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let script = match m.arg(0) {
        "bash" => BASH,
        "zsh" => ZSH,
        "fish" => FISH,
        other => return Err(Error::message(format!("no completion for this shell: {other}"))),
    };
    print::out(&script.replace("NAME", cli.program()));
    Ok(())
}

fn candidates(cli: &Cli, m: &Matches) -> Result<()> {
    let Some((last, words)) = m.args().split_last() else { return Ok(()) };
    let Some(found) = walk(words) else { return Ok(()) };
    let mut lines = Vec::new();
    if last.starts_with('-') {
        for flag in found.flags.iter().filter(|flag| !flag.hidden) {
            let help = flag.help.lines().next().unwrap_or_default();
            lines.push((format!("--{}", flag.name), help.to_owned()));
        }
    } else if !found.below.is_empty() {
        let listed = found.below.iter().filter(|command| command.listed());
        lines.extend(listed.map(|command| (command.name.to_owned(), command.about.to_owned())));
    } else {
        lines.extend(names(cli, found.operand).into_iter().map(|name| (name, String::new())));
    }
    let matching = lines.iter().filter(|(word, _)| word.starts_with(last.as_str()));
    matching.for_each(|(word, about)| print::line(&format!("{word}\t{about}")));
    Ok(())
}

/// What can stand at the end of some words.
struct Place {
    flags: &'static [Flag],
    below: &'static [Command],
    /// The first operand of the command's usage line: `CONTAINER`, `IMAGE`, …
    operand: &'static str,
}

/// Follows the words to a command; nothing can be said where the last one is a flag that waits for its value.
fn walk(words: &[String]) -> Option<Place> {
    let mut place = Place { flags: app::GLOBAL_FLAGS, below: app::COMMANDS, operand: "" };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word.starts_with('-') {
            let named = |flag: &&Flag| {
                word.strip_prefix("--") == Some(flag.name)
                    || flag.short.is_some_and(|short| word.len() == 2 && word.ends_with(short))
            };
            if place.flags.iter().find(named).is_some_and(|flag| flag.kind != Kind::Bool) {
                words.next()?;
            }
            continue;
        }
        let below = place.below.iter().find(|c| c.name == word || c.other_names.contains(&word.as_str()));
        if let Some(command) = below {
            let operand = command.usage.split(' ').find(|part| *part != "[OPTIONS]").unwrap_or_default();
            let operand = operand.trim_matches(['[', ']']).split(['[', '|', ':']).next().unwrap_or_default();
            place = Place { flags: command.flags, below: command.below(), operand };
        }
    }
    Some(place)
}

/// The names of the objects an operand stands for. An engine that does not answer has none, and none is started.
fn names(cli: &Cli, operand: &str) -> Vec<String> {
    let Ok(client) = wharf_client::Client::from_env(cli.host()) else { return Vec::new() };
    let list = cli.block_on(async {
        let none = wharf_api::Filters::default();
        Ok(match operand {
            "CONTAINER" | "NAME" => {
                let all = wharf_client::ListOptions { all: true, ..Default::default() };
                texts(&Json::Array(client.container_list(&all).await?), "/Names/0")
            }
            "IMAGE" | "SOURCE_IMAGE" => {
                texts(&Json::Array(client.image_list(false, &none).await?), "/RepoTags/0")
            }
            "NETWORK" => texts(&Json::Array(client.network_list(&none).await?), "/Name"),
            "VOLUME" => {
                let answer: Json = client.volume_list(&none).await?;
                texts(answer.get("Volumes").unwrap_or(&Json::Null), "/Name")
            }
            _ => Vec::new(),
        })
    });
    list.unwrap_or_default()
}

fn texts(list: &Json, pointer: &str) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    let texts = items.filter_map(|item| item.pointer(pointer).and_then(Json::as_str));
    texts.map(|text| text.trim_start_matches('/').to_owned()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn place(line: &str) -> Option<Place> {
        walk(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn words_lead_to_a_command() {
        assert!(place("").unwrap().below.iter().any(|c| c.name == "run"));
        assert!(place("-H tcp://h container").unwrap().below.iter().any(|c| c.name == "rm"));
        assert_eq!(place("container rm -f").unwrap().operand, "CONTAINER");
        assert_eq!(place("network inspect").unwrap().operand, "NETWORK");
        assert_eq!(place("rmi").unwrap().operand, "IMAGE");
        assert!(place("ps").unwrap().flags.iter().any(|f| f.name == "no-trunc"));
        assert!(place("ps --format").is_none());
    }
}
