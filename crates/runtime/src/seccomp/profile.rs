//! Docker's profile document: rules with conditions on capabilities, architecture and kernel version, and what is left of
//! it for one container.

use std::sync::OnceLock;

use oci_spec::runtime::{
    Arch, Capabilities, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompBuilder,
    LinuxSeccompFilterFlag, LinuxSyscall, LinuxSyscallBuilder,
};
use serde::Deserialize;

use crate::error::{Error, Result};

const DEFAULT: &str = include_str!("../../profiles/seccomp-default.json");

/// The names Docker profiles use for the own architecture.
#[cfg(target_arch = "x86_64")]
const NATIVE: (&str, Arch) = ("amd64", Arch::ScmpArchX86_64);
#[cfg(target_arch = "aarch64")]
const NATIVE: (&str, Arch) = ("arm64", Arch::ScmpArchAarch64);

/// A profile as users pass it to `--security-opt seccomp=`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    default_action: LinuxSeccompAction,
    default_errno_ret: Option<u32>,
    architectures: Option<Vec<Arch>>,
    arch_map: Option<Vec<Architecture>>,
    flags: Option<Vec<LinuxSeccompFilterFlag>>,
    listener_path: Option<std::path::PathBuf>,
    listener_metadata: Option<String>,
    syscalls: Option<Vec<Rule>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Architecture {
    architecture: Arch,
    sub_architectures: Option<Vec<Arch>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    name: Option<String>,
    names: Option<Vec<String>>,
    action: LinuxSeccompAction,
    errno_ret: Option<u32>,
    args: Option<Vec<LinuxSeccompArg>>,
    includes: Option<Condition>,
    excludes: Option<Condition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    caps: Option<Vec<Capability>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// What conditions are checked against.
struct Host<'a> {
    caps: &'a Capabilities,
    arch: &'a str,
    kernel: (u32, u32),
}

impl Profile {
    /// Reads a profile; the error says what is wrong with the document.
    pub fn parse(json: &str) -> Result<Self> {
        let profile: Self = serde_json::from_str(json)
            .map_err(|error| Error::config(format!("Decoding seccomp profile failed: {error}")))?;
        let both = |list: &Option<Vec<Arch>>| list.as_ref().is_some_and(|list| !list.is_empty());
        if both(&profile.architectures) && profile.arch_map.as_ref().is_some_and(|map| !map.is_empty()) {
            return Err(Error::config(
                "'architectures' and 'archMap' were specified in the seccomp profile, use either 'architectures' or 'archMap'",
            ));
        }
        for rule in profile.syscalls.iter().flatten() {
            let named = rule.names.as_ref().is_some_and(|names| !names.is_empty());
            if rule.name.as_ref().is_some_and(|name| !name.is_empty()) && named {
                return Err(Error::config(
                    "'name' and 'names' were specified in the seccomp profile, use either 'name' or 'names'",
                ));
            }
        }
        Ok(profile)
    }

    /// Docker's default profile.
    pub fn docker_default() -> &'static Self {
        static PROFILE: OnceLock<Profile> = OnceLock::new();
        // The document is part of the program and read by a test.
        PROFILE.get_or_init(|| {
            Self::parse(DEFAULT).unwrap_or_else(|error| unreachable!("built-in profile: {error}"))
        })
    }

    /// The filter for a container with the given bounding set, on this architecture and kernel.
    pub fn resolve(&self, bounding: &Capabilities) -> Result<LinuxSeccomp> {
        self.resolve_for(&Host { caps: bounding, arch: NATIVE.0, kernel: kernel_version() })
    }

    fn resolve_for(&self, host: &Host<'_>) -> Result<LinuxSeccomp> {
        let mut syscalls = Vec::new();
        for rule in self.syscalls.iter().flatten().filter(|rule| rule.applies(host)) {
            syscalls.push(rule.plain()?);
        }
        let mut builder =
            LinuxSeccompBuilder::default().default_action(self.default_action).syscalls(syscalls);
        let listed = self.architectures.clone().filter(|list| !list.is_empty());
        if let Some(architectures) = listed.or_else(|| self.mapped()) {
            builder = builder.architectures(architectures);
        }
        if let Some(errno) = self.default_errno_ret {
            builder = builder.default_errno_ret(errno);
        }
        if let Some(flags) = &self.flags {
            builder = builder.flags(flags.clone());
        }
        if let Some(path) = &self.listener_path {
            builder = builder.listener_path(path.clone());
        }
        if let Some(metadata) = &self.listener_metadata {
            builder = builder.listener_metadata(metadata.clone());
        }
        builder.build().map_err(|error| Error::config(error.to_string()))
    }

    /// The own architecture and those whose programs it runs.
    fn mapped(&self) -> Option<Vec<Arch>> {
        let own = self.arch_map.iter().flatten().find(|entry| entry.architecture == NATIVE.1)?;
        Some([own.architecture].into_iter().chain(own.sub_architectures.iter().flatten().copied()).collect())
    }
}

