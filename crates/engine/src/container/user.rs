//! Users and groups by the container's own `/etc/passwd` and `/etc/group`, as Docker resolves `--user`.

use std::{io, path::Path};

use wharf_store::Snapshot;

use crate::{Error, Result};

/// Who a process runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct User {
    /// User id.
    pub(crate) uid: u32,
    /// Primary group id.
    pub(crate) gid: u32,
    /// Supplementary groups.
    pub(crate) groups: Vec<u32>,
    /// Home directory of the passwd entry, `/` without one.
    pub(crate) home: String,
}

/// The two databases as read from the container's root; a missing file is empty.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    passwd: String,
    group: String,
}

/// Longer than any real database, shorter than what would hurt the engine.
const LIMIT: u64 = 16 << 20;

impl Accounts {
    /// The databases of a container that does not run.
    ///
    /// # Errors
    /// One is there and cannot be read.
    pub(crate) fn of(snapshot: &Snapshot) -> Result<Self> {
        Self::read(|path| snapshot.read(Path::new(path), LIMIT).map_err(io::Error::other))
            .map_err(|error| Error::system(format!("reading the container's accounts: {error}")))
    }

    /// Reads the databases through `read`, which returns a file of the container's root or `None` if it is missing.
    pub(crate) fn read(mut read: impl FnMut(&str) -> io::Result<Option<Vec<u8>>>) -> io::Result<Self> {
        let mut text =
            |path| Ok::<_, io::Error>(String::from_utf8_lossy(&read(path)?.unwrap_or_default()).into_owned());
        Ok(Accounts { passwd: text("etc/passwd")?, group: text("etc/group")? })
    }

    /// Resolves `spec` (`user`, `uid`, `user:group`, `uid:gid`, or empty for root) and the extra groups of
    /// `--group-add`.
    ///
    /// # Errors
    /// An unknown name or a number out of range, in Docker's words.
    pub(crate) fn resolve(&self, spec: &str, extra_groups: &[String]) -> Result<User> {
        let (user_spec, group_spec) = spec.split_once(':').map_or((spec, None), |(u, g)| (u, Some(g)));
        let user_spec = if user_spec.is_empty() { "0" } else { user_spec };
        let entry = self.passwd_entries().find(|e| e.name == user_spec || e.uid.to_string() == user_spec);
        let mut user = User { home: "/".to_owned(), ..User::default() };
        let mut name = None;
        match (&entry, user_spec.parse::<i64>()) {
            (Some(entry), _) => {
                (user.uid, user.gid, user.home) = (entry.uid, entry.gid, entry.home.to_owned());
                name = Some(entry.name);
            }
            (None, Ok(number)) => user.uid = in_range(number)?,
            (None, Err(_)) => {
                return Err(Error::system(format!(
                    "unable to find user {user_spec}: no matching entries in passwd file"
                )));
            }
        }
        match group_spec.filter(|group| !group.is_empty()) {
            Some(group) => {
                user.gid = self.group(group)?;
                user.groups.push(user.gid);
            }
            None => {
                let member =
                    |entry: &GroupEntry| name.is_some_and(|name| entry.members.split(',').any(|m| m == name));
                user.groups = self.group_entries().filter(member).map(|entry| entry.gid).collect();
                user.groups.push(user.gid);
            }
        }
        for group in extra_groups {
            user.groups.push(self.group(group)?);
        }
        let mut seen = Vec::new();
        user.groups.retain(|gid| {
            !seen.contains(gid) && {
                seen.push(*gid);
                true
            }
        });
        Ok(user)
    }

    fn group(&self, spec: &str) -> Result<u32> {
        if let Some(entry) = self.group_entries().find(|e| e.name == spec || e.gid.to_string() == spec) {
            return Ok(entry.gid);
        }
        match spec.parse::<i64>() {
            Ok(number) => in_range(number),
            Err(_) => {
                Err(Error::system(format!("unable to find group {spec}: no matching entries in group file")))
            }
        }
    }

    fn passwd_entries(&self) -> impl Iterator<Item = PasswdEntry<'_>> {
        self.passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
            let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            Some(PasswdEntry {
                name,
                uid,
                gid,
                home: fields.nth(1).filter(|home| !home.is_empty()).unwrap_or("/"),
            })
        })
    }

    fn group_entries(&self) -> impl Iterator<Item = GroupEntry<'_>> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| !name.is_empty())?;
            Some(GroupEntry {
                name,
                gid: fields.nth(1)?.parse().ok()?,
                members: fields.next().unwrap_or_default(),
            })
        })
    }
}

struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct GroupEntry<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

fn in_range(number: i64) -> Result<u32> {
    u32::try_from(number)
        .ok()
        .filter(|id| *id <= i32::MAX as u32)
        .ok_or_else(|| Error::system("uids and gids must be in range 0-2147483647"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n".into(),
            group: "root:x:0:\nextra:x:50:app\napp:x:1000:\n".into(),
        }
    }

    fn ids(spec: &str, extra: &[&str]) -> (u32, u32, Vec<u32>) {
        let extra: Vec<_> = extra.iter().map(|&s| s.to_owned()).collect();
        let user = accounts().resolve(spec, &extra).unwrap();
        (user.uid, user.gid, user.groups)
    }

    #[test]
    fn resolves_every_form() {
        assert_eq!(ids("", &[]), (0, 0, vec![0]));
        assert_eq!(ids("app", &[]), (1000, 1000, vec![50, 1000]));
        assert_eq!(ids("1000:50", &[]), (1000, 50, vec![50]));
        assert_eq!(ids("app:extra", &[]), (1000, 50, vec![50]));
        assert_eq!(ids("1234", &[]), (1234, 0, vec![0]));
        assert_eq!(ids("", &["77", "extra"]), (0, 0, vec![0, 77, 50]));
    }

    #[test]
    fn unknown_names_have_dockers_words() {
        let message = |spec: &str| accounts().resolve(spec, &[]).unwrap_err().to_string();
        assert_eq!(message("nosuch"), "unable to find user nosuch: no matching entries in passwd file");
        assert_eq!(message("app:nosuch"), "unable to find group nosuch: no matching entries in group file");
        assert_eq!(message("99999999999"), "uids and gids must be in range 0-2147483647");
    }
}
