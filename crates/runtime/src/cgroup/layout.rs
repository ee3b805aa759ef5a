//! Where the host has its cgroup hierarchies mounted.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::error::{Context, Error, Result};

/// The file system type of cgroup v2 in `statfs(2)`.
const CGROUP2_MAGIC: u64 = 0x6367_7270;

/// One mounted v1 hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// Its controllers, or `name=…` for one without.
    pub(crate) controllers: Vec<String>,
    /// Where it is mounted.
    pub(crate) mount_point: PathBuf,
}

/// All cgroup mounts of this process's mount namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The v1 hierarchies, in mount order.
    pub(crate) v1: Vec<Hierarchy>,
    /// The v2 hierarchy.
    pub(crate) unified: Option<PathBuf>,
}

/// Which generation of control groups a host uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Only v1 hierarchies.
    V1,
    /// Controllers on v1, and a v2 hierarchy beside them.
    Hybrid,
    /// Only the v2 hierarchy.
    V2,
}

impl Layout {
    /// The host's layout, read once per process.
    pub(crate) fn host() -> Result<&'static Self> {
        static LAYOUT: OnceLock<Layout> = OnceLock::new();
        if let Some(layout) = LAYOUT.get() {
            return Ok(layout);
        }
        // Where only v2 is in use it is always here, whatever may lie hidden below.
        let usual = Path::new("/sys/fs/cgroup");
        if rustix::fs::statfs(usual).is_ok_and(|stat| stat.f_type as u64 == CGROUP2_MAGIC) {
            return Ok(LAYOUT.get_or_init(|| Self { v1: Vec::new(), unified: Some(usual.to_owned()) }));
        }
        let text = std::fs::read_to_string("/proc/self/mountinfo").setup(|| "read mountinfo".into())?;
        let layout = Self::parse(&text);
        if layout.v1.is_empty() && layout.unified.is_none() {
            return Err(Error::setup("no cgroup mount found in mountinfo"));
        }
        Ok(LAYOUT.get_or_init(|| layout))
    }

    /// Reads the cgroup mounts from a `mountinfo` table (proc_pid_mountinfo(5)).
    pub(crate) fn parse(mountinfo: &str) -> Self {
        let mut layout = Self::default();
        for line in mountinfo.lines() {
            let Some((left, right)) = line.split_once(" - ") else { continue };
            let Some(mount_point) = left.split(' ').nth(4).map(unescape) else { continue };
            let mut fields = right.split(' ');
            let (kind, super_options) = (fields.next(), fields.nth(1));
            match kind {
                Some("cgroup2") if layout.unified.is_none() => layout.unified = Some(mount_point),
                Some("cgroup") => layout.add_v1(mount_point, super_options.unwrap_or_default()),
                _ => {}
            }
        }
        layout
    }

    fn add_v1(&mut self, mount_point: PathBuf, options: &str) {
        const CONTROLLERS: &[&str] = &[
            "cpu",
            "cpuacct",
            "cpuset",
            "memory",
            "devices",
            "freezer",
            "net_cls",
            "net_prio",
            "blkio",
            "perf_event",
            "hugetlb",
            "pids",
            "rdma",
            "misc",
        ];
        let is_controller = |option: &&str| option.starts_with("name=") || CONTROLLERS.contains(option);
        let controllers: Vec<String> = options.split(',').filter(is_controller).map(str::to_owned).collect();
        if !controllers.is_empty() && !self.v1.iter().any(|known| known.controllers == controllers) {
            self.v1.push(Hierarchy { controllers, mount_point });
        }
    }

    /// The generation in use.
    pub(crate) fn version(&self) -> Version {
        let has_controllers = self.v1.iter().any(|h| h.controllers.iter().any(|c| !c.starts_with("name=")));
        match (has_controllers, &self.unified) {
            (true, Some(_)) => Version::Hybrid,
            (false, Some(_)) => Version::V2,
            (_, None) => Version::V1,
        }
    }
}

/// A mountinfo field: `\040` and the like stand for bytes that would break the table.
fn unescape(field: &str) -> PathBuf {
    if !field.contains('\\') {
        return field.into();
    }
    let mut result = String::new();
    let mut rest = field;
    while let Some(at) = rest.find('\\') {
        result.push_str(&rest[..at]);
        match rest.get(at + 1..at + 4).and_then(|octal| u8::from_str_radix(octal, 8).ok()) {
            Some(byte) => {
                result.push(char::from(byte));
                rest = &rest[at + 4..];
            }
            None => {
                result.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    result.push_str(rest);
    result.into()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    const V1: &str = "\
24 21 0:22 / /sys rw,relatime - sysfs sysfs rw
30 29 0:27 / /sys/fs/cgroup/systemd rw,nosuid - cgroup cgroup rw,xattr,name=systemd
31 29 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
32 29 0:29 / /sys/fs/cgroup/mem\\040ory rw,nosuid - cgroup cgroup rw,memory
";

    #[test]
    fn versions() {
        assert_eq!(Layout::parse(V1).version(), Version::V1);
        let unified = "29 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(Layout::parse(unified).version(), Version::V2);
        assert_eq!(Layout::parse(&format!("{V1}{unified}")).version(), Version::Hybrid);
        let named = "30 29 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n";
        assert_eq!(Layout::parse(&format!("{named}{unified}")).version(), Version::V2);
    }

    #[test]
    fn hierarchies() {
        let list: Vec<String> = Layout::parse(V1)
            .v1
            .iter()
            .map(|h| format!("{} {}", h.controllers.join("+"), h.mount_point.display()))
            .collect();
        expect![[r#"
            name=systemd /sys/fs/cgroup/systemd
            cpu+cpuacct /sys/fs/cgroup/cpu,cpuacct
            memory /sys/fs/cgroup/mem ory"#]]
        .assert_eq(&list.join("\n"));
    }
}
