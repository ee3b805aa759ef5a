//! Outputs and messages as Docker's `volume inspect --format` gives them.

use crate::{Nil, Struct, Template, Value};
use std::sync::Arc;

fn volume() -> Value {
    let labels = Value::text_map([("a", "1"), ("b", "two words"), ("empty", "")]);
    let field = |name: &str, value: Value| (name.to_owned(), value);
    Value::Struct(Arc::new(Struct {
        type_name: Some("volume.Volume"),
        omitted: Vec::new(),
        fields: vec![
            field("CreatedAt", Value::text("2026-11-23T20:59:32Z")),
            field("Driver", Value::text("local")),
            field("Labels", labels),
            field("Name", Value::text("flit-v")),
            field("Options", Value::Nil(Nil::Map)),
            field("Status", Value::Nil(Nil::Map)),
            field("UsageData", Value::Nil(Nil::Pointer)),
        ],
    }))
}

fn render(source: &str) -> String {
    match Template::parse(source).and_then(|t| t.render_value(&volume())) {
        Ok(text) => text,
        Err(error) => error.to_string(),
    }
}

fn check(cases: &[(&str, &str)]) {
    let wrong: Vec<_> = cases
        .iter()
        .filter(|(source, want)| render(source) != *want)
        .map(|(source, want)| format!("{source}\n  want {want}\n  got  {}\n", render(source)))
        .collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.concat());
}

#[test]
fn output() {
    check(OUTPUT);
}

#[test]
fn messages() {
    check(MESSAGES);
}