impl Rule {
    fn applies(&self, host: &Host<'_>) -> bool {
        if let Some(excludes) = &self.excludes {
            let caps = excludes.caps.iter().flatten().any(|cap| host.caps.contains(cap));
            let arch = excludes.arches.iter().flatten().any(|arch| arch == host.arch);
            if caps
                || arch
                || excludes.min_kernel.as_deref().is_some_and(|min| host.kernel >= parse_kernel(min))
            {
                return false;
            }
        }
        let Some(includes) = &self.includes else { return true };
        let arches = includes.arches.as_deref().unwrap_or_default();
        includes.caps.iter().flatten().all(|cap| host.caps.contains(cap))
            && (arches.is_empty() || arches.iter().any(|arch| arch == host.arch))
            && includes.min_kernel.as_deref().is_none_or(|min| host.kernel >= parse_kernel(min))
    }

    fn plain(&self) -> Result<LinuxSyscall> {
        let names = match &self.name {
            Some(name) if !name.is_empty() => vec![name.clone()],
            _ => self.names.clone().unwrap_or_default(),
        };
        let mut builder = LinuxSyscallBuilder::default().names(names).action(self.action);
        if let Some(errno) = self.errno_ret {
            builder = builder.errno_ret(errno);
        }
        if let Some(args) = self.args.as_ref().filter(|args| !args.is_empty()) {
            builder = builder.args(args.clone());
        }
        builder.build().map_err(|error| Error::config(error.to_string()))
    }
}

/// Docker's default filter for a container with the given bounding set, on this architecture and kernel.
pub fn default_seccomp(bounding: &Capabilities) -> LinuxSeccomp {
    // Every rule of the built-in profile converts, as tests show.
    let filter = Profile::docker_default().resolve(bounding);
    filter.unwrap_or_else(|error| unreachable!("built-in profile: {error}"))
}

/// Major and minor number of the running kernel.
fn kernel_version() -> (u32, u32) {
    parse_kernel(&rustix::system::uname().release().to_string_lossy())
}

fn parse_kernel(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(caps: &[Capability], arch: &str, kernel: (u32, u32)) -> Vec<String> {
        let caps = caps.iter().copied().collect();
        let filter = Profile::docker_default().resolve_for(&Host { caps: &caps, arch, kernel }).unwrap();
        filter.syscalls().iter().flatten().flat_map(|rule| rule.names().clone()).collect()
    }

    #[test]
    fn conditions() {
        let has = |caps: &[Capability], arch: &str, kernel, name: &str| {
            names(caps, arch, kernel).iter().any(|known| known == name)
        };
        assert!(!has(&[], "amd64", (6, 1), "mount"));
        assert!(has(&[Capability::SysAdmin], "amd64", (6, 1), "mount"));
        assert!(has(&[], "amd64", (4, 8), "ptrace"));
        assert!(!has(&[], "amd64", (4, 7), "ptrace"));
        assert!(has(&[], "amd64", (6, 1), "arch_prctl"));
        assert!(!has(&[], "arm64", (6, 1), "arch_prctl"));
        assert!(has(&[], "s390x", (6, 1), "s390_runtime_instr"));
        assert!(!has(&[Capability::SysChroot], "amd64", (6, 1), "reboot"));
        assert!(has(&[Capability::SysChroot], "amd64", (6, 1), "chroot"));
    }

    #[test]
    fn the_own_architecture_brings_its_compatible_ones() {
        let filter = default_seccomp(&Capabilities::default());
        #[cfg(target_arch = "x86_64")]
        assert_eq!(
            filter.architectures().as_deref().unwrap(),
            [Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32]
        );
        assert_eq!(filter.default_errno_ret(), Some(1));
    }

    #[test]
    fn contradictions_are_refused() {
        let both = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"a","names":["b"],"action":"SCMP_ACT_KILL"}]}"#;
        assert!(Profile::parse(both).unwrap_err().to_string().contains("'name' and 'names'"));
        assert!(Profile::parse("{").unwrap_err().to_string().starts_with("Decoding seccomp profile failed"));
    }

    #[test]
    fn kernel_versions() {
        assert_eq!(parse_kernel("6.18.44-fc-v769"), (6, 18));
        assert!(parse_kernel("4.8") <= parse_kernel("4.19.0-20-amd64"));
        assert_eq!(parse_kernel("5"), (5, 0));
    }
}
