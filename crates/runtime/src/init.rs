//! The first steps of a container's first process, between `clone3` and `execve`, read top to bottom in [`run`].

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use oci_spec::runtime::{LinuxSeccomp, Spec};
use rustix::fs::{Mode, OFlags};
use wharf_sys::mount as attr;
use wharf_sys::process::{self, CloneFlags};

use crate::cgroup::{self, Cgroup};
use crate::channel::{Channel, Kind};
use crate::container::Stdio;
use crate::error::{Context, Error, Result};
use crate::hooks::{HookState, Point};
use crate::mounts::{Entry, mask_paths, readonly_paths};
use crate::namespaces::Namespaces;
use crate::process::{Prepared, Ready, close_others, place_streams, reset_signals};
use crate::rootfs::{RootFs, mount_root, pivot, set_attributes, set_propagation};
use crate::{devices, hooks, sysctl, terminal};

/// Everything the child needs; made before the clone and used as the copy of it.
pub(crate) struct Init<'a> {
    pub(crate) id: &'a str,
    pub(crate) bundle: &'a Path,
    pub(crate) spec: &'a Spec,
    pub(crate) rootfs: &'a RootFs,
    pub(crate) namespaces: &'a Namespaces,
    /// The prepared root and mounts when they had to be opened outside of a new user namespace.
    pub(crate) opened: Option<Opened<'a>>,
    pub(crate) cgroup: Option<&'a Cgroup>,
    /// The v2 directory still has to be joined by the process itself.
    pub(crate) join_unified: bool,
    /// The namespaces given by path are joined already.
    pub(crate) joined: bool,
    /// How to get into the v1 directories from another user namespace.
    pub(crate) tasks: Vec<OwnedFd>,
    pub(crate) prepared: Prepared,
    pub(crate) stdio: &'a Stdio,
    pub(crate) channel: &'a Channel,
    /// Pipe that releases a container made by another process than the one that starts it.
    pub(crate) start_fifo: Option<BorrowedFd<'a>>,
    pub(crate) preserve_fds: u32,
    pub(crate) new_keyring: bool,
}

/// The root and the mount entries as open trees.
pub(crate) struct Opened<'a> {
    pub(crate) root: OwnedFd,
    pub(crate) mounts: Vec<Entry<'a>>,
}

impl<'a> Opened<'a> {
    pub(crate) fn new(spec: &'a Spec, rootfs: &RootFs, bundle: &Path) -> Result<Self> {
        let root = rootfs.open(bundle)?;
        let mounts =
            spec.mounts().iter().flatten().map(|mount| Entry::open(mount, bundle)).collect::<Result<_>>()?;
        Ok(Self { root, mounts })
    }
}

/// Sets the container up and becomes its program. Failures go to the parent through the channel.
pub(crate) fn run(init: Init<'_>) -> ! {
    let channel = init.channel;
    // Unwinding must not reach the frames copied from the parent.
    let code = match catch_unwind(AssertUnwindSafe(|| init.set_up())) {
        Ok(Ok(ready)) => ready.exec(),
        Ok(Err(error)) => {
            let _ = channel.send(Kind::Failed, error.to_string().as_bytes());
            1
        }
        Err(_) => {
            let _ = channel.send(Kind::Failed, b"internal error in container init");
            1
        }
    };
    process::exit(code)
}

impl<'a> Init<'a> {
    fn set_up(mut self) -> Result<Ready> {
        rustix::process::setsid().init(|| "setsid".into())?;
        reset_signals()?;
        self.enter_user_namespace()?;
        if !self.joined {
            self.namespaces.join_all(CloneFlags::NEWPID)?;
        }
        self.set_up_namespaces()?;
        self.prepared.apply_limits("ready process")?;
        sysctl::apply(self.spec)?;
        let filter = self.filter();
        self.set_up_root()?;
        self.set_up_streams()?;
        if self.new_keyring {
            join_keyring(self.id)?;
        }
        let Self { prepared, channel, start_fifo, preserve_fds, spec, .. } = self;
        let keep: Vec<BorrowedFd<'_>> = [Some(channel.fd()), start_fifo].into_iter().flatten().collect();
        let ready = prepared.become_user(filter)?;
        close_others(preserve_fds, &keep)?;
        if hooks::any(spec, Point::StartContainer) {
            // The hooks come after start was asked for, so the filter has to wait for them.
            channel.send(Kind::Ready, &[])?;
            wait_for_start(channel, start_fifo)?;
            let state = HookState::new(spec, self.id, self.bundle, process::pid(), "created");
            hooks::run(spec, Point::StartContainer, &state)?;
            confine(&ready, filter, channel)?;
        } else {
            confine(&ready, filter, channel)?;
            channel.send(Kind::Ready, &[])?;
            wait_for_start(channel, start_fifo)?;
        }
        Ok(ready)
    }

