//! Go's fmt: the verbs of `printf`, and the forms of `print` and `println`.

use std::fmt::Write as _;

use crate::{Nil, Value, duration_text};

/// `%q` of a text.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        push_escaped(&mut out, c, '"');
    }
    out.push('"');
    out
}

fn push_escaped(out: &mut String, c: char, delimiter: char) {
    match c {
        c if c == delimiter || c == '\\' => {
            out.push('\\');
            out.push(c);
        }
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        c if (c as u32) < 0x20 || c as u32 == 0x7f => {
            let _ = write!(out, "\\x{:02x}", c as u32);
        }
        c if c.is_control() => {
            let _ = write!(out, "\\u{:04x}", c as u32);
        }
        c => out.push(c),
    }
}

/// `fmt.Sprint`: blanks only between two operands that are no texts.
pub(crate) fn print(args: &[Value]) -> String {
    let mut out = String::new();
    let mut after_text = true;
    for arg in args {
        let text = matches!(arg, Value::Str(_));
        if !out.is_empty() && !text && !after_text {
            out.push(' ');
        }
        out.push_str(&plain(arg));
        after_text = text;
    }
    out
}

/// `fmt.Sprintln`.
pub(crate) fn println(args: &[Value]) -> String {
    args.iter().map(plain).collect::<Vec<_>>().join(" ") + "\n"
}

/// `%v`.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::None | Value::Nil(Nil::Interface | Nil::Pointer) => "<nil>".to_owned(),
        Value::Nil(Nil::List) => "[]".to_owned(),
        Value::Nil(Nil::Map) => "map[]".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Duration(value) => duration_text(*value),
        Value::Float(value) => shortest(*value),
        Value::Str(text) => text.to_string(),
        Value::List(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Value::Map(map) => {
            let entries: Vec<_> = map.entries.iter().map(|(k, v)| format!("{k}:{}", plain(v))).collect();
            format!("map[{}]", entries.join(" "))
        }
        Value::Struct(data) => {
            let fields: Vec<_> = data.fields.iter().map(|(_, v)| plain(v)).collect();
            format!("{{{}}}", fields.join(" "))
        }
        Value::Object(object) => format!("{{{}}}", object.type_name()),
    }
}

/// A float with as many digits as it needs.
fn shortest(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    format!("{digits}{}", exponent_text(exponent))
}

fn exponent_text(exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("e{sign}{:02}", exponent.abs())
}

#[derive(Debug, Clone, Copy, Default)]
struct Spec {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

impl Spec {
    fn pad(&self, text: &str) -> String {
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        if self.minus { format!("{text}{:missing$}", "") } else { format!("{:missing$}{text}", "") }
    }

    /// Pads a number, with zeros behind the sign where wanted.
    fn pad_number(&self, text: &str) -> String {
        if !self.zero || self.minus {
            return self.pad(text);
        }
        let (sign, digits) = match text.chars().next() {
            Some('-' | '+' | ' ') => text.split_at(1),
            _ => ("", text),
        };
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        format!("{sign}{}{digits}", "0".repeat(missing))
    }

    fn sign(&self, negative: bool) -> &'static str {
        match (negative, self.plus, self.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        }
    }
}

/// `fmt.Sprintf`.
pub(crate) fn printf(format: &str, args: &[Value]) -> String {
    let mut state = State { chars: format.chars().collect(), at: 0, args, arg: 0, reordered: false };
    let mut out = String::new();
    while let Some(c) = state.next() {
        if c == '%' { state.directive(&mut out) } else { out.push(c) }
    }
    if !state.reordered && state.arg < args.len() {
        let extra: Vec<_> = args[state.arg..]
            .iter()
            .map(|arg| match arg {
                Value::None | Value::Nil(Nil::Interface) => "<nil>".to_owned(),
                arg => format!("{}={}", arg.type_name(), plain(arg)),
            })
            .collect();
        let _ = write!(out, "%!(EXTRA {})", extra.join(", "));
    }
    out
}

struct State<'a> {
    chars: Vec<char>,
    at: usize,
    args: &'a [Value],
    arg: usize,
    reordered: bool,
}

