//! The flag parser, with the rules and the messages of Go's pflag, which Docker's command line is built on.

use crate::{
    command::Args,
    flag::{Flag, Kind},
    matches::Matches,
    value::quote,
};

/// What parsing ended with, if no error.
pub(crate) enum Parsed {
    /// The command is to run.
    Matches(Matches),
    /// `--help` or `-h` was given; true for the deprecated `-h`.
    Help { by_letter: bool },
}

/// Parses `args` by the definitions in `flags`. Without `interspersed`, everything from the first positional
/// argument on is positional.
///
/// # Errors
/// The message of the first flag that is unknown, lacks its value or has a bad one.
pub(crate) fn parse(
    flags: &'static [Flag],
    interspersed: bool,
    args: impl IntoIterator<Item = String>,
) -> Result<Parsed, String> {
    let mut parser = Parser { flags, matches: Matches::new(flags), help: None };
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            args.by_ref().for_each(|rest| parser.matches.push_arg(rest));
        } else if let Some(long) = arg.strip_prefix("--") {
            parser.long(long, &arg, &mut args)?;
        } else if arg.len() > 1 && arg.starts_with('-') {
            parser.letters(&arg[1..], &mut args)?;
        } else {
            parser.matches.push_arg(arg);
            if !interspersed {
                args.by_ref().for_each(|rest| parser.matches.push_arg(rest));
            }
        }
    }
    Ok(match parser.help {
        Some(by_letter) => Parsed::Help { by_letter },
        None => Parsed::Matches(parser.matches),
    })
}

struct Parser {
    flags: &'static [Flag],
    matches: Matches,
    help: Option<bool>,
}

impl Parser {
    fn long(
        &mut self,
        text: &str,
        whole: &str,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<(), String> {
        if text.starts_with(['-', '=']) {
            return Err(format!("bad flag syntax: {whole}"));
        }
        let (name, value) =
            text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value.to_owned())));
        let Some(flag) = self.flags.iter().find(|f| f.name == name) else {
            if name != "help" {
                return Err(format!("unknown flag: --{name}"));
            }
            return self.help_flag(value, false);
        };
        let value = match value {
            Some(value) => value,
            None if flag.kind == Kind::Bool => "true".to_owned(),
            None => rest.next().ok_or_else(|| format!("flag needs an argument: {whole}"))?,
        };
        self.set(flag, value)
    }

    fn letters(&mut self, text: &str, rest: &mut impl Iterator<Item = String>) -> Result<(), String> {
        let mut letters = text;
        while let Some(letter) = letters.chars().next() {
            let tail = &letters[letter.len_utf8()..];
            let Some(flag) = self.flags.iter().find(|f| f.short == Some(letter)) else {
                if letter != 'h' {
                    return Err(format!("unknown shorthand flag: '{letter}' in -{letters}"));
                }
                self.help = Some(true);
                letters = tail;
                continue;
            };
            let mut next = "";
            let value = if tail.len() > 1 && tail.starts_with('=') {
                tail[1..].to_owned()
            } else if flag.kind == Kind::Bool {
                next = tail;
                "true".to_owned()
            } else if !tail.is_empty() {
                tail.to_owned()
            } else {
                rest.next().ok_or_else(|| format!("flag needs an argument: '{letter}' in -{letters}"))?
            };
            self.set(flag, value)?;
            letters = next;
        }
        Ok(())
    }

    fn help_flag(&mut self, value: Option<String>, by_letter: bool) -> Result<(), String> {
        let value = value.unwrap_or_else(|| "true".to_owned());
        match crate::value::parse_bool(&value) {
            Ok(wanted) => self.help = wanted.then_some(by_letter),
            Err(why) => return Err(format!("invalid argument {} for \"--help\" flag: {why}", quote(&value))),
        }
        Ok(())
    }

    fn set(&mut self, flag: &'static Flag, value: String) -> Result<(), String> {
        let repeated = flag.once.filter(|_| self.matches.changed(flag.name));
        let refused =
            repeated.map(str::to_owned).or_else(|| flag.check.and_then(|check| check(&value).err()));
        if let Some(why) = refused {
            return Err(format!(
                "invalid argument {} for {} flag: {why}",
                quote(&value),
                quote(&flag.title())
            ));
        }
        if let Some(instead) = flag.deprecated {
            crate::print::warn(&format!("Flag --{} has been deprecated, {instead}", flag.name));
        }
        self.matches.set(flag, value);
        Ok(())
    }
}