    fn linux(&self) -> Option<&'a oci_spec::runtime::Linux> {
        self.spec.linux().as_ref()
    }

    fn filter(&self) -> Option<&'a LinuxSeccomp> {
        self.linux().and_then(|linux| linux.seccomp().as_ref())
    }

    fn enter_user_namespace(&self) -> Result<()> {
        if !self.namespaces.has(CloneFlags::NEWUSER) {
            return Ok(());
        }
        if self.namespaces.new.contains(CloneFlags::NEWUSER) {
            self.channel.expect(Kind::Mapped)?;
        }
        process::set_gid(0).init(|| "setgid in user namespace".into())?;
        process::set_uid(0).init(|| "setuid in user namespace".into())?;
        // Changing ids made this process's /proc entry the host root's; it has to write there.
        process::set_dumpable(true).init(|| "set dumpable".into())
    }

    fn set_up_namespaces(&self) -> Result<()> {
        let new = self.namespaces.new;
        if new.contains(CloneFlags::NEWNET) {
            wharf_sys::net::loopback_up().init(|| "bring loopback up".into())?;
        }
        if new.contains(CloneFlags::NEWUTS) {
            if let Some(name) = self.spec.hostname().as_deref().filter(|name| !name.is_empty()) {
                rustix::system::sethostname(name.as_bytes()).init(|| "sethostname".into())?;
            }
            if let Some(name) = self.spec.domainname().as_deref().filter(|name| !name.is_empty()) {
                rustix::system::setdomainname(name.as_bytes()).init(|| "setdomainname".into())?;
            }
        }
        if new.contains(CloneFlags::NEWTIME) {
            process::unshare(CloneFlags::NEWTIME).init(|| "unshare time namespace".into())?;
            self.set_time_offsets()?;
        }
        if let Some(personality) = self.linux().and_then(|linux| linux.personality().as_ref()) {
            wharf_sys::sched::set_personality(crate::tuning::persona(personality)?)
                .init(|| "set personality".into())?;
        }
        Ok(())
    }

    fn set_time_offsets(&self) -> Result<()> {
        let offsets = self.linux().and_then(|linux| linux.time_offsets().as_ref());
        for (clock, offset) in offsets.into_iter().flatten() {
            let line = format!("{clock} {} {}", offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
            std::fs::write("/proc/self/timens_offsets", line).init(|| "write timens_offsets".into())?;
        }
        Ok(())
    }

    /// Waits for the parent to have made the cgroup, and moves in.
    fn join_cgroup(&mut self) -> Result<()> {
        self.channel.expect(Kind::Cgroup)?;
        match self.cgroup {
            Some(cgroup) if self.tasks.is_empty() => cgroup.join(self.join_unified)?,
            _ => {
                for tasks in self.tasks.drain(..) {
                    rustix::io::write(&tasks, b"0").map(drop).init(|| "join cgroup".into())?;
                }
            }
        }
        if self.namespaces.new.contains(CloneFlags::NEWCGROUP) {
            process::unshare(CloneFlags::NEWCGROUP).init(|| "unshare cgroup namespace".into())?;
        }
        Ok(())
    }

    fn set_up_root(&mut self) -> Result<()> {
        if !self.namespaces.new.contains(CloneFlags::NEWNS) {
            return self.join_cgroup();
        }
        let propagation = self.propagation()?;
        let host = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .init(|| "open /".into())?;
        set_propagation(host.as_fd(), propagation.1, propagation.0).init(|| "set root propagation".into())?;
        let Opened { root, mounts } = match self.opened.take() {
            Some(opened) => opened,
            None => Opened::new(self.spec, self.rootfs, self.bundle)?,
        };
        let old = mount_root(root.as_fd())?;
        self.join_cgroup()?;
        rustix::process::umask(Mode::empty());
        self.mount_all(root.as_fd(), &mounts)?;
        self.run_create_hooks()?;
        pivot(root.as_fd(), old.as_fd())?;
        if propagation.0 != attr::PROPAGATION_SLAVE && propagation.0 != attr::PROPAGATION_PRIVATE {
            set_propagation(root.as_fd(), propagation.1, propagation.0)
                .init(|| "set root propagation".into())?;
        }
        self.finish_root(root.as_fd(), &mounts)
    }

    /// The propagation type of the root, and whether it is for the whole tree.
    fn propagation(&self) -> Result<(u64, bool)> {
        let text = self.linux().and_then(|linux| linux.rootfs_propagation().as_deref()).unwrap_or_default();
        let (kind, recursive) = match text.strip_prefix('r') {
            Some(kind) => (kind, true),
            None => (text, false),
        };
        Ok(match kind {
            "" => (attr::PROPAGATION_SLAVE, true),
            "private" => (attr::PROPAGATION_PRIVATE, recursive),
            "slave" => (attr::PROPAGATION_SLAVE, recursive),
            "shared" => (attr::PROPAGATION_SHARED, recursive),
            "unbindable" => (attr::PROPAGATION_UNBINDABLE, recursive),
            _ => return Err(Error::config(format!("rootfsPropagation={text} is not supported"))),
        })
    }

    fn mount_all(&self, root: BorrowedFd<'_>, mounts: &[Entry<'_>]) -> Result<()> {
        let mut own_dev = false;
        for entry in mounts {
            match entry.kind() {
                "cgroup" | "cgroup2" if !entry.is_bind() => {
                    let own = self.namespaces.has(CloneFlags::NEWCGROUP);
                    cgroup::mounts::mount(self.cgroup, root, entry.spec.destination(), &entry.options, own)?;
                }
                _ => entry.mount(root)?,
            }
            if entry.is_dev() {
                own_dev = !entry.is_bind();
            }
        }
        if own_dev {
            let listed = self.linux().and_then(|linux| linux.devices().as_deref()).unwrap_or_default();
            devices::populate(root, listed, self.namespaces.has(CloneFlags::NEWUSER))?;
        }
        crate::paths::make_dir(root, self.prepared.cwd(), 0o755)
            .map(drop)
            .init(|| format!("mkdir {}", self.prepared.cwd().display()))
    }

    fn run_create_hooks(&self) -> Result<()> {
        if hooks::any(self.spec, Point::CreateRuntime) {
            self.channel.send(Kind::Hooks, &[])?;
            self.channel.expect(Kind::HooksDone)?;
        }
        if hooks::any(self.spec, Point::CreateContainer) {
            let state = HookState::new(self.spec, self.id, self.bundle, process::pid(), "creating");
            hooks::run(self.spec, Point::CreateContainer, &state)?;
        }
        Ok(())
    }

    fn finish_root(&self, root: BorrowedFd<'_>, mounts: &[Entry<'_>]) -> Result<()> {
        let linux = self.linux();
        if let Stdio::Terminal { size } = self.stdio {
            let terminal = terminal::open(*size, self.spec.process().as_ref().map_or(0, |p| p.user().uid()))?;
            terminal.bind_console(root)?;
            self.channel.send_fd(Kind::Terminal, terminal.master.as_fd())?;
            terminal.control()?;
            let slave = terminal.slave.as_fd();
            place_streams([slave, slave, slave], self.preserve_fds)?;
        }
        readonly_paths(root, linux.and_then(|l| l.readonly_paths().as_deref()).unwrap_or_default())?;
        mask_paths(root, linux.and_then(|l| l.masked_paths().as_deref()).unwrap_or_default())?;
        if let Some(dev) =
            mounts.iter().find(|entry| entry.is_dev() && !entry.is_bind() && entry.options.read_only())
        {
            let path = crate::paths::open_path(root, dev.spec.destination()).init(|| "open /dev".into())?;
            set_attributes(path.as_fd(), false, attr::ATTR_RDONLY, 0)
                .init(|| "make /dev read-only".into())?;
        }
        if self.spec.root().as_ref().and_then(|root| root.readonly()) == Some(true) {
            set_attributes(root, false, attr::ATTR_RDONLY, 0).init(|| "make rootfs read-only".into())?;
        }
        Ok(())
    }

    fn set_up_streams(&self) -> Result<()> {
        match self.stdio {
            Stdio::Fds { stdin, stdout, stderr } => {
                place_streams([stdin.as_fd(), stdout.as_fd(), stderr.as_fd()], self.preserve_fds)
            }
            Stdio::Inherit => {
                wharf_sys::fd::set_cloexec_from(3 + self.preserve_fds).init(|| "close_range".into())
            }
            Stdio::Terminal { .. } => Ok(()),
        }
    }
}