#[test]
fn json_documents() {
    let data = serde_json::json!({"a": {"b": [1, 2.5, null, "x"]}, "n": null});
    let render = |source: &str, strict: bool| {
        let template = Template::parse(source).unwrap_or_else(|e| panic!("{source}: {e}"));
        let template = if strict { template.missing_key_is_error() } else { template };
        template.render(&data).unwrap_or_else(|e| e.to_string())
    };
    assert_eq!(
        render("{{.a.b}} {{.a}} {{.n}} {{.zzz}}", false),
        "[1 2.5 <nil> x] map[b:[1 2.5 <nil> x]] <no value> <no value>"
    );
    assert_eq!(render("{{json .}}", false), r#"{"a":{"b":[1,2.5,null,"x"]},"n":null}"#);
    assert_eq!(
        render("{{.a.zzz}}", true),
        r#"template: :1:4: executing "" at <.a.zzz>: map has no entry for key "zzz""#
    );
    assert_eq!(
        render("{{.n.zzz}}", true),
        r#"template: :1:4: executing "" at <.n.zzz>: nil pointer evaluating interface {}.zzz"#
    );
}

#[rustfmt::skip]
const OUTPUT: &[(&str, &str)] = &[
    ("{{.Name}}", "flit-v"),
    ("{{ .Name }} and {{- /* c */ -}} x", "flit-v andx"),
    ("a {{- .Name -}} b", "aflit-vb"),
    ("{{.Labels}}", "map[a:1 b:two words empty:]"),
    ("{{.Labels.a}}", "1"),
    ("{{.Labels.zzz}}", "<no value>"),
    (r#"{{index .Labels "b"}}"#, "two words"),
    (r#"{{index .Labels "zzz"}}|"#, "|"),
    ("{{json .Labels}}", r#"{"a":"1","b":"two words","empty":""}"#),
    ("{{json .Name}}", r#""flit-v""#),
    ("{{.Labels | json}}", r#"{"a":"1","b":"two words","empty":""}"#),
    ("{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}", "a=1;b=two words;empty=;"),
    ("{{range .Labels}}{{.}},{{end}}", "1,two words,,"),
    ("{{range .Options}}x{{else}}none{{end}}", "none"),
    (r#"{{range $i, $e := split "a,b,c" ","}}{{$i}}{{$e}}{{if eq $e "b"}}{{break}}{{end}}{{end}}"#, "0a1b"),
    (r#"{{range split "a,b,c" ","}}{{if eq . "b"}}{{continue}}{{end}}{{.}}{{end}}"#, "ac"),
    ("{{range 3}}{{.}}{{end}}", "012"),
    ("{{range $i := 3}}{{$i}}{{end}}", "012"),
    ("{{with .Name}}{{.}}{{else}}no{{end}}", "flit-v"),
    ("{{with .Options}}y{{else with .Name}}{{.}}{{end}}", "flit-v"),
    ("{{if .Options}}o{{else if .Name}}n{{else}}z{{end}}", "n"),
    (r#"{{if and .Name (eq .Driver "local")}}ok{{end}}"#, "ok"),
    ("{{and .Name .Options}}|{{or .Options .Driver}}|{{not .Name}}", "map[]|local|false"),
    (r#"{{eq .Name "x" "flit-v"}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt 1.5 0.5}} {{ge "b" "a"}}"#, "true true true true true true"),
    (r#"{{len .Labels}} {{len .Name}} {{len (split "a b" " ")}}"#, "3 6 2"),
    ("{{len .Options}}", "0"),
    (r#"{{slice .Name 1 3}} {{slice .Name 2}} {{slice (split "a,b,c" ",") 1}}"#, "li it-v [b c]"),
    (r#"{{index (split "a,b" ",") 1}}"#, "b"),
    ("{{index .Name 0}}", "102"),
    (r#"{{printf "%s|%5s|%-5s|%.2s|%q|%x|%v" "abc" "ab" "ab" "abc" "a\"b" "hi" "v"}}"#, r#"abc|   ab|ab   |ab|"a\"b"|6869|v"#),
    (r#"{{printf "%d|%5d|%-5d|%05d|%+d|%x|%X|%o|%b|%c|%q|%U|%#x" 42 42 42 42 42 255 255 8 5 65 65 65 255}}"#, "42|   42|42   |00042|+42|ff|FF|10|101|A|'A'|U+0041|0xff"),
    (r#"{{printf "%f|%.2f|%8.3f|%e|%g|%v|%6.1f|%G" 3.14159 3.14159 3.14159 1234.5 0.000001 1e21 2.25 1e-10}}"#, "3.141590|3.14|   3.142|1.234500e+03|1e-06|1e+21|   2.2|1E-10"),
    (r#"{{printf "%t|%v|%5t" true false true}}"#, "true|false| true"),
    (r#"{{printf "%d" "x"}}|{{printf "%s" 5}}|{{printf "%d"}}|{{printf "%d" 1 2}}|{{printf "%!"}}|{{printf "%z" 1}}|{{printf "%"}}"#, "%!d(string=x)|%!s(int=5)|%!d(MISSING)|1%!(EXTRA int=2)|%!!(MISSING)|%!z(int=1)|%!(NOVERB)"),
    (r#"{{printf "%[2]d %[1]d" 1 2}}|{{printf "%*d" 5 42}}|{{printf "%-*d|" 5 42}}|{{printf "%.*f" 2 3.14159}}"#, "2 1|   42|42   ||3.14"),
    (r#"{{printf "%v %v %v" .Labels true nil}}"#, "map[a:1 b:two words empty:] true <nil>"),
    (r#"{{printf "%T %T %T %T" "a" 1 1.5 true}}"#, "string int float64 bool"),
    (r#"{{printf "%s" (split "a b" " ")}} {{printf "%q" (split "a b" " ")}} {{printf "%v" (split "a b" " ")}}"#, r#"[a b] ["a" "b"] [a b]"#),
    (r#"{{printf "%%|%5.1f%%" 12.34}}"#, "%| 12.3%"),
    (r#"{{printf "%s"}}"#, "%!s(MISSING)"),
    (r#"{{printf "%08.3f|%+.1e|% d|%x" 3.14159 12345.678 7 -255}}"#, "0003.142|+1.2e+04| 7|-ff"),
    (r#"{{printf "%6.2f|%-8s|%8s|" 1.005 "é" "é"}}"#, "  1.00|é       |       é|"),
    (r#"{{print "a" 1 2 "b" true}} {{print 1 2}} {{print "a" "b"}}"#, "a1 2btrue 1 2 ab"),
    (r#"{{println "a" 1 "b"}}"#, "a 1 b\n"),
    (r#"{{html "<a href='x'>&\"</a>"}}"#, "&lt;a href=&#39;x&#39;&gt;&amp;&#34;&lt;/a&gt;"),
    (r#"{{js "it's \"<a>\" & = \n"}}"#, r#"it\'s \"\u003Ca\u003E\" \u0026 \u003D \u000A"#),
    (r#"{{urlquery "a b&c=d/é~-_."}}"#, "a+b%26c%3Dd%2F%C3%A9~-_."),
    (r#"{{upper "abc"}} {{lower "ABC"}} {{title "hello wide-world o'neil"}} {{pad "x" 2 3}}| {{truncate "abcdef" 3}} {{truncate "ab" 5}}"#, "ABC abc Hello Wide-World O'Neil   x   | abc ab"),
    ("{{truncate .Name 2}}", "fl"),
    (r#"{{"quoted" | upper | printf "%s-%s" "x"}}"#, "x-QUOTED"),
    (r#"{{$x := "v"}}{{$x}}{{$x = "w"}}{{$x}}"#, "vw"),
    ("{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"),
    ("{{$.Name}} {{with .Labels}}{{$.Driver}}{{end}}", "flit-v local"),
    (r#"{{define "t"}}[{{.}}]{{end}}{{template "t" .Name}}{{template "t" "z"}}"#, "[flit-v][z]"),
    (r#"{{define "t"}}[{{.}}]{{end}}{{template "t"}}"#, "[<no value>]"),
    (r#"{{block "b" .Name}}<{{.}}>{{end}}"#, "<flit-v>"),
    (r#"{{(index (split "a,b" ",") 0) | printf "%q"}}"#, r#""a""#),
    (r#"{{true}} {{false}} {{1}} {{-2}} {{1.50}} {{0x1F}} {{'a'}} {{1e3}} {{1_000}} {{`raw "x"`}}"#, r#"true false 1 -2 1.5 31 97 1000 1000 raw "x""#),
    (r#"{{"é\u00e9\x41\101\t|"}}"#, "ééAA\t|"),
    ("{{.Name | }}", "flit-v"),
    ("{{.Name}}}}", "flit-v}}"),
    ("{{ .Name -}}   tail", "flit-vtail"),
    (r#"{{range $i, $x := split "a b" " "}}{{if $i}}, {{end}}{{$x}}{{end}}"#, "a, b"),
    ("{{$m := .Labels}}{{$m.a}} {{$m.zzz}}", "1 <no value>"),
    (r#"{{json nil}} {{json true}} {{json 1.50}} {{json (split "a b" " ")}} {{json "<&>"}}"#, r#"null true 1.5 ["a","b"] "<&>""#),
    (r#"{{len "é"}} {{printf "%.1s|%3s|" "éa" "é"}} {{title "ébc dEF"}}"#, "2 é|  é| Ébc DEF"),
    ("{{if not .Options}}none{{end}}", "none"),
    ("{{.Options}} {{.Status}} {{.UsageData}}", "map[] map[] <nil>"),
    ("{{index .Labels}}", "map[a:1 b:two words empty:]"),
    ("{{eq .Options nil}}", "true"),
    ("{{eq nil nil}}", "true"),
    (r#"{{printf "%d %s" 3}} {{printf "a" "b"}}"#, "3 %!s(MISSING) a%!(EXTRA string=b)"),
    (r#"{{printf "%5q|%-8q|%+q|%x|%X|% x" "a" "b" "é" "hi" "hi" "hi"}}"#, r#"  "a"|"b"     |"\u00e9"|6869|6869|68 69"#),
    (r#"{{printf "%3c|%-3c|%03d|%+05d|%-05d|" 65 66 7 7 7}}"#, "  A|B  |007|+0007|7    |"),
    (r#"{{printf "%.3d|%8.3d|%-8.3d|%08.3d" 7 7 7 7}}"#, "007|     007|007     |     007"),
    (r#"{{printf "%g %g %g %g" 100000.0 1000000.0 1e20 123456789.0}} {{1e20}} {{1e21}} {{123456789.0}} {{0.00001}}"#, "100000 1e+06 1e+20 1.23456789e+08 1e+20 1e+21 1.23456789e+08 1e-05"),
    (r#"{{printf "%.3g|%.10g|%#v|%+v" 1234.5678 0.1 "q" "q"}}"#, r#"1.23e+03|0.1|"q"|q"#),
    (r#"{{printf "%t" 1}} {{printf "%f" 1}} {{printf "%s" true}} {{printf "%d" 1.5}} {{printf "%s" nil}} {{printf "%d" nil}}"#, "%!t(int=1) %!f(int=1) %!s(bool=true) %!d(float64=1.5) %!s(<nil>) %!d(<nil>)"),
    (r#"{{printf "%s %d" .Labels .Labels}}"#, "map[a:1 b:two words empty:] map[%!d(string=a):%!d(string=1) %!d(string=b):%!d(string=two words) %!d(string=empty):%!d(string=)]"),
    (r#"{{html 5}} {{html "a" 1}} {{js 5}} {{urlquery 1 "a"}}"#, "5 a1 5 1a"),
    (r#"{{- "trim" -}}"#, "trim"),
    (r#"  x   {{- "y"}}  {{"z" -}}   w"#, "  xy  zw"),
    ("{{if\n.Name}}x{{end}}", "x"),
    ("{{range $k, $v := .Labels}}{{$k}}\n{{end}}", "a\nb\nempty\n"),
    ("{{/* a\nb */}}x", "x"),
];

#[rustfmt::skip]
const MESSAGES: &[(&str, &str)] = &[
    ("{{.Nope}}", r#"template: :1:2: executing "" at <.Nope>: can't evaluate field Nope in type volume.Volume"#),
    ("{{.Name.Foo}}", r#"template: :1:7: executing "" at <.Name.Foo>: can't evaluate field Foo in type string"#),
    ("{{.Labels.a.b}}", r#"template: :1:9: executing "" at <.Labels.a.b>: can't evaluate field b in type string"#),
    ("{{range $i, $j := 3}}{{$i}}{{end}}", r#"template: :1:18: executing "" at <3>: can't use 3 to iterate over more than one variable"#),
    (r#"{{range "abc"}}{{.}}{{end}}"#, r#"template: :1:8: executing "" at <"abc">: range can't iterate over abc"#),
    ("{{range .Name}}{{.}}{{end}}", r#"template: :1:8: executing "" at <.Name>: range can't iterate over flit-v"#),
    ("{{eq 1 1.0}}", r#"template: :1:2: executing "" at <eq 1 1.0>: error calling eq: incompatible types for comparison: int and float64"#),
    ("{{eq .Name 1}}", r#"template: :1:2: executing "" at <eq .Name 1>: error calling eq: incompatible types for comparison: string and int"#),
    ("{{eq .Labels .Labels}}", r#"template: :1:2: executing "" at <eq .Labels .Labels>: error calling eq: non-comparable type map[a:1 b:two words empty:]: map[string]string"#),
    ("{{lt .Labels 1}}", r#"template: :1:2: executing "" at <lt .Labels 1>: error calling lt: invalid type for comparison"#),
    ("{{eq .Name}}", r#"template: :1:2: executing "" at <eq .Name>: error calling eq: missing argument for comparison"#),
    ("{{len 3}}", r#"template: :1:2: executing "" at <len 3>: error calling len: len of type int"#),
    ("{{len nil}}", r#"template: :1:2: executing "" at <len nil>: error calling len: reflect: call of reflect.Value.Type on zero Value"#),
    ("{{slice .Name 3 1}}", r#"template: :1:2: executing "" at <slice .Name 3 1>: error calling slice: invalid slice index: 3 > 1"#),
    ("{{slice .Name 9 99}}", r#"template: :1:2: executing "" at <slice .Name 9 99>: error calling slice: index out of range: 9"#),
    (r#"{{index (split "a,b" ",") 5}}"#, r#"template: :1:2: executing "" at <index (split "a,b" ",") 5>: error calling index: index out of range: 5"#),
    (r#"{{index (split "a,b" ",") "x"}}"#, r#"template: :1:2: executing "" at <index (split "a,b" ",") "x">: error calling index: cannot index slice/array with type string"#),
    ("{{index .Labels 1}}", r#"template: :1:2: executing "" at <index .Labels 1>: error calling index: value has type int; should be string"#),
    ("{{index 3 1}}", r#"template: :1:2: executing "" at <index 3 1>: error calling index: can't index item of type int"#),
    ("{{index nil 1}}", r#"template: :1:2: executing "" at <index nil 1>: error calling index: index of untyped nil"#),
    (r#"{{printf 5 "a"}}"#, r#"template: :1:9: executing "" at <5>: expected string; found 5"#),
    (r#"{{join (split "a,b,c" ",") "-"}} {{join .Labels ","}}"#, r#"template: :1:40: executing "" at <.Labels>: wrong type for value; expected []string; got map[string]string"#),
    (r#"{{join .Name ","}}"#, r#"template: :1:7: executing "" at <.Name>: wrong type for value; expected []string; got string"#),
    ("{{upper 5}}", r#"template: :1:8: executing "" at <5>: expected string; found 5"#),
    ("{{upper .Labels}}", r#"template: :1:8: executing "" at <.Labels>: wrong type for value; expected string; got map[string]string"#),
    ("{{upper nil}}", r#"template: :1:8: executing "" at <nil>: cannot assign nil to string"#),
    ("{{upper}}", r#"template: :1:2: executing "" at <upper>: wrong number of args for upper: want 1 got 0"#),
    (r#"{{upper "a" "b"}}"#, r#"template: :1:2: executing "" at <upper>: wrong number of args for upper: want 1 got 2"#),
    (r#"{{pad "x" "y" 1}}"#, r#"template: :1:10: executing "" at <"y">: expected integer; found "y""#),
    (r#"{{template "none"}}"#, r#"template: :1:11: executing "" at <{{template "none"}}>: template "none" not defined"#),
    (r#"{{(split "a,b" ",").Foo}}"#, r#"template: :1:15: executing "" at <",">: can't evaluate field Foo in type []string"#),
    ("{{nil}}", r#"template: :1:2: executing "" at <nil>: nil is not a command"#),
    (r#"{{.Name "arg"}}"#, r#"template: :1:2: executing "" at <.Name>: Name has arguments but cannot be invoked as function"#),
    (r#"{{.Labels "arg"}}"#, r#"template: :1:2: executing "" at <.Labels>: Labels has arguments but cannot be invoked as function"#),
    ("{{call .Name}}", r#"template: :1:2: executing "" at <call .Name>: error calling call: non-function .Name of type string"#),
    ("{{nosuch .Name}}", r#"template: :1: function "nosuch" not defined"#),
    ("{{.Name | nosuch}}", r#"template: :1: function "nosuch" not defined"#),
    ("{{.Name", "template: :1: unclosed action"),
    ("{{if .Name}}x", "template: :1: unexpected EOF"),
    ("{{end}}", "template: :1: unexpected {{end}}"),
    ("{{else}}", "template: :1: unexpected {{else}}"),
    ("{{if}}x{{end}}", "template: :1: missing value for if"),
    ("{{range}}x{{end}}", "template: :1: missing value for range"),
    ("{{}}", "template: :1: missing value for command"),
    ("{{ | upper}}", r#"template: :1: unexpected "|" in command"#),
    (r#"{{.Name | "x"}}"#, "template: :1: non executable command in pipeline stage 2"),
    (r#"{{"abc}}"#, "template: :1: unterminated quoted string"),
    ("{{`abc}}", "template: :1: unterminated raw quoted string"),
    ("{{'ab'}}", "template: :1: malformed character constant: 'ab'"),
    (r#"{{"\z"}}"#, "template: :1: invalid syntax"),
    ("{{$y}}", r#"template: :1: undefined variable "$y""#),
    ("{{$x, $y := .Labels}}", "template: :1: too many declarations in command"),
    ("{{range $a, $b, $c := .Labels}}{{end}}", "template: :1: too many declarations in range"),
    ("{{.Name)}}", "template: :1: unexpected right paren"),
    ("{{(.Name}}", "template: :1: unclosed left paren"),
    ("{{.Name @ 1}}", r#"template: :1: unexpected "@" in operand"#),
    ("{{1a}}", r#"template: :1: bad number syntax: "1a""#),
    ("{{a.b}}", r#"template: :1: function "a" not defined"#),
    ("{{.a-b}}", "template: :1: bad character U+002D '-'"),
    ("{{/* x}}", "template: :1: unclosed comment"),
    ("{{/* x */ y}}", "template: :1: comment ends before closing delimiter"),
    ("{{break}}", "template: :1: {{break}} outside {{range}}"),
    (r#"{{if .Name}}{{define "x"}}{{end}}{{end}}"#, "template: :1: unexpected <define> in command"),
    ("{{template .Name}}", r#"template: :1: unexpected ".Name" in template clause"#),
    ("{{define}}x{{end}}", r#"template: :1: unexpected "}}" in define clause"#),
    ("{{if .Name}}a{{else}}b{{else}}c{{end}}", "template: :1: expected end; found {{else}}"),
    ("{{if .Name}}a{{else with .Name}}b{{end}}", "template: :1: unexpected <with> in input"),
    ("{{end x}}", r#"template: :1: unexpected "x" in end"#),
    ("{{1.5.Foo}}", r#"template: :1: unexpected . after term "1.5""#),
    (r#"{{"a".Foo}}"#, r#"template: :1: unexpected . after term "\"a\"""#),
    ("{{. Name}}", r#"template: :1: function "Name" not defined"#),
    ("{{..Name}}", r#"template: :1: unexpected . after term ".""#),
    ("{{.Name..Foo}}", "template: :1: unexpected <.> in operand"),
    ("{{9999999999999999999999}}", r#"template: :1: integer overflow: "9999999999999999999999""#),
    ("{{.Name x}}", r#"template: :1: function "x" not defined"#),
    ("{{x}}", r#"template: :1: function "x" not defined"#),
    ("{{= 5}}", r#"template: :1: unexpected "=" in command"#),
    ("{{: 5}}", "template: :1: expected :="),
    ("{{.Name : 5}}", "template: :1: expected :="),
    ("{{not}}", r#"template: :1:2: executing "" at <not>: wrong number of args for not: want 1 got 0"#),
    ("{{not 1 2}}", r#"template: :1:2: executing "" at <not>: wrong number of args for not: want 1 got 2"#),
    ("{{and}}", r#"template: :1:2: executing "" at <and>: wrong number of args for and: want at least 1 got 0"#),
    ("{{with $x := .Name}}{{$x}}{{end}}{{$x}}", r#"template: :1: undefined variable "$x""#),
    ("{{slice .Labels 1}}", r#"template: :1:2: executing "" at <slice .Labels 1>: error calling slice: can't slice item of type map[string]string"#),
    (r#"{{index .Labels "a" "b"}}"#, r#"template: :1:2: executing "" at <index .Labels "a" "b">: error calling index: cannot index slice/array with type string"#),
    (r#"{{lt 1 "a"}}"#, r#"template: :1:2: executing "" at <lt 1 "a">: error calling lt: incompatible types for comparison: int and string"#),
    ("{{lt 1 1.5}}", r#"template: :1:2: executing "" at <lt 1 1.5>: error calling lt: incompatible types for comparison: int and float64"#),
    ("{{ge true false}}", r#"template: :1:2: executing "" at <ge true false>: error calling ge: invalid type for comparison"#),
    ("line1\n{{.Name}}\n{{.Nope}}", r#"template: :3:2: executing "" at <.Nope>: can't evaluate field Nope in type volume.Volume"#),
    ("{{.Name\n\n{{.X}}", r#"template: :3: unexpected "{" in operand"#),
    ("{{\"a\nb\"}}", "template: :1: unterminated quoted string"),
    ("a\n\n{{ .Name }", r#"template: :3: unexpected "}" in operand"#),
];
