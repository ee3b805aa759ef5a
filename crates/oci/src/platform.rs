//! Platforms: `os[(version[+feature…])][/architecture[/variant]]`, normalised as containerd does it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::PlatformError;
use crate::image::null_default;

const COMPONENT: &str = "^[A-Za-z0-9_.-]+$";
const OS_COMPONENT: &str = r"^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?$";

const KNOWN_OS: &[&str] = &[
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
];
const KNOWN_ARCHITECTURES: &[&str] = &[
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "armbe",
    "arm64",
    "arm64be",
    "loong64",
    "mips",
    "mipsle",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
];

/// Where an image runs. Empty strings mean "not said".
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// Processor in Go's words: `amd64`, `arm64`.
    #[serde(deserialize_with = "null_default")]
    pub architecture: String,
    /// Operating system in Go's words: `linux`.
    #[serde(deserialize_with = "null_default")]
    pub os: String,
    /// Version of the operating system (Windows).
    #[serde(
        rename = "os.version",
        deserialize_with = "null_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub os_version: String,
    /// Features of the operating system the image needs (Windows).
    #[serde(
        rename = "os.features",
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// Variant of the processor: `v7` of `arm`.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

impl Platform {
    /// The platform this program was built for.
    pub fn host() -> Self {
        Self {
            architecture: go_architecture(std::env::consts::ARCH).to_owned(),
            os: std::env::consts::OS.to_owned(),
            variant: if cfg!(target_arch = "arm") { "v7" } else { "" }.to_owned(),
            ..Self::default()
        }
    }

    /// Parses a specifier; what it leaves out is taken from the host. The result is normalised.
    pub fn parse(s: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = s.split('/').collect();
        if parts.len() > 3 {
            return Err(PlatformError::Form(s.to_owned()));
        }
        let (os, os_version, os_features) = parse_os(parts[0], s)?;
        for part in &parts[1..] {
            if part.is_empty() || !part.bytes().all(|b| is_word(b) || b == b'.') {
                let (component, platform) = ((*part).to_owned(), s.to_owned());
                return Err(PlatformError::Component { component, platform, pattern: COMPONENT });
            }
        }
        let mut platform = Self { os: normal_os(&os), os_version, os_features, ..Self::default() };
        match parts[..] {
            [_] if KNOWN_OS.contains(&platform.os.as_str()) => {
                let host = Self::host();
                (platform.architecture, platform.variant) = (host.architecture, host.variant);
            }
            [_] => {
                (platform.architecture, platform.variant) = normal_architecture(&os, "");
                if !KNOWN_ARCHITECTURES.contains(&platform.architecture.as_str()) {
                    return Err(PlatformError::Unknown(s.to_owned()));
                }
                platform.os = std::env::consts::OS.to_owned();
            }
            [_, architecture] => {
                (platform.architecture, platform.variant) = normal_architecture(architecture, "")
            }
            [_, architecture, variant, ..] => {
                (platform.architecture, platform.variant) = normal_architecture(architecture, variant);
                if platform.architecture == "arm64" && platform.variant.is_empty() {
                    platform.variant = "v8".to_owned();
                }
            }
            [] => {}
        }
        if platform.architecture == "arm" && platform.variant == "v7" && parts.len() < 3 {
            // The default is not written out.
            platform.variant.clear();
        }
        Ok(platform)
    }

    /// The same platform in the canonical words.
    pub fn normalized(&self) -> Self {
        let (architecture, variant) = normal_architecture(&self.architecture, &self.variant);
        Self { os: normal_os(&self.os), architecture, variant, ..self.clone() }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(s: &str) -> Result<Self, PlatformError> {
        Self::parse(s)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.os.is_empty() { "unknown" } else { &self.os })?;
        if !self.os_version.is_empty() || !self.os_features.is_empty() {
            write!(f, "({}", self.os_version)?;
            self.os_features.iter().try_for_each(|feature| write!(f, "+{feature}"))?;
            f.write_str(")")?;
        }
        for part in [&self.architecture, &self.variant] {
            if !part.is_empty() {
                write!(f, "/{part}")?;
            }
        }
        Ok(())
    }
}

/// Which platforms run on a given one, best first: itself, then lesser variants of the same processor.
#[derive(Debug, Clone)]
pub struct Matcher(Vec<Platform>);

impl Matcher {
    /// A matcher for images that are to run on `platform`.
    pub fn new(platform: &Platform) -> Self {
        Self(vector(&platform.normalized()))
    }

    /// The place of `platform` in the order of preference, 0 the best; `None` if it does not run.
    pub fn rank(&self, platform: &Platform) -> Option<usize> {
        let p = platform.normalized();
        self.0.iter().position(|want| {
            want.os == p.os
                && want.architecture == p.architecture
                && want.variant == p.variant
                && (want.os_version.is_empty() || p.os_version.is_empty() || want.os_version == p.os_version)
                && p.os_features.iter().all(|feature| want.os_features.contains(feature))
        })
    }

    /// Whether `platform` runs at all.
    pub fn matches(&self, platform: &Platform) -> bool {
        self.rank(platform).is_some()
    }
}

