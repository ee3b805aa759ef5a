use expect_test::expect;
use proptest::prelude::*;

use super::*;

fn error(text: &str) -> String {
    match Dockerfile::parse(text) {
        Ok(_) => "ok".to_owned(),
        Err(e) => format!("{e} {:?}", e.lines),
    }
}

#[test]
fn errors_have_dockers_words() {
    let all = [
        "",
        "# only comment\n",
        "FRUM x",
        "FROM a\nBOGUS x",
        "RUN true",
        "FROM",
        "FROM a x y",
        "FROM a AS 1a",
        "FROM a\nCOPY x",
        "FROM a\nCOPY --bogus=1 a b",
        "FROM a\nCOPY --chonw=1 a b",
        "FROM a\nCOPY a <<EOF\nEOF",
        "FROM a\nCOPY --link=1 a b",
        "FROM a\nCOPY --chown a b",
        "FROM a\nCOPY --chown=a --chown=b a b",
        "FROM a\nENV",
        "FROM a\nENV a",
        "FROM a\nENV a=b c",
        "FROM a\nENV =a",
        "FROM a\nVOLUME []",
        "FROM a\nVOLUME [\"\"]",
        "FROM a\nUSER",
        "FROM a\nENTRYPOINT [1]",
        "FROM a\nSHELL /bin/sh",
        "FROM a\nARG",
        "FROM a\nARG a b=c =d",
        "FROM a\nHEALTHCHECK BOGUS x",
        "FROM a\nHEALTHCHECK CMD",
        "FROM a\nHEALTHCHECK NONE x",
        "FROM a\nHEALTHCHECK --interval=x CMD true",
        "FROM a\nHEALTHCHECK --interval=1us CMD true",
        "FROM a\nHEALTHCHECK --retries=-1 CMD true",
        "FROM a\nONBUILD FROM x",
        "FROM a\nONBUILD ONBUILD RUN x",
        "FROM a\nONBUILD",
        "FROM a\nRUN <<EOF\necho",
        "FROM a\nRUN --network=bogus true",
        "FROM a\nRUN --security=bogus true",
        "FROM a\nRUN --mount true",
        "FROM a\nRUN --mount= true",
        "FROM a\nRUN --mount=from=$X,target=/x true",
        "# escape=x\nFROM a",
        "# escape=\\\n# escape=`\nFROM a",
        "FROM a\nMAINTAINER",
    ];
    let shown = all.map(|text| format!("{text:?}\n    {}\n", error(text))).concat();
    expect![[r##"
        ""
            the Dockerfile cannot be empty None
        "# only comment\n"
            file with no instructions None
        "FRUM x"
            dockerfile parse error on line 1: unknown instruction: FRUM (did you mean FROM?) Some(1..=1)
        "FROM a\nBOGUS x"
            dockerfile parse error on line 2: unknown instruction: BOGUS Some(2..=2)
        "RUN true"
            no build stage in current context Some(1..=1)
        "FROM"
            dockerfile parse error on line 1: FROM requires either one or three arguments Some(1..=1)
        "FROM a x y"
            dockerfile parse error on line 1: FROM requires either one or three arguments Some(1..=1)
        "FROM a AS 1a"
            dockerfile parse error on line 1: invalid name for build stage: "1a", name can't start with a number or contain symbols Some(1..=1)
        "FROM a\nCOPY x"
            dockerfile parse error on line 2: COPY requires at least two arguments, but only one was provided. Destination could not be determined Some(2..=2)
        "FROM a\nCOPY --bogus=1 a b"
            dockerfile parse error on line 2: unknown flag: --bogus Some(2..=2)
        "FROM a\nCOPY --chonw=1 a b"
            dockerfile parse error on line 2: unknown flag: --chonw (did you mean chown?) Some(2..=2)
        "FROM a\nCOPY a <<EOF\nEOF"
            dockerfile parse error on line 2: COPY cannot accept a heredoc as a destination Some(2..=3)
        "FROM a\nCOPY --link=1 a b"
            dockerfile parse error on line 2: expecting boolean value for flag --link, not: 1 Some(2..=2)
        "FROM a\nCOPY --chown a b"
            dockerfile parse error on line 2: missing a value on flag: --chown Some(2..=2)
        "FROM a\nCOPY --chown=a --chown=b a b"
            dockerfile parse error on line 2: duplicate flag specified: --chown Some(2..=2)
        "FROM a\nENV"
            dockerfile parse error on line 2: ENV requires at least one argument Some(2..=2)
        "FROM a\nENV a"
            ENV must have two arguments Some(2..=2)
        "FROM a\nENV a=b c"
            Syntax error - can't find = in "c". Must be of the form: name=value Some(2..=2)
        "FROM a\nENV =a"
            dockerfile parse error on line 2: ENV names can not be blank Some(2..=2)
        "FROM a\nVOLUME []"
            dockerfile parse error on line 2: VOLUME requires at least one argument Some(2..=2)
        "FROM a\nVOLUME [\"\"]"
            dockerfile parse error on line 2: VOLUME specified can not be an empty string Some(2..=2)
        "FROM a\nUSER"
            dockerfile parse error on line 2: USER requires exactly one argument Some(2..=2)
        "FROM a\nENTRYPOINT [1]"
            when using JSON array syntax, arrays must be comprised of strings only Some(2..=2)
        "FROM a\nSHELL /bin/sh"
            dockerfile parse error on line 2: SHELL requires the arguments to be in JSON form Some(2..=2)
        "FROM a\nARG"
            dockerfile parse error on line 2: ARG requires at least one argument Some(2..=2)
        "FROM a\nARG a b=c =d"
            dockerfile parse error on line 2: ARG names can not be blank Some(2..=2)
        "FROM a\nHEALTHCHECK BOGUS x"
            dockerfile parse error on line 2: Unknown type "BOGUS" in HEALTHCHECK (try CMD) Some(2..=2)
        "FROM a\nHEALTHCHECK CMD"
            dockerfile parse error on line 2: Missing command after HEALTHCHECK CMD Some(2..=2)
        "FROM a\nHEALTHCHECK NONE x"
            dockerfile parse error on line 2: HEALTHCHECK NONE takes no arguments Some(2..=2)
        "FROM a\nHEALTHCHECK --interval=x CMD true"
            dockerfile parse error on line 2: time: invalid duration "x" Some(2..=2)
        "FROM a\nHEALTHCHECK --interval=1us CMD true"
            dockerfile parse error on line 2: Interval "interval" cannot be less than 1ms Some(2..=2)
        "FROM a\nHEALTHCHECK --retries=-1 CMD true"
            dockerfile parse error on line 2: --retries cannot be negative (-1) Some(2..=2)
        "FROM a\nONBUILD FROM x"
            dockerfile parse error on line 2: FROM isn't allowed as an ONBUILD trigger Some(2..=2)
        "FROM a\nONBUILD ONBUILD RUN x"
            dockerfile parse error on line 2: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed Some(2..=2)
        "FROM a\nONBUILD"
            dockerfile parse error on line 2: ONBUILD requires at least one argument Some(2..=2)
        "FROM a\nRUN <<EOF\necho"
            unterminated heredoc Some(2..=3)
        "FROM a\nRUN --network=bogus true"
            dockerfile parse error on line 2: invalid network mode "bogus" Some(2..=2)
        "FROM a\nRUN --security=bogus true"
            dockerfile parse error on line 2: security "bogus" is not valid Some(2..=2)
        "FROM a\nRUN --mount true"
            dockerfile parse error on line 2: missing a value on flag: --mount Some(2..=2)
        "FROM a\nRUN --mount= true"
            dockerfile parse error on line 2: failed to parse csv mounts: EOF Some(2..=2)
        "FROM a\nRUN --mount=from=$X,target=/x true"
            dockerfile parse error on line 2: 'from' doesn't support variable expansion, define alias stage instead Some(2..=2)
        "# escape=x\nFROM a"
            invalid escape token 'x' does not match ` or \ Some(1..=1)
        "# escape=\\\n# escape=`\nFROM a"
            only one escape parser directive can be used Some(2..=2)
        "FROM a\nMAINTAINER"
            dockerfile parse error on line 2: MAINTAINER requires exactly one argument Some(2..=2)
    "##]].assert_eq(&shown);
}

#[test]
fn lines_are_joined_and_counted() {
    let text = "\u{feff}# syntax=docker/dockerfile:1\r\n# escape=`\r\n# a comment\r\nFROM a AS x\r\nRUN one `\r\n  # between\r\n\r\n  two\r\nCOPY <<A <<-\"B\" /d/\r\nin $a\r\nA\r\n\t\ttabs\r\n\tB\r\nCMD [ \"x\" ]";
    let file = Dockerfile::parse(text).unwrap();
    assert_eq!(file.directives.syntax.as_deref(), Some("docker/dockerfile:1"));
    assert_eq!(file.directives.escape, '`');
    assert_eq!(file.empty_continuations, [8]);
    let stage = &file.stages[0];
    assert_eq!(stage.comments, ["a comment"]);
    let lines: Vec<_> = stage.instructions.iter().map(|i| (i.source.as_str(), i.lines.clone())).collect();
    assert_eq!(
        lines,
        [("RUN one   two", 5..=8), ("COPY <<A <<-\"B\" /d/", 9..=13), ("CMD [ \"x\" ]", 14..=14)]
    );
    let Kind::Copy(files, _) = &stage.instructions[1].kind else { panic!("COPY") };
    assert!(files.sources.is_empty());
    assert_eq!(files.heredocs[0].text(), "in $a\r\n");
    assert_eq!(files.heredocs[1].text(), "tabs\r\n");
    assert!(files.heredocs[0].expand && !files.heredocs[1].expand);
}

#[test]
fn two_escapes_continue_nothing() {
    let file = Dockerfile::parse("FROM a\nRUN x \\\\\nRUN y \\\n z\n").unwrap();
    let sources: Vec<_> = file.stages[0].instructions.iter().map(|i| i.source.as_str()).collect();
    assert_eq!(sources, ["RUN x \\\\", "RUN y  z"]);
}

#[test]
fn hostile_files_are_refused() {
    let long = format!("FROM a\nRUN {}", "x".repeat(70_000));
    assert!(error(&long).starts_with("dockerfile line greater than max allowed size of 65535"));
    let many = format!("FROM a\n{}", "RUN x\n".repeat(MOST_INSTRUCTIONS));
    assert!(error(&many).starts_with("more than 10000 instructions"));
    let huge = "#\n".repeat(LONGEST_TEXT);
    assert!(error(&huge).starts_with("the Dockerfile is longer than"));
}

#[test]
fn targets_are_listed() {
    let file = Dockerfile::parse("# build compiles\nFROM a AS build\nFROM --platform=$P b\n").unwrap();
    let targets: Vec<_> = file.targets().collect();
    assert_eq!((targets[0].name, targets[0].description.as_deref()), ("build", Some("compiles")));
    assert_eq!((targets[1].base, targets[1].platform, targets[1].default), ("b", Some("$P"), true));
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in "(FROM a\n)?((RUN|COPY|ADD|ENV|ONBUILD|HEALTHCHECK|ARG|LABEL) [<EOF>\\-\"'\\[\\]=,$\\\\ a\n]{0,30}\n?){0,5}") {
        let _ = Dockerfile::parse(&text);
    }
}
