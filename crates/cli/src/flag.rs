//! One flag of a command, declared once: parsing, help, completions and man pages all read it.

/// Checks one value as it is parsed; the error text ends up after `invalid argument … flag: `.
pub(crate) type Check = fn(&str) -> Result<(), String>;

/// How a flag takes its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No value needed; `--flag=false` is understood.
    Bool,
    /// One value, the last one given wins.
    One,
    /// Every value given is kept, in order.
    Many,
    /// As `Many`, and each value is itself a comma-separated record.
    Split,
}

/// The definition of a flag.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    pub(crate) short: Option<char>,
    pub(crate) kind: Kind,
    /// The word for the value in the help text: `string`, `int`, `bytes`, …
    pub(crate) label: &'static str,
    pub(crate) check: Option<Check>,
    pub(crate) help: &'static str,
    /// The value where the flag is not given.
    pub(crate) default: &'static str,
    /// The default as the help text shows it, where it is not `default` itself.
    pub(crate) shown_default: Option<&'static str>,
    pub(crate) hidden: bool,
    /// Says what to use instead; printed when the flag is given.
    pub(crate) deprecated: Option<&'static str>,
    /// Another spelling of the flag named here.
    pub(crate) same_as: Option<&'static str>,
    /// What is said when the flag is given twice, where it must not be.
    pub(crate) once: Option<&'static str>,
}

impl Flag {
    const fn new(name: &'static str, kind: Kind, label: &'static str, help: &'static str) -> Self {
        Self {
            name,
            short: None,
            kind,
            label,
            check: None,
            help,
            default: "",
            shown_default: None,
            hidden: false,
            deprecated: None,
            same_as: None,
            once: None,
        }
    }

    /// A switch, off unless given.
    pub(crate) const fn bool(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Bool, "", help).check(crate::value::check_bool).default("false")
    }

    /// A single free text.
    pub(crate) const fn string(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::One, "string", help)
    }

    /// A signed 64-bit number in Go's notations.
    pub(crate) const fn int(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::One, "int", help).check(crate::value::check_int).default("0")
    }

    /// A number from 0 to 65535.
    pub(crate) const fn uint16(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::One, "uint16", help).check(crate::value::check_uint16).default("0")
    }

    /// A span of time in Go's notation, such as `1m30s`.
    pub(crate) const fn duration(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::One, "duration", help).check(crate::value::check_duration).default("0s")
    }

    /// A size in bytes with an optional unit, such as `64m`.
    pub(crate) const fn bytes(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::One, "bytes", help).check(crate::value::check_bytes)
    }

    /// A text that may be given several times.
    pub(crate) const fn list(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Many, "list", help)
    }

    /// Texts separated by commas, which may also be given several times.
    pub(crate) const fn strings(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Split, "strings", help).check(crate::value::check_record)
    }

    /// `key=value`, which may be given several times.
    pub(crate) const fn map(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Many, "map", help).shown_default("map[]")
    }

    /// `-f`, `--filter` of a list command.
    pub(crate) const fn filter(help: &'static str) -> Self {
        Self::new("filter", Kind::Many, "filter", help).check(crate::value::check_filter)
    }

    /// Sets the one-letter form.
    pub(crate) const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    /// Sets the word for the value in the help text.
    pub(crate) const fn label(mut self, label: &'static str) -> Self {
        self.label = label;
        self
    }

    /// Sets what is tested as the value is parsed.
    pub(crate) const fn check(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    /// Sets the value where the flag is not given.
    pub(crate) const fn default(mut self, value: &'static str) -> Self {
        self.default = value;
        self
    }

    /// Sets how the help text shows the default; empty shows none.
    pub(crate) const fn shown_default(mut self, text: &'static str) -> Self {
        self.shown_default = Some(text);
        self
    }

    /// Leaves the flag out of the help text.
    pub(crate) const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Prints `text` as a warning when the flag is given, and leaves it out of the help text.
    pub(crate) const fn deprecated(mut self, text: &'static str) -> Self {
        self.deprecated = Some(text);
        self.hidden = true;
        self
    }

    /// Makes the flag a hidden other spelling of the flag `name`, which must be of the same kind.
    pub(crate) const fn same_as(mut self, name: &'static str) -> Self {
        self.same_as = Some(name);
        self.hidden = true;
        self
    }

    /// Refuses the flag with this text when it is given a second time.
    pub(crate) const fn once(mut self, text: &'static str) -> Self {
        self.once = Some(text);
        self
    }

    /// `-m, --memory` or `--rm`, as error messages name the flag.
    pub(crate) fn title(&self) -> String {
        match self.short {
            Some(short) => format!("-{short}, --{}", self.name),
            None => format!("--{}", self.name),
        }
    }
}

/// The flags of `a` and then those of `b`; `N` must be the sum of the lengths.
pub(crate) const fn concat<const A: usize, const B: usize, const N: usize>(
    a: [Flag; A],
    b: [Flag; B],
) -> [Flag; N] {
    assert!(A + B == N);
    let mut all = [Flag::bool("", ""); N];
    let mut i = 0;
    while i < N {
        all[i] = if i < A { a[i] } else { b[i - A] };
        i += 1;
    }
    all
}

/// The help text of every `--format` flag that knows tables.
pub(crate) const FORMAT_HELP: &str = "Format output using a custom template:
'table':            Print output in table format with column headers (default)
'table TEMPLATE':   Print output in table format using the given Go template
'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template.
Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates";

/// The help text of every `--format` flag without tables.
pub(crate) const INSPECT_FORMAT_HELP: &str = "Format output using a custom template:
'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template.
Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates";
