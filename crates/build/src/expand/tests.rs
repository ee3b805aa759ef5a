use std::collections::HashMap;

use expect_test::expect;
use proptest::prelude::*;

use super::*;

struct Map(HashMap<&'static str, String>);

impl Variables for Map {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

fn variables() -> Map {
    let pairs = [("v", "foobar"), ("e", ""), ("p", "/a/b/c.tar.gz"), ("s", "two words"), ("star", "a*b")];
    Map(pairs.map(|(name, value)| (name, value.to_owned())).into())
}

fn shown(text: &str) -> String {
    match Lexer::new('\\').expand(text, &variables()) {
        Ok(e) => format!("{text} => {}\n", e.text),
        Err(e) => format!("{text} => ! {e}\n"),
    }
}

#[test]
fn all_forms() {
    let all = [
        "$v-${v}",
        "$v$",
        "$ x",
        "\\$v",
        "'$v'",
        "\"$v\"",
        "\"\\$v \\n\"",
        "${v:-w}",
        "${e:-w}",
        "${e-w}",
        "${n-w}",
        "${n:-$v}",
        "${n:-${e:-deep}}",
        "${v:+w}",
        "${e:+w}",
        "${e+w}",
        "${n+w}",
        "${v:?no}",
        "${n:?no $v}",
        "${e:?}",
        "${n?}",
        "${e?x}",
        "${p#*/}",
        "${p##*/}",
        "${p%.*}",
        "${p%%.*}",
        "${p%/*}",
        "${v#?}",
        "${v#x}",
        "${v/o/0}",
        "${v//o/0}",
        "${v//o?/_}",
        "${v/o*/_}",
        "${star#a\\*}",
        "${star/\\*/x}",
        "${p//\\//-}",
        "${v/o}",
        "${v:x}",
        "${v",
        "${}",
        "${:v}",
        "${{v}",
        "'open",
        "\"open",
        "$1$v",
        "${v/\\q/x}",
        "${n/a/b}",
        "${n#a}",
        "a\\",
        "${v:-'a b'}",
        "${e//x/y}",
        "${v//*/x}",
        "é${v}ü",
    ];
    expect![[r#"
        $v-${v} => foobar-foobar
        $v$ => foobar$
        $ x => $ x
        \$v => $v
        '$v' => $v
        "$v" => foobar
        "\$v \n" => $v \n
        ${v:-w} => foobar
        ${e:-w} => w
        ${e-w} => 
        ${n-w} => w
        ${n:-$v} => foobar
        ${n:-${e:-deep}} => deep
        ${v:+w} => w
        ${e:+w} => 
        ${e+w} => w
        ${n+w} => 
        ${v:?no} => foobar
        ${n:?no $v} => ! failed to process "${n:?no $v}": n: no foobar
        ${e:?} => ! failed to process "${e:?}": e: is not allowed to be empty
        ${n?} => ! failed to process "${n?}": n: is not allowed to be unset
        ${e?x} => 
        ${p#*/} => a/b/c.tar.gz
        ${p##*/} => c.tar.gz
        ${p%.*} => /a/b/c.tar
        ${p%%.*} => /a/b/c
        ${p%/*} => /a/b
        ${v#?} => oobar
        ${v#x} => foobar
        ${v/o/0} => f0obar
        ${v//o/0} => f00bar
        ${v//o?/_} => f_bar
        ${v/o*/_} => f_
        ${star#a\*} => b
        ${star/\*/x} => axb
        ${p//\//-} => -a-b-c.tar.gz
        ${v/o} => ! failed to process "${v/o}": syntax error: missing '/' in ${}
        ${v:x} => ! failed to process "${v:x}": unsupported modifier (:x) in substitution
        ${v => ! failed to process "${v": unsupported modifier (�) in substitution
        ${} => ! failed to process "${}": syntax error: bad substitution
        ${:v} => ! failed to process "${:v}": syntax error: bad substitution
        ${{v} => ! failed to process "${{v}": syntax error: bad substitution
        'open => ! failed to process "'open": unexpected end of statement while looking for matching single-quote
        "open => ! failed to process "\"open": unexpected end of statement while looking for matching double-quote
        $1$v => foobar
        ${v/\q/x} => ! failed to process "${v/\\q/x}": invalid pattern (\q) in substitution: invalid escape '\q'
        ${n/a/b} => 
        ${n#a} => 
        a\ => a
        ${v:-'a b'} => foobar
        ${e//x/y} => 
        ${v//*/x} => x
        é${v}ü => éfoobarü
    "#]].assert_eq(&all.map(shown).concat());
}

#[test]
fn words_are_split_at_blanks_that_are_not_quoted() {
    let words = |text: &str| Lexer::new('\\').expand(text, &variables()).unwrap().words;
    assert_eq!(words("a  $s 'b c' \"$s\" d\\ e"), ["a", "two", "words", "b c", "two words", "d e"]);
    assert_eq!(words("  $e ''  "), Vec::<String>::new());
}

#[test]
fn what_stays_when_asked_for() {
    let lexer = Lexer { raw_quotes: true, skip_unset: true, ..Lexer::new('\\') };
    let text = |text: &str| lexer.expand(text, &variables()).unwrap().text;
    assert_eq!(text("'a' \"$v\" $n ${n} ${n:-x} ${n/a/b}"), "'a' \"foobar\" $n ${n} ${n:-x} ${n/a/b}");
    let lexer = Lexer { skip_quotes: true, ..Lexer::new('\\') };
    assert_eq!(lexer.expand("it's \"$v\" \\$v", &variables()).unwrap().text, "it's \"foobar\" $v");
}

#[test]
fn used_names_are_known() {
    let expanded = Lexer::new('\\').expand("$v $n ${m:-$v}", &variables()).unwrap();
    assert_eq!(expanded.matched.into_iter().collect::<Vec<_>>(), ["v"]);
    assert_eq!(expanded.unmatched.into_iter().collect::<Vec<_>>(), ["m", "n"]);
}

#[test]
fn bombs_are_refused() {
    let nested = format!("{}x{}", "${a:-".repeat(5000), "}".repeat(5000));
    let error = Lexer::new('\\').expand(&nested, &NoVariables).unwrap_err().to_string();
    assert!(error.ends_with("substitutions are nested deeper than 64"), "{error}");
    let big = Map([("b", "x".repeat(LONGEST / 2))].into());
    let error = Lexer::new('\\').expand("$b$b$b", &big).unwrap_err().to_string();
    assert!(error.ends_with("the result is longer than 1048576 bytes"), "{error}");
    let error = Lexer::new('\\').expand("${b//x/yyyy}", &big).unwrap_err().to_string();
    assert!(error.ends_with("the result is longer than 1048576 bytes"), "{error}");
}

proptest! {
    #[test]
    fn any_text_is_expanded_or_refused(text in "[$\\{\\}:#%/+?*'\"a-c \\\\-]{0,40}") {
        let _ = Lexer::new('\\').expand(&text, &variables());
        let _ = Lexer::new('`').expand(&text, &variables());
    }

    #[test]
    fn text_without_meaning_stays(text in "[a-zA-Z0-9 ./_=-]{0,40}") {
        prop_assert_eq!(Lexer::new('\\').expand(&text, &NoVariables).unwrap().text, text);
    }

    #[test]
    fn a_pattern_of_the_value_itself_takes_all(value in "[a-z]{0,12}") {
        let map = Map([("x", value.clone())].into());
        let expand = |text: String| Lexer::new('\\').expand(&text, &map).unwrap().text;
        prop_assert_eq!(expand(format!("${{x#{value}}}")), "");
        prop_assert_eq!(expand("${x%%*}".to_owned()), "");
        prop_assert_eq!(expand("${x//?/}".to_owned()), "");
    }
}
