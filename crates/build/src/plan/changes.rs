//! Instructions that change an image's configuration and need no build: `commit -c` and `import -c`.

use wharf_oci::image::{Empty, RunConfig};
use wharf_oci::path;

use super::env::set_variable;
use super::{PlanError, expose, signal};
use crate::dockerfile::{self, Command, Kind, Pair};
use crate::expand::{Lexer, Variables};

const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// Keywords of what may be changed this way.
const ALLOWED: [&str; 11] = [
    "CMD",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "ONBUILD",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Applies the lines of `changes` in order. All are read before the first has an effect.
///
/// # Errors
/// An instruction that is unknown, not allowed here, or malformed.
pub fn apply_changes(config: &mut RunConfig, changes: &[String]) -> Result<(), PlanError> {
    if changes.is_empty() {
        return Ok(());
    }
    let refused = |keyword: &str| {
        let known = ALLOWED.contains(&keyword.to_uppercase().as_str());
        (!known).then(|| format!("{keyword} is not a valid change command"))
    };
    let (instructions, escape) = dockerfile::instructions(&changes.join("\n"), refused)?;
    let mut change = Change { config, lexer: Lexer::new(escape), had_cmd: false };
    instructions.into_iter().try_for_each(|instruction| change.apply(instruction.kind))
}

struct Change<'a> {
    config: &'a mut RunConfig,
    lexer: Lexer,
    /// Whether a `CMD` came before.
    had_cmd: bool,
}

/// Variables as a configuration lists them.
struct Listed<'a>(&'a [String]);

impl Variables for Listed<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let pairs = self.0.iter().filter_map(|variable| variable.split_once('='));
        pairs.rev().find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