/// Says what is wrong with the number of arguments: the sentence and the words that lead to the help.
pub(crate) fn check_args(args: Args, count: usize) -> Option<(String, &'static str)> {
    let plural = |n: usize| if n == 1 { "argument" } else { "arguments" };
    let (good, text, lead) = match args {
        Args::Any => return None,
        Args::None => (count == 0, "accepts no arguments".to_owned(), "Run"),
        Args::Exact(n) => (count == n, format!("requires {n} {}", plural(n)), "Run"),
        Args::Min(n) => (count >= n, format!("requires at least {n} {}", plural(n)), "See"),
        // compat: Docker's own text has the stray letter.
        Args::Max(n) => (count <= n, format!("requires at most {n} {}", plural(n)), "SRun"),
        Args::Range(low, high) => (
            (low..=high).contains(&count),
            format!("requires at least {low} and at most {high} {}", plural(high)),
            "Run",
        ),
    };
    (!good).then_some((text, lead))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    static FLAGS: &[Flag] = &[
        Flag::bool("all", "").short('a'),
        Flag::bool("rm", ""),
        Flag::bool("tty", "").short('t'),
        Flag::bool("proxy", "").default("true"),
        Flag::list("env", "").short('e'),
        Flag::strings("gateway", ""),
        Flag::int("last", "").short('n').default("-1"),
        Flag::bytes("memory", "").short('m'),
        Flag::string("network", ""),
        Flag::string("net", "").same_as("network"),
    ];

    fn run(interspersed: bool, line: &str) -> String {
        match parse(FLAGS, interspersed, line.split_whitespace().map(str::to_owned)) {
            Err(text) => text,
            Ok(Parsed::Help { by_letter }) => format!("help {by_letter}"),
            Ok(Parsed::Matches(m)) => format!(
                "all={} rm={} tty={} proxy={} env={:?} gw={:?} last={} mem={} net={:?} args={:?}",
                m.bool("all"),
                m.bool("rm"),
                m.bool("tty"),
                m.bool("proxy"),
                m.list("env"),
                m.list("gateway"),
                m.int("last"),
                m.bytes("memory"),
                m.str("network"),
                m.args()
            ),
        }
    }

    fn check(line: &str, want: Expect) {
        want.assert_eq(&run(true, line));
    }

    #[test]
    fn values_are_taken_in_every_form() {
        check(
            "-at --rm=false x -e A=1 -eB=2 -e=C --env D --gateway 1,2 --gateway=3 -n5 -m 1k --net h y",
            expect![[
                r#"all=true rm=false tty=true proxy=true env=["A=1", "B=2", "C", "D"] gw=["1", "2", "3"] last=5 mem=1024 net="h" args=["x", "y"]"#
            ]],
        );
        check(
            "-a=false --proxy=0 -- -a --rm -",
            expect![[
                r#"all=false rm=false tty=false proxy=false env=[] gw=[] last=-1 mem=0 net="" args=["-a", "--rm", "-"]"#
            ]],
        );
    }

    #[test]
    fn flags_stop_at_the_command_of_a_container() {
        expect![[r#"all=true rm=false tty=false proxy=true env=[] gw=[] last=-1 mem=0 net="" args=["image", "sh", "-c", "--rm"]"#]]
            .assert_eq(&run(false, "-a image sh -c --rm"));
    }

    #[test]
    fn errors_read_as_in_docker() {
        check("--nosuch", expect!["unknown flag: --nosuch"]);
        check("-aZt", expect!["unknown shorthand flag: 'Z' in -Zt"]);
        check("--last", expect!["flag needs an argument: --last"]);
        check("-an", expect!["flag needs an argument: 'n' in -n"]);
        check("--=x", expect!["bad flag syntax: --=x"]);
        check("---x", expect!["bad flag syntax: ---x"]);
        check(
            "-n x",
            expect![[
                r#"invalid argument "x" for "-n, --last" flag: strconv.ParseInt: parsing "x": invalid syntax"#
            ]],
        );
        check(
            "--rm=maybe",
            expect![[
                r#"invalid argument "maybe" for "--rm" flag: strconv.ParseBool: parsing "maybe": invalid syntax"#
            ]],
        );
        check("-m 10x", expect![[r#"invalid argument "10x" for "-m, --memory" flag: invalid suffix: 'x'"#]]);
        check(
            "--help=x",
            expect![[
                r#"invalid argument "x" for "--help" flag: strconv.ParseBool: parsing "x": invalid syntax"#
            ]],
        );
    }

    #[test]
    fn help_by_word_and_letter() {
        check("x --help", expect!["help false"]);
        check("-ah", expect!["help true"]);
        check("--help --nosuch", expect!["unknown flag: --nosuch"]);
    }
}