impl State<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek();
        self.at += 1;
        c
    }

    fn number(&mut self) -> Option<usize> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect::<String>().parse().ok()
    }

    /// An explicit argument index `[n]`; false if it is malformed.
    fn index(&mut self) -> bool {
        if self.peek() != Some('[') {
            return true;
        }
        self.reordered = true;
        self.at += 1;
        let number = self.number();
        let closed = self.next() == Some(']');
        match number {
            Some(n) if closed && n >= 1 && n <= self.args.len() => {
                self.arg = n - 1;
                true
            }
            _ => false,
        }
    }

    /// `*`: the next argument as a number.
    fn star(&mut self) -> Option<i64> {
        let value = match self.args.get(self.arg) {
            Some(Value::Int(value)) => Some(*value),
            _ => None,
        };
        self.arg += 1;
        value
    }

    fn directive(&mut self, out: &mut String) {
        let mut spec = Spec::default();
        while let Some(c) = self.peek() {
            match c {
                '#' => spec.sharp = true,
                '0' => spec.zero = true,
                '+' => spec.plus = true,
                '-' => spec.minus = true,
                ' ' => spec.space = true,
                _ => break,
            }
            self.at += 1;
        }
        let mut good = self.index();
        if self.peek() == Some('*') {
            self.at += 1;
            match self.star() {
                Some(width) => {
                    spec.minus |= width < 0;
                    spec.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => out.push_str("%!(BADWIDTH)"),
            }
        } else {
            spec.width = self.number();
        }
        if self.peek() == Some('.') {
            self.at += 1;
            good &= self.index();
            if self.peek() == Some('*') {
                self.at += 1;
                match self.star().and_then(|p| usize::try_from(p).ok()) {
                    Some(precision) => spec.precision = Some(precision),
                    None => out.push_str("%!(BADPREC)"),
                }
            } else {
                spec.precision = Some(self.number().unwrap_or(0));
            }
        }
        good &= self.index();
        let Some(verb) = self.next() else {
            out.push_str("%!(NOVERB)");
            return;
        };
        match verb {
            '%' => out.push('%'),
            _ if !good => {
                let _ = write!(out, "%!{verb}(BADINDEX)");
            }
            _ => match self.args.get(self.arg) {
                None => {
                    let _ = write!(out, "%!{verb}(MISSING)");
                }
                Some(arg) => {
                    self.arg += 1;
                    out.push_str(&verb_text(spec, verb, arg));
                }
            },
        }
    }
}