fn vector(platform: &Platform) -> Vec<Platform> {
    let mut all = vec![platform.clone()];
    let with = |architecture: &str, variant: String| Platform {
        architecture: architecture.to_owned(),
        variant,
        ..platform.clone()
    };
    let level = platform.variant.strip_prefix('v').and_then(|n| n.parse::<u8>().ok());
    match platform.architecture.as_str() {
        "amd64" => {
            let lower = level.unwrap_or(1).min(9);
            all.extend((2..lower).rev().map(|n| with("amd64", format!("v{n}"))));
            if lower > 1 {
                all.push(with("amd64", String::new()));
            }
            all.push(with("386", String::new()));
        }
        "arm" => all.extend((5..level.unwrap_or(7).min(9)).rev().map(|n| with("arm", format!("v{n}")))),
        "arm64" => {
            if level.is_some_and(|level| level > 8) {
                all.push(with("arm64", String::new()));
            }
            all.extend((5..=8).rev().map(|n| with("arm", format!("v{n}"))));
        }
        _ => {}
    }
    all
}

fn parse_os(component: &str, whole: &str) -> Result<(String, String, Vec<String>), PlatformError> {
    let bad = || PlatformError::Os {
        component: component.to_owned(),
        platform: whole.to_owned(),
        pattern: OS_COMPONENT,
    };
    let (os, rest) = match component.split_once('(') {
        Some((os, rest)) => (os, rest.strip_suffix(')').ok_or_else(bad)?),
        None => (component, ""),
    };
    if os.is_empty() || !os.bytes().all(is_word) {
        return Err(bad());
    }
    let mut parts = rest.split('+');
    let version = parts.next().unwrap_or_default();
    let features: Vec<&str> = parts.collect();
    let allowed = |s: &str| s.bytes().all(|b| is_word(b) || matches!(b, b'.' | b'%'));
    if !allowed(version) || features.iter().any(|f| f.is_empty() || !allowed(f)) {
        return Err(bad());
    }
    Ok((os.to_owned(), version.to_owned(), features.into_iter().map(str::to_owned).collect()))
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')
}

fn normal_os(os: &str) -> String {
    match os.to_lowercase() {
        os if os.is_empty() => std::env::consts::OS.to_owned(),
        os if os == "macos" => "darwin".to_owned(),
        os => os,
    }
}

fn normal_architecture(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = (architecture.to_lowercase(), variant.to_lowercase());
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", v) => ("amd64", v),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "v9.0") => ("arm64", "v9"),
        ("aarch64" | "arm64", v) => ("arm64", v),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        (a, v) => (a, v),
    };
    (architecture.to_owned(), variant.to_owned())
}

fn go_architecture(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn specifiers_are_normalised() {
        let show = |s: &str| match Platform::parse(s) {
            Ok(p) => format!("{s} -> {p}\n"),
            Err(e) => format!("{s} -> ! {e}\n"),
        };
        let all = [
            "linux/amd64",
            "LINUX/x86_64",
            "linux/amd64/v1",
            "linux/amd64/v3",
            "linux/arm",
            "linux/arm/v6",
            "armhf",
            "arm64",
            "linux/aarch64",
            "linux/arm64/v8",
            "i386",
            "windows(10.0.1+f)/amd64",
            "bogus/x",
            "bogus",
            "a/b/c/d",
            "linux/am!d64",
            "linux/amd64/",
            "",
        ];
        expect![[r#"
            linux/amd64 -> linux/amd64
            LINUX/x86_64 -> linux/amd64
            linux/amd64/v1 -> linux/amd64
            linux/amd64/v3 -> linux/amd64/v3
            linux/arm -> linux/arm
            linux/arm/v6 -> linux/arm/v6
            armhf -> linux/arm
            arm64 -> linux/arm64
            linux/aarch64 -> linux/arm64
            linux/arm64/v8 -> linux/arm64/v8
            i386 -> linux/386
            windows(10.0.1+f)/amd64 -> windows(10.0.1+f)/amd64
            bogus/x -> bogus/x
            bogus -> ! "bogus": unknown operating system or architecture: invalid argument
            a/b/c/d -> ! "a/b/c/d": cannot parse platform specifier: invalid argument
            linux/am!d64 -> ! "am!d64" is an invalid component of "linux/am!d64": platform specifier component must match "^[A-Za-z0-9_.-]+$": invalid argument
            linux/amd64/ -> ! "" is an invalid component of "linux/amd64/": platform specifier component must match "^[A-Za-z0-9_.-]+$": invalid argument
             -> ! "" is an invalid OS component of "": OSAndVersion specifier component must match "^([A-Za-z0-9_-]+)(?:\\(([A-Za-z0-9_.%-]*)((?:\\+[A-Za-z0-9_.%-]+)*)\\))?$": invalid argument
        "#]]
        .assert_eq(&all.map(show).concat());
    }

    #[test]
    fn better_variants_come_first() {
        let matcher = Matcher::new(&Platform::parse("linux/arm/v7").unwrap());
        let rank = |s: &str| matcher.rank(&Platform::parse(s).unwrap());
        assert_eq!(rank("linux/arm/v7"), Some(0));
        assert_eq!(rank("linux/arm/v6"), Some(1));
        assert_eq!(rank("linux/arm"), Some(0));
        assert_eq!(rank("linux/arm/v8"), None);
        assert_eq!(rank("linux/arm64"), None);
        let amd64 = Matcher::new(&Platform::parse("linux/amd64").unwrap());
        assert!(amd64.matches(&Platform::parse("linux/386").unwrap()));
        assert!(!amd64.matches(&Platform::parse("windows/amd64").unwrap()));
    }

    proptest! {
        #[test]
        fn parse_never_panics_and_is_stable(s in "[a-zA-Z0-9_./()+-]{0,24}") {
            if let Ok(platform) = Platform::parse(&s) {
                prop_assert_eq!(platform.normalized(), Platform::parse(&platform.to_string()).unwrap().normalized());
            }
        }
    }
}
