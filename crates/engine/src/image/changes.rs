//! `import -c` and `commit -c`: the Dockerfile instructions that only change an image's configuration.

mod healthcheck;
mod words;

use std::collections::BTreeMap;

use wharf_oci::image::{Empty, RunConfig};

use self::words::{expand, name_values, split_words};
use crate::{Error, Result};

const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// Applies instructions, one per element (or line), in order.
///
/// # Errors
/// An instruction that is unknown, not allowed here, or malformed: Docker's message, status 400.
pub(crate) fn apply(config: &mut RunConfig, changes: &[String]) -> Result<()> {
    let text = changes.join("\n");
    let instructions = instructions(&text);
    // Every name is checked before any instruction has an effect.
    for (name, _) in &instructions {
        if !ALLOWED.contains(&name.to_ascii_uppercase().as_str()) {
            return Err(Error::invalid(format!("{name} is not a valid change command")));
        }
    }
    let mut command_set = false;
    for (name, arguments) in &instructions {
        let name = name.to_ascii_uppercase();
        one(config, &name, arguments, &mut command_set)?;
    }
    Ok(())
}

const ALLOWED: [&str; 11] = [
    "CMD",
    "ENTRYPOINT",
    "HEALTHCHECK",
    "ENV",
    "EXPOSE",
    "LABEL",
    "ONBUILD",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Splits into instruction and arguments; drops comments and empty lines, joins lines that end in a backslash.
fn instructions(text: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut pending = String::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with('#') || (trimmed.is_empty() && pending.is_empty()) {
            continue;
        }
        match trimmed.strip_suffix('\\') {
            Some(part) => pending.push_str(part),
            None => {
                pending.push_str(trimmed);
                all.push(std::mem::take(&mut pending));
            }
        }
    }
    if !pending.is_empty() {
        all.push(pending);
    }
    let split = |line: &String| match line.split_once(char::is_whitespace) {
        Some((name, rest)) => (name.to_owned(), rest.trim().to_owned()),
        None => (line.clone(), String::new()),
    };
    all.iter().map(split).collect()
}

fn one(config: &mut RunConfig, name: &str, arguments: &str, command_set: &mut bool) -> Result<()> {
    let environment = config.env.clone().unwrap_or_default();
    let expanded = |text: &str| expand(text, &environment);
    match name {
        "CMD" => {
            config.cmd = Some(command(arguments));
            *command_set = true;
        }
        "ENTRYPOINT" => {
            config.entrypoint = Some(command(arguments));
            if !*command_set {
                // An inherited command was meant for the inherited entry point.
                config.cmd = None;
            }
        }
        "ENV" => {
            for (key, value) in name_values("ENV", arguments)? {
                set_variable(config, &expanded(&key)?, &expanded(&value)?)?;
            }
        }
        "LABEL" => {
            for (key, value) in name_values("LABEL", arguments)? {
                let (key, value) = (expanded(&key)?, expanded(&value)?);
                if key.is_empty() {
                    return Err(Error::invalid("LABEL names can not be blank"));
                }
                config.labels.get_or_insert_default().insert(key, value);
            }
        }
        "EXPOSE" => expose(config, &several("EXPOSE", arguments)?, &environment)?,
        "VOLUME" => {
            let paths = json_words(arguments).map_or_else(|| several("VOLUME", arguments), Ok)?;
            for path in paths {
                let path = expanded(&path)?.trim().to_owned();
                if path.is_empty() {
                    return Err(Error::invalid("VOLUME specified can not be an empty string"));
                }
                config.volumes.get_or_insert_default().insert(path, Empty {});
            }
        }
        "USER" => config.user = expanded(&single("USER", arguments)?)?,
        "WORKDIR" => {
            config.working_dir = absolute(&config.working_dir, &expanded(&single("WORKDIR", arguments)?)?)
        }
        "STOPSIGNAL" => {
            let signal = expanded(&single("STOPSIGNAL", arguments)?)?;
            if !is_signal(&signal) {
                return Err(Error::invalid(format!("invalid signal: {signal}")));
            }
            config.stop_signal = signal;
        }
        "ONBUILD" => config.on_build.get_or_insert_default().push(trigger(arguments)?),
        _ => config.healthcheck = Some(healthcheck::parse(arguments)?),
    }
    Ok(())
}