impl Change<'_> {
    fn apply(&mut self, kind: Kind) -> Result<(), PlanError> {
        match kind {
            Kind::Cmd(command) => {
                self.config.cmd = self.words(command);
                self.had_cmd = true;
            }
            Kind::Entrypoint(command) => {
                self.config.entrypoint = self.words(command);
                if !self.had_cmd {
                    // An inherited command was meant for the inherited entry point.
                    self.config.cmd = None;
                }
            }
            Kind::Env(pairs) => {
                for (key, value) in self.pairs(&pairs)? {
                    set_variable(self.config.env.get_or_insert_default(), &key, &value);
                }
            }
            Kind::Label(pairs) => {
                let pairs = self.pairs(&pairs)?;
                self.config.labels.get_or_insert_default().extend(pairs);
            }
            Kind::Expose(words) => self.expose(&words)?,
            Kind::Volume(paths) => {
                for path in paths {
                    let path = self.expand(&path)?;
                    if path.is_empty() {
                        return Err(PlanError::new("VOLUME specified can not be an empty string"));
                    }
                    self.config.volumes.get_or_insert_default().insert(path, Empty {});
                }
            }
            Kind::Workdir(folder) => {
                let folder = self.expand(&folder)?;
                self.config.working_dir = path::join(&self.config.working_dir, &folder);
            }
            Kind::User(user) => self.config.user = self.expand(&user)?,
            Kind::Stopsignal(name) => {
                let name = self.expand(&name)?;
                if !signal::is_known(&name) {
                    return Err(PlanError::new(format!("invalid signal: {name}")));
                }
                self.config.stop_signal = name;
            }
            Kind::Onbuild(trigger) => self.config.on_build.get_or_insert_default().push(trigger),
            Kind::Healthcheck(check) => self.config.healthcheck = Some(check),
            // Refused by their keywords.
            Kind::Add(..)
            | Kind::Arg(_)
            | Kind::Copy(..)
            | Kind::Maintainer(_)
            | Kind::Run(_)
            | Kind::Shell(_) => {}
        }
        Ok(())
    }

    /// The words of a command, in the image's shell where it says none; `None` if there are none.
    fn words(&self, command: Command) -> Option<Vec<String>> {
        if !command.shell {
            return Some(command.words).filter(|words| !words.is_empty());
        }
        let own = self.config.shell.clone().filter(|shell| !shell.is_empty());
        let mut words = own.unwrap_or_else(|| SHELL.map(str::to_owned).to_vec());
        words.push(command.words.join(" "));
        Some(words)
    }

    /// Pairs with keys and values expanded, all with the variables from before the instruction.
    fn pairs(&self, pairs: &[Pair]) -> Result<Vec<(String, String)>, PlanError> {
        pairs.iter().map(|pair| Ok((self.expand(&pair.key)?, self.expand(&pair.value)?))).collect()
    }

    fn expose(&mut self, words: &[String]) -> Result<(), PlanError> {
        let mut ports = Vec::new();
        for word in words {
            for port in self.expanded(word)?.words {
                ports.extend(expose::parse(&port).map_err(|error| PlanError::new(error.classic()))?.ports);
            }
        }
        let exposed = self.config.exposed_ports.get_or_insert_default();
        exposed.extend(ports.into_iter().map(|port| (port, Empty {})));
        Ok(())
    }

    fn expand(&self, word: &str) -> Result<String, PlanError> {
        self.expanded(word).map(|expanded| expanded.text)
    }

    fn expanded(&self, word: &str) -> Result<crate::expand::Expanded, PlanError> {
        let variables = Listed(self.config.env.as_deref().unwrap_or_default());
        self.lexer.expand(word, &variables).map_err(|error| PlanError::new(error.to_string()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn applied(changes: &[&str]) -> Result<String, PlanError> {
        let mut config =
            RunConfig { env: Some(vec!["A=1".to_owned()]), cmd: Some(vec![]), ..RunConfig::default() };
        let changes: Vec<String> = changes.iter().map(|s| (*s).to_owned()).collect();
        apply_changes(&mut config, &changes)?;
        Ok(serde_json::to_string(&config).unwrap())
    }

    #[test]
    fn every_instruction() {
        let text = applied(&[
            "CMD echo hi",
            r#"ENTRYPOINT ["/x", "y"]"#,
            r#"ENV A=2 C="d e" E='$A' F=$A\ x${NO:-w}"#,
            "env OLD form  of it",
            "EXPOSE 80 53/udp 7000-7001",
            "EXPOSE $NO 80:90",
            r#"LABEL x=y "k k"="v=w""#,
            "USER bob:staff",
            "VOLUME /v $A",
            r#"VOLUME ["/json"]"#,
            "WORKDIR /w",
            "WORKDIR sub/../other",
            "STOPSIGNAL SIGTERM",
            "ONBUILD RUN x  y",
            "HEALTHCHECK --interval=3s --retries=2 CMD true",
            "# nothing",
        ]);
        expect![[r#"{"User":"bob:staff","ExposedPorts":{"53/udp":{},"7000/tcp":{},"7001/tcp":{},"80/tcp":{},"90/tcp":{}},"Env":["A=2","C=d e","E=$A","F=1 xw","OLD=form  of it"],"Entrypoint":["/x","y"],"Cmd":["/bin/sh","-c","echo hi"],"Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":3000000000,"Retries":2},"Volumes":{"/json":{},"/v":{},"2":{}},"WorkingDir":"/w/other","OnBuild":["RUN x  y"],"Labels":{"k k":"v=w","x":"y"},"StopSignal":"SIGTERM"}"#]].assert_eq(&text.unwrap());
        assert_eq!(
            applied(&["ENTRYPOINT x"]).unwrap(),
            r#"{"Env":["A=1"],"Entrypoint":["/bin/sh","-c","x"]}"#
        );
        assert_eq!(applied(&["CMD []"]).unwrap(), r#"{"Env":["A=1"]}"#);
        assert_eq!(applied(&[]).unwrap(), r#"{"Env":["A=1"],"Cmd":[]}"#);
    }

    #[test]
    fn refusals() {
        let bad = [
            "RUN x",
            "BOGUS",
            "FROM x",
            "",
            "# only a remark",
            "CMD [1]",
            "CMD --x y",
            "ENV a",
            "ENV",
            "ENV =x",
            "ENV a=\"b",
            "ENV a=${}",
            "ENV a=${b:?err}",
            "ENV a=${b",
            "LABEL",
            "EXPOSE x",
            "EXPOSE 1/x",
            "EXPOSE 9-8",
            "EXPOSE",
            "USER",
            "VOLUME",
            "WORKDIR",
            "STOPSIGNAL NOPE",
            "ONBUILD",
            "ONBUILD FROM x",
            "ONBUILD onbuild x",
            "HEALTHCHECK",
            "HEALTHCHECK CMD",
            "HEALTHCHECK NONE x",
            "HEALTHCHECK FOO",
            "HEALTHCHECK --x=1 CMD y",
            "HEALTHCHECK --interval=x CMD y",
            "HEALTHCHECK --interval=-1s CMD y",
            "ENV a=b c",
            "LABEL a=\"b",
            "CMD a\nBOGUS x\nRUN y",
        ];
        let text: String =
            bad.iter().map(|change| format!("{change:?}: {}\n", applied(&[change]).unwrap_err())).collect();
        expect![[r##"
            "RUN x": RUN is not a valid change command
            "BOGUS": BOGUS is not a valid change command
            "FROM x": FROM is not a valid change command
            "": file with no instructions
            "# only a remark": file with no instructions
            "CMD [1]": when using JSON array syntax, arrays must be comprised of strings only
            "CMD --x y": unknown flag: --x
            "ENV a": ENV must have two arguments
            "ENV": ENV requires at least one argument
            "ENV =x": ENV names can not be blank
            "ENV a=\"b": failed to process "\"b": unexpected end of statement while looking for matching double-quote
            "ENV a=${}": failed to process "${}": syntax error: bad substitution
            "ENV a=${b:?err}": failed to process "${b:?err}": b: err
            "ENV a=${b": failed to process "${b": unsupported modifier (�) in substitution
            "LABEL": LABEL requires at least one argument
            "EXPOSE x": Invalid containerPort: x
            "EXPOSE 1/x": Invalid proto: x
            "EXPOSE 9-8": Invalid containerPort: 9-8
            "EXPOSE": EXPOSE requires at least one argument
            "USER": USER requires exactly one argument
            "VOLUME": VOLUME requires at least one argument
            "WORKDIR": WORKDIR requires exactly one argument
            "STOPSIGNAL NOPE": invalid signal: NOPE
            "ONBUILD": ONBUILD requires at least one argument
            "ONBUILD FROM x": FROM isn't allowed as an ONBUILD trigger
            "ONBUILD onbuild x": Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed
            "HEALTHCHECK": HEALTHCHECK requires at least one argument
            "HEALTHCHECK CMD": Missing command after HEALTHCHECK CMD
            "HEALTHCHECK NONE x": HEALTHCHECK NONE takes no arguments
            "HEALTHCHECK FOO": Unknown type "FOO" in HEALTHCHECK (try CMD)
            "HEALTHCHECK --x=1 CMD y": unknown flag: --x
            "HEALTHCHECK --interval=x CMD y": time: invalid duration "x"
            "HEALTHCHECK --interval=-1s CMD y": Interval "interval" cannot be less than 1ms
            "ENV a=b c": Syntax error - can't find = in "c". Must be of the form: name=value
            "LABEL a=\"b": failed to process "\"b": unexpected end of statement while looking for matching double-quote
            "CMD a\nBOGUS x\nRUN y": BOGUS is not a valid change command
        "##]].assert_eq(&text);
    }
}