/// Gives the process the container's session keyring instead of the caller's.
pub(crate) fn join_keyring(id: &str) -> Result<()> {
    let name = std::ffi::CString::new(format!("_ses.{id}")).unwrap_or_default();
    match wharf_sys::keyring::join_session(&name) {
        // Not compiled into the kernel, or kept away by the filter of an outer container.
        Ok(()) | Err(wharf_sys::Errno::NOSYS | wharf_sys::Errno::PERM) => Ok(()),
        Err(errno) => Err(errno).init(|| "unable to join session keyring".into()),
    }
}

/// Loads the filter and hands its notification descriptor, if any, to the parent.
pub(crate) fn confine(ready: &Ready, filter: Option<&LinuxSeccomp>, channel: &Channel) -> Result<()> {
    use std::os::fd::AsRawFd;
    if let Some(listener) = ready.confine(filter)? {
        channel.send(Kind::SeccompFd, &listener.as_raw_fd().to_ne_bytes())?;
        channel.expect(Kind::SeccompFd)?;
    }
    Ok(())
}

/// Waits for the word to go: from the parent, or through the pipe when the parent is not the one that starts.
fn wait_for_start(channel: &Channel, fifo: Option<BorrowedFd<'_>>) -> Result<()> {
    let Some(fifo) = fifo else { return channel.expect(Kind::Go) };
    rustix::io::retry_on_intr(|| rustix::io::read(fifo, &mut [0u8; 1]))
        .map(drop)
        .init(|| "wait for start".into())
}