/// The exec form if it is a JSON array of strings, else the shell form.
fn command(arguments: &str) -> Vec<String> {
    json_words(arguments)
        .unwrap_or_else(|| SHELL.iter().map(|s| (*s).to_owned()).chain([arguments.to_owned()]).collect())
}

fn json_words(text: &str) -> Option<Vec<String>> {
    text.starts_with('[').then(|| serde_json::from_str(text).ok()).flatten()
}

fn several(name: &str, arguments: &str) -> Result<Vec<String>> {
    let words = split_words(arguments);
    if words.is_empty() {
        return Err(Error::invalid(format!("{name} requires at least one argument")));
    }
    Ok(words)
}

fn single(name: &str, arguments: &str) -> Result<String> {
    if arguments.is_empty() {
        return Err(Error::invalid(format!("{name} requires exactly one argument")));
    }
    Ok(arguments.to_owned())
}

fn set_variable(config: &mut RunConfig, key: &str, value: &str) -> Result<()> {
    if key.is_empty() {
        return Err(Error::invalid("ENV names can not be blank"));
    }
    let variable = format!("{key}={value}");
    let variables = config.env.get_or_insert_default();
    match variables.iter_mut().find(|old| old.split('=').next() == Some(key)) {
        Some(old) => *old = variable,
        None => variables.push(variable),
    }
    Ok(())
}

fn expose(config: &mut RunConfig, ports: &[String], environment: &[String]) -> Result<()> {
    let mut exposed = BTreeMap::new();
    for port in ports {
        let port = expand(port, environment)?;
        let (range, protocol) = port.split_once('/').unwrap_or((&port, "tcp"));
        let protocol = protocol.to_lowercase();
        if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
            return Err(Error::invalid(format!("Invalid proto: {protocol}")));
        }
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let bad = || Error::invalid(format!("Invalid containerPort: {range}"));
        let (first, last): (u16, u16) = (first.parse().map_err(|_| bad())?, last.parse().map_err(|_| bad())?);
        if last < first {
            return Err(Error::invalid(format!("Invalid range specified for port: {range}")));
        }
        exposed.extend((first..=last).map(|number| (format!("{number}/{protocol}"), Empty {})));
    }
    config.exposed_ports.get_or_insert_default().extend(exposed);
    Ok(())
}

