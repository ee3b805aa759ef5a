//! The process of an exec session, from the container's configuration and the session's own.

use std::{fs::File, io, path::Path};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use wharf_api::{ErrorKind, exec::CreateRequest};
use wharf_oci::runtime::{Process, ProcessBuilder, UserBuilder};

use super::{
    Container, spec,
    user::{Accounts, User},
};
use crate::{Engine, Error, Result};

impl Engine {
    /// Builds the process that an exec session starts. `pid` is the container's first process.
    ///
    /// # Errors
    /// An unknown user, or a container that has ended meanwhile.
    pub(crate) fn exec_process(
        &self,
        container: &Container,
        pid: i32,
        request: &CreateRequest,
    ) -> Result<Process> {
        let user = exec_user(container, pid, request)?;
        let cwd =
            [&request.working_dir, &container.config.working_dir].into_iter().find(|dir| !dir.is_empty());
        let mut host = container.host_config.clone();
        host.privileged |= request.privileged;
        let mut env = spec::base_environment(Some(&container.config.hostname), request.tty);
        env = spec::replace_variables(env, container.config.env.as_deref().unwrap_or_default());
        env = spec::replace_variables(env, request.env.as_deref().unwrap_or_default());
        spec::add_home(&mut env, &user.home);
        let build = || {
            ProcessBuilder::default()
                .terminal(request.tty)
                .user(
                    UserBuilder::default()
                        .uid(user.uid)
                        .gid(user.gid)
                        .additional_gids(user.groups.clone())
                        .build()?,
                )
                .args(request.cmd.as_deref().cloned().unwrap_or_default())
                .env(env)
                .cwd(cwd.map_or("/", String::as_str))
                .capabilities(spec::capabilities(&host, user.uid))
                .no_new_privileges(spec::no_new_privileges(&host))
                .oom_score_adj(i32::try_from(host.oom_score_adj).unwrap_or_default())
                .build()
        };
        build().map_err(|error: wharf_oci::OciSpecError| Error::system(error.to_string()))
    }
}

/// Who an exec session runs as, by the accounts in the container.
///
/// # Errors
/// There is no such user or group there.
pub(crate) fn exec_user(container: &Container, pid: i32, request: &CreateRequest) -> Result<User> {
    let accounts = Accounts::read(|path| read_file(pid, path))
        .map_err(|error| Error::system(format!("reading the container's accounts: {error}")))?;
    let user = if request.user.is_empty() { &container.config.user } else { &request.user };
    let groups = if request.user.is_empty() { container.host_config.group_add.as_deref() } else { None };
    accounts
        .resolve(user, groups.unwrap_or_default())
        .map_err(|error| error.with_kind(ErrorKind::InvalidParameter))
}

/// Reads `path` inside the root of a running container; `None` if there is no such file.
fn read_file(pid: i32, path: &str) -> io::Result<Option<Vec<u8>>> {
    // Larger than any real account file, smaller than what would hurt the engine.
    const LIMIT: u64 = 16 << 20;
    let root = File::open(format!("/proc/{pid}/root"))?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match openat2(&root, Path::new(path), flags, Mode::empty(), resolve) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut text = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, LIMIT), &mut text)?;
    Ok(Some(text))
}
