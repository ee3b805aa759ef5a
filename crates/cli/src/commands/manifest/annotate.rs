//! `manifest annotate`.

use super::{lists::Lists, reference};
use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[
    Flag::string("arch", "Set architecture"),
    Flag::string("os", "Set operating system"),
    Flag::strings("os-features", "Set operating system feature"),
    Flag::string("os-version", "Set operating system version"),
    Flag::string("variant", "Set architecture variant"),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "annotate",
    "[OPTIONS] MANIFEST_LIST MANIFEST",
    "Add additional information to a local image manifest",
)
.args(Args::Exact(2))
.flags(FLAGS)
.experimental()
.run(run);

/// The pairs that Docker accepts, by operating system.
const KNOWN: [(&str, &[&str]); 9] = [
    ("darwin", &["386", "amd64", "arm", "arm64"]),
    ("dragonfly", &["amd64"]),
    ("freebsd", &["386", "amd64", "arm"]),
    ("linux", &["386", "amd64", "arm", "arm64", "mips64", "mips64le", "ppc64le", "riscv64", "s390x"]),
    ("netbsd", &["386", "amd64", "arm"]),
    ("openbsd", &["386", "amd64", "arm"]),
    ("plan9", &["386", "amd64"]),
    ("solaris", &["amd64"]),
    ("windows", &["386", "amd64"]),
];

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let parse = |index: usize, what: &str| {
        reference(m.arg(index)).map_err(|error| {
            Error::message(format!("annotate: error parsing name for {what} {}: {error}", m.arg(index)))
        })
    };
    let (target, image) = (parse(0, "manifest list")?, parse(1, "manifest")?);
    let lists = Lists::of(cli);
    let Some(mut entry) = lists.entry(&target, &image)? else {
        let (list, image) = (m.arg(0), m.arg(1));
        return Err(Error::message(format!("manifest for image {image} does not exist in {list}")));
    };
    let platform = entry.descriptor.platform.get_or_insert_default();
    let set = |field: &mut String, flag: &str| {
        if !m.str(flag).is_empty() {
            m.str(flag).clone_into(field);
        }
    };
    set(&mut platform.os, "os");
    set(&mut platform.architecture, "arch");
    set(&mut platform.variant, "variant");
    set(&mut platform.os_version, "os-version");
    for feature in m.list("os-features") {
        if !platform.os_features.contains(&feature) {
            platform.os_features.push(feature);
        }
    }
    let known = KNOWN.iter().find(|(os, _)| *os == platform.os);
    if !known.is_some_and(|(_, architectures)| architectures.contains(&platform.architecture.as_str())) {
        let (os, architecture) = (m.str("os"), m.str("arch"));
        return Err(Error::message(format!(
            "manifest entry for image has unsupported os/arch combination: {os}/{architecture}"
        )));
    }
    lists.save(&target, &image, &entry)
}