/// `path` seen from `current`, lexically cleaned.
fn absolute(current: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{current}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn trigger(arguments: &str) -> Result<String> {
    let word = arguments.split_whitespace().next().unwrap_or_default().to_uppercase();
    match word.as_str() {
        "" => Err(Error::invalid("ONBUILD requires at least one argument")),
        "ONBUILD" => Err(Error::invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")),
        "MAINTAINER" | "FROM" => Err(Error::invalid(format!("{word} isn't allowed as an ONBUILD trigger"))),
        _ => Ok(arguments.to_owned()),
    }
}

fn is_signal(signal: &str) -> bool {
    const NAMES: &str = " HUP INT QUIT ILL TRAP ABRT IOT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CLD CONT \
                         STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO POLL PWR SYS UNUSED RTMIN RTMAX ";
    if let Ok(number) = signal.parse::<i32>() {
        return (1..=64).contains(&number);
    }
    let upper = signal.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |name: &str| {
        let offset = name.strip_prefix("RTMIN+").or_else(|| name.strip_prefix("RTMAX-"));
        offset.and_then(|n| n.parse::<u8>().ok()).is_some_and(|n| n < 31)
    };
    !name.contains(' ') && NAMES.contains(&format!(" {name} ")) || real_time(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn applied(changes: &[&str]) -> Result<String> {
        let mut config =
            RunConfig { env: Some(vec!["A=1".to_owned()]), cmd: Some(vec![]), ..RunConfig::default() };
        let changes: Vec<String> = changes.iter().map(|s| (*s).to_owned()).collect();
        apply(&mut config, &changes)?;
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
        expect![[r#"{"User":"bob:staff","ExposedPorts":{"53/udp":{},"7000/tcp":{},"7001/tcp":{},"80/tcp":{}},"Env":["A=2","C=d e","E=$A","F=1 xw","OLD=form  of it"],"Entrypoint":["/x","y"],"Cmd":["/bin/sh","-c","echo hi"],"Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":3000000000,"Retries":2},"Volumes":{"/json":{},"/v":{},"2":{}},"WorkingDir":"/w/other","OnBuild":["RUN x  y"],"Labels":{"k k":"v=w","x":"y"},"StopSignal":"SIGTERM"}"#]]
        .assert_eq(&text.unwrap());
        assert_eq!(
            applied(&["ENTRYPOINT x"]).unwrap(),
            r#"{"Env":["A=1"],"Entrypoint":["/bin/sh","-c","x"]}"#
        );
    }

    #[test]
    fn refusals() {
        let bad = [
            "RUN x",
            "BOGUS",
            "FROM x",
            "ENV a",
            "ENV",
            "ENV =x",
            "LABEL",
            "EXPOSE x",
            "EXPOSE 1/x",
            "EXPOSE",
            "USER",
            "VOLUME",
            "WORKDIR",
            "STOPSIGNAL NOPE",
            "STOPSIGNAL 99",
            "ONBUILD",
            "ONBUILD FROM x",
            "ONBUILD onbuild x",
            "HEALTHCHECK",
            "HEALTHCHECK CMD",
            "HEALTHCHECK NONE x",
            "HEALTHCHECK FOO",
            "HEALTHCHECK --x=1 CMD y",
            "HEALTHCHECK --interval=x CMD y",
            "ENV a=b c",
            "LABEL a=\"b",
        ];
        let text: String =
            bad.iter().map(|change| format!("{change}: {}\n", applied(&[change]).unwrap_err())).collect();
        expect![[r#"
            RUN x: RUN is not a valid change command
            BOGUS: BOGUS is not a valid change command
            FROM x: FROM is not a valid change command
            ENV a: ENV must have two arguments
            ENV: ENV requires at least one argument
            ENV =x: ENV names can not be blank
            LABEL: LABEL requires at least one argument
            EXPOSE x: Invalid containerPort: x
            EXPOSE 1/x: Invalid proto: x
            EXPOSE: EXPOSE requires at least one argument
            USER: USER requires exactly one argument
            VOLUME: VOLUME requires at least one argument
            WORKDIR: WORKDIR requires exactly one argument
            STOPSIGNAL NOPE: invalid signal: NOPE
            STOPSIGNAL 99: invalid signal: 99
            ONBUILD: ONBUILD requires at least one argument
            ONBUILD FROM x: FROM isn't allowed as an ONBUILD trigger
            ONBUILD onbuild x: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed
            HEALTHCHECK: HEALTHCHECK requires at least one argument
            HEALTHCHECK CMD: Missing command after HEALTHCHECK CMD
            HEALTHCHECK NONE x: HEALTHCHECK NONE takes no arguments
            HEALTHCHECK FOO: Unknown type "FOO" in HEALTHCHECK (try CMD)
            HEALTHCHECK --x=1 CMD y: Unknown flag: x
            HEALTHCHECK --interval=x CMD y: time: invalid duration "x"
            ENV a=b c: Syntax error - can't find = in "c". Must be of the form: name=value
            LABEL a="b: unexpected end of statement while looking for matching double-quote
        "#]]
        .assert_eq(&text);
    }
}
