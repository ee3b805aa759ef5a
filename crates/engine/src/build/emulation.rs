//! For which processors a build's steps can run here: the host's own, and those that the kernel was given an emulator for.

use std::fs;

use wharf_build::graph::{Graph, NodeId, Op};
use wharf_oci::Platform;

use super::{base::Bases, failure::BuildError};
use crate::Engine;

/// Where the kernel lists what else it can run; see binfmt_misc(5).
const FORMATS: &str = "/proc/sys/fs/binfmt_misc";

/// Architectures in Go's words, and the bytes by which the kernel tells their programs: class, byte order and machine of
/// an ELF head.
const MACHINES: [(&str, [u8; 4]); 11] = [
    ("amd64", [2, 1, 0x3e, 0]),
    ("386", [1, 1, 3, 0]),
    ("arm64", [2, 1, 0xb7, 0]),
    ("arm", [1, 1, 0x28, 0]),
    ("riscv64", [2, 1, 0xf3, 0]),
    ("ppc64le", [2, 1, 0x15, 0]),
    ("s390x", [2, 2, 0, 0x16]),
    ("loong64", [2, 1, 2, 1]),
    ("mips64le", [2, 1, 8, 0]),
    ("mips64", [2, 2, 0, 8]),
    ("ppc64", [2, 2, 0, 0x15]),
];

impl Engine {
    /// Refuses a graph with a `RUN` in an image whose programs nothing here can run, before anything of it is done.
    ///
    /// # Errors
    /// The first such step.
    pub(super) fn check_processors(&self, graph: &Graph, bases: &Bases) -> Result<(), BuildError> {
        for node in &graph.nodes {
            let Op::Run(step) = &node.op else { continue };
            let Some(platform) = self.platform_of(graph, bases, step.root)? else { continue };
            if !can_run(&platform.architecture) {
                let architecture = &platform.architecture;
                return Err(BuildError {
                    lines: node.lines.clone(),
                    ..BuildError::new(format!(
                        "{}: cannot run programs for {platform} on this host: no emulator for {architecture} is \
                         registered with the kernel (binfmt_misc)",
                        node.name
                    ))
                });
            }
        }
        Ok(())
    }

    /// The platform of the image that a file system begins with, as the image says it; none of one that begins empty.
    fn platform_of(&self, graph: &Graph, bases: &Bases, mut root: NodeId) -> crate::Result<Option<Platform>> {
        loop {
            root = match &graph.nodes[root.0].op {
                Op::Image(image) => {
                    if let Some(platform) = bases.platform(&image.id) {
                        return Ok(Some(platform));
                    }
                    let config = self.db.read(|view| self.store.images().config(view, &image.id))?;
                    return Ok(Some(config.platform()));
                }
                Op::Run(step) => step.root,
                Op::Copy(step) => step.root,
                Op::Mkdir(step) => step.root,
                Op::Merge(step) => step.lower,
                Op::Scratch | Op::Context(_) | Op::Http(_) | Op::Git(_) => return Ok(None),
            };
        }
    }
}

fn can_run(architecture: &str) -> bool {
    let host = Platform::host().architecture;
    // Of an image that does not say it, the best is assumed; processors of 64 bits run programs of 32.
    let native = architecture.is_empty()
        || architecture == host
        || (host.as_str(), architecture) == ("amd64", "386")
        || (host.as_str(), architecture) == ("arm64", "arm");
    native || is_emulated(architecture)
}

fn is_emulated(architecture: &str) -> bool {
    let Some((_, wanted)) = MACHINES.iter().find(|(name, _)| *name == architecture) else { return false };
    let Ok(formats) = fs::read_dir(FORMATS) else { return false };
    let texts = formats.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
    texts.into_iter().any(|text| handled(&text).is_some_and(|machine| machine == *wanted))
}

/// Class, byte order and machine of the programs that a format, as the kernel shows it, is for.
fn handled(text: &str) -> Option<[u8; 4]> {
    let mut lines = text.lines();
    if lines.next() != Some("enabled") {
        return None;
    }
    let magic = lines.find_map(|line| line.strip_prefix("magic "))?;
    let byte = |at: usize| u8::from_str_radix(magic.get(2 * at..2 * at + 2)?, 16).ok();
    // e_ident[EI_CLASS], e_ident[EI_DATA], e_machine.
    Some([byte(4)?, byte(5)?, byte(18)?, byte(19)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_the_kernel() {
        let qemu = "enabled\ninterpreter /usr/bin/qemu-aarch64\nflags: OCF\noffset 0\n\
                    magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";
        assert_eq!(handled(qemu), Some([2, 1, 0xb7, 0]));
        assert_eq!(handled(&qemu.replace("enabled", "disabled")), None);
        assert_eq!(handled("enabled\ninterpreter /usr/bin/jexec\nflags: \noffset 0\nmagic 504b0304\n"), None);
        assert_eq!(handled("enabled\n"), None);
    }

    #[test]
    fn the_host_runs_its_own() {
        assert!(can_run(&Platform::host().architecture) && can_run(""));
        assert!(!can_run("pdp11"));
    }
}