fn verb_text(spec: Spec, verb: char, value: &Value) -> String {
    match (verb, value) {
        ('T', Value::None | Value::Nil(Nil::Interface)) => spec.pad("<nil>"),
        ('T', _) => spec.pad(&value.type_name()),
        ('v', Value::None | Value::Nil(Nil::Interface)) => spec.pad("<nil>"),
        ('v', Value::Str(text)) if spec.sharp => spec.pad(&quote(text)),
        ('v', Value::Object(_)) => spec.pad(&plain(value)),
        (_, Value::None | Value::Nil(Nil::Interface)) => format!("%!{verb}(<nil>)"),
        (_, Value::Bool(flag)) if matches!(verb, 't' | 'v') => spec.pad(if *flag { "true" } else { "false" }),
        ('s' | 'v' | 'q', Value::Duration(value)) => text_verb(spec, verb, &duration_text(*value)),
        (_, Value::Int(number) | Value::Duration(number)) => integer(spec, verb, *number),
        (_, Value::Float(number)) => float(spec, verb, *number),
        (_, Value::Str(text)) => text_verb(spec, verb, text),
        (_, Value::List(items)) => {
            let items: Vec<_> = items.iter().map(|item| verb_text(spec, verb, item)).collect();
            format!("[{}]", items.join(" "))
        }
        (_, Value::Map(map)) => {
            let key = |k: &str| verb_text(spec, verb, &Value::text(k));
            let entries = map.entries.iter().map(|(k, v)| format!("{}:{}", key(k), verb_text(spec, verb, v)));
            format!("map[{}]", entries.collect::<Vec<_>>().join(" "))
        }
        (_, Value::Struct(data)) => {
            let fields = data.fields.iter().map(|(k, v)| match spec.plus && verb == 'v' {
                true => format!("{k}:{}", verb_text(spec, verb, v)),
                false => verb_text(spec, verb, v),
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(" "))
        }
        (_, Value::Nil(Nil::List)) => "[]".to_owned(),
        (_, Value::Nil(Nil::Map)) => "map[]".to_owned(),
        ('v', Value::Nil(_)) => spec.pad("<nil>"),
        _ => bad_verb(verb, value),
    }
}

fn bad_verb(verb: char, value: &Value) -> String {
    format!("%!{verb}({}={})", value.type_name(), plain(value))
}

fn integer(spec: Spec, verb: char, number: i64) -> String {
    let magnitude = number.unsigned_abs();
    let digits = match verb {
        'd' | 'v' => magnitude.to_string(),
        'b' => format!("{magnitude:b}"),
        'o' if spec.sharp => format!("0{magnitude:o}"),
        'o' => format!("{magnitude:o}"),
        'O' => format!("0o{magnitude:o}"),
        'x' if spec.sharp => format!("0x{magnitude:x}"),
        'X' if spec.sharp => format!("0X{magnitude:X}"),
        'x' => format!("{magnitude:x}"),
        'X' => format!("{magnitude:X}"),
        'c' | 'q' | 'U' => return rune(spec, verb, number),
        _ => return bad_verb(verb, &Value::Int(number)),
    };
    let missing = spec.precision.unwrap_or(0).saturating_sub(digits.len());
    let text = format!("{}{}{digits}", spec.sign(number < 0), "0".repeat(missing));
    if spec.precision.is_some() { spec.pad(&text) } else { spec.pad_number(&text) }
}

fn rune(spec: Spec, verb: char, number: i64) -> String {
    let c = u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
    match verb {
        'c' => spec.pad(&c.to_string()),
        'U' => spec.pad(&format!("U+{number:04X}")),
        _ => {
            let mut text = "'".to_owned();
            push_escaped(&mut text, c, '\'');
            spec.pad(&(text + "'"))
        }
    }
}

fn float(spec: Spec, verb: char, number: f64) -> String {
    let magnitude = number.abs();
    let text = match (verb, spec.precision) {
        ('f' | 'F', precision) => format!("{magnitude:.*}", precision.unwrap_or(6)),
        ('e' | 'E', precision) => {
            let text = format!("{magnitude:.*e}", precision.unwrap_or(6));
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            format!("{digits}{}", exponent_text(exponent.parse().unwrap_or(0)))
        }
        ('v' | 'g' | 'G', None) => shortest(magnitude),
        ('v' | 'g' | 'G', Some(precision)) => significant(magnitude, precision.max(1)),
        _ => return bad_verb(verb, &Value::Float(number)),
    };
    let text = if verb.is_uppercase() { text.to_uppercase() } else { text };
    spec.pad_number(&format!("{}{text}", spec.sign(number < 0.0)))
}

/// `%.Ng`: so many significant digits, without trailing zeros.
fn significant(value: f64, digits: usize) -> String {
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    let limit = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= limit {
        return trimmed(mantissa) + &exponent_text(exponent);
    }
    let decimals = usize::try_from(limit - 1 - exponent).unwrap_or(0);
    trimmed(&format!("{value:.decimals$}"))
}

fn text_verb(spec: Spec, verb: char, text: &str) -> String {
    let cut: String = match spec.precision {
        Some(precision) if verb != 'x' && verb != 'X' => text.chars().take(precision).collect(),
        _ => text.to_owned(),
    };
    match verb {
        's' | 'v' => spec.pad(&cut),
        'q' if spec.sharp && !cut.contains('`') && !cut.chars().any(|c| c.is_control() && c != '\t') => {
            spec.pad(&format!("`{cut}`"))
        }
        'q' if spec.plus => spec.pad(&ascii(&quote(&cut))),
        'q' => spec.pad(&quote(&cut)),
        'x' | 'X' => {
            let bytes = text.bytes().take(spec.precision.unwrap_or(usize::MAX));
            let hex: Vec<_> =
                bytes.map(|b| if verb == 'x' { format!("{b:02x}") } else { format!("{b:02X}") }).collect();
            spec.pad(&hex.join(if spec.space { " " } else { "" }))
        }
        _ => bad_verb(verb, &Value::text(text)),
    }
}

/// Escapes what is not ASCII.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c as u32 {
            0..0x80 => out.push(c),
            code @ 0x80..0x10000 => {
                let _ = write!(out, "\\u{code:04x}");
            }
            code => {
                let _ = write!(out, "\\U{code:08x}");
            }
        }
    }
    out
}
