//! Making a container: [`create`] returns as soon as its first process exists, [`Created::start`] lets it run the program.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxResources, LinuxSeccomp, Spec};
use rustix::process::{WaitId, WaitIdOptions};
use wharf_sys::process::{CloneFlags, Forked};
use wharf_sys::{Errno, signal};

use crate::cgroup::Cgroup;
use crate::channel::{Channel, Kind};
use crate::error::{Context, Error, Result};
use crate::hooks::{self, HookState, Point};
use crate::init::{Init, Opened};
use crate::namespaces::{self, Namespaces};
use crate::process::Prepared;
use crate::rootfs::RootFs;
use crate::{seccomp_agent, spawn, sysctl};

/// Where the standard streams of a process go.
#[derive(Debug)]
pub enum Stdio {
    /// These descriptors become 0, 1 and 2. Their files are given to the process's user.
    Fds {
        /// Standard input.
        stdin: OwnedFd,
        /// Standard output.
        stdout: OwnedFd,
        /// Standard error.
        stderr: OwnedFd,
    },
    /// A new terminal inside the container's devpts; the master is in [`Process::terminal`].
    Terminal {
        /// Rows and columns.
        size: Option<(u16, u16)>,
    },
    /// The caller's own descriptors 0, 1 and 2.
    Inherit,
}

/// What [`create`] needs.
#[derive(Debug)]
pub struct CreateArgs<'a> {
    /// Container id; names the session keyring and goes to hooks.
    pub id: &'a str,
    /// The bundle: what relative paths of the specification start from.
    pub bundle: &'a Path,
    /// The specification.
    pub spec: &'a Spec,
    /// The root file system; `root.path` of the specification is not looked at.
    pub rootfs: &'a RootFs,
    /// Standard streams. With [`Stdio::Terminal`] the specification's `terminal` is not looked at.
    pub stdio: Stdio,
    /// Control group path when the specification has none (`cgroupsPath`); default `/<id>`.
    pub cgroup_path: Option<PathBuf>,
    /// A pipe opened for reading and writing (so that opening never blocks): the program starts when a byte is read from it
    /// instead of by [`Created::start`].
    pub start_fifo: Option<OwnedFd>,
    /// How many descriptors from 3 on stay open in the program.
    pub preserve_fds: u32,
    /// Keep the caller's session keyring.
    pub no_new_keyring: bool,
}

impl<'a> CreateArgs<'a> {
    /// The arguments everybody has to give, with defaults for the others.
    pub fn new(id: &'a str, bundle: &'a Path, spec: &'a Spec, rootfs: &'a RootFs, stdio: Stdio) -> Self {
        Self {
            id,
            bundle,
            spec,
            rootfs,
            stdio,
            cgroup_path: None,
            start_fifo: None,
            preserve_fds: 0,
            no_new_keyring: false,
        }
    }
}

/// A running process of a container. It is the caller's child: whoever waits on `pidfd` reaps it.
#[derive(Debug)]
pub struct Process {
    /// Process id on the host.
    pub pid: i32,
    /// Close-on-exec pidfd.
    pub pidfd: OwnedFd,
    /// Master end of the terminal.
    pub terminal: Option<OwnedFd>,
    /// The container's control group.
    pub cgroup: Option<Cgroup>,
}

/// A container whose first process exists but has not run the program. Its namespaces are there (`/proc/<pid>/ns`); mounts
/// and the rest go on inside it meanwhile. Dropping it kills the process and removes the control group.
#[derive(Debug)]
pub struct Created {
    pid: i32,
    pidfd: OwnedFd,
    /// Dropping still has to clean up.
    armed: bool,
    cgroup: Option<Cgroup>,
    channel: Channel,
    terminal: Option<OwnedFd>,
    prepared: bool,
    hook_state: HookState,
    spec: Parts,
}

/// What later steps need of the specification.
#[derive(Debug)]
struct Parts {
    resources: Option<LinuxResources>,
    seccomp: Option<LinuxSeccomp>,
    hooked: Spec,
}

impl Parts {
    fn of(spec: &Spec) -> Self {
        let linux = spec.linux().as_ref();
        let mut hooked = empty_spec();
        hooked.set_hooks(spec.hooks().clone());
        let seccomp = linux.and_then(|linux| linux.seccomp().as_ref());
        Self {
            resources: linux.and_then(|linux| linux.resources().clone()),
            seccomp: seccomp.filter(|seccomp| seccomp.listener_path().is_some()).cloned(),
            hooked,
        }
    }
}

fn empty_spec() -> Spec {
    let mut spec = Spec::default();
    spec.set_process(None).set_mounts(None).set_linux(None).set_root(None).set_hostname(None);
    spec
}

/// Makes the container's first process in its namespaces. The caller must be single-threaded. Fails without leaving
/// anything behind when the specification is wrong or the kernel refuses.
pub fn create(args: CreateArgs<'_>) -> Result<Created> {
    let spec = args.spec;
    let Some(process_spec) = spec.process() else {
        return Err(Error::config("process property must not be empty"));
    };
    let prepared = Prepared::new(process_spec)?;
    let namespaces = Namespaces::open(namespaces::listed(spec))?;
    check(spec, &namespaces)?;
    let cgroup = open_cgroup(&args)?;
    let unified = cgroup.as_ref().map(Cgroup::create_unified).transpose()?.flatten();
    let (channel, child_channel) = Channel::pair()?;
    let other_user = namespaces.has(CloneFlags::NEWUSER);
    let outside = other_user || has_idmap(spec);
    let tasks = match &cgroup {
        Some(cgroup) if other_user => {
            cgroup.create_v1()?;
            cgroup.open_tasks()?
        }
        _ => Vec::new(),
    };
    let mut init = Init {
        id: args.id,
        bundle: args.bundle,
        spec,
        rootfs: args.rootfs,
        namespaces: &namespaces,
        opened: if outside { Some(Opened::new(spec, args.rootfs, args.bundle)?) } else { None },
        cgroup: cgroup.as_ref(),
        join_unified: false,
        joined: false,
        tasks,
        prepared,
        stdio: &args.stdio,
        channel: &child_channel,
        start_fifo: args.start_fifo.as_ref().map(AsFd::as_fd),
        preserve_fds: args.preserve_fds,
        new_keyring: !args.no_new_keyring,
    };
    let spawned = match spawn::first_process(&namespaces, unified.as_ref().map(AsFd::as_fd)) {
        Ok(result) => result,
        Err(error) => {
            cgroup.iter().for_each(|cgroup| drop(cgroup.delete()));
            return Err(error);
        }
    };
    match spawned.forked {
        Forked::Child => {
            drop(channel);
            init.join_unified = !spawned.in_cgroup;
            init.joined = spawned.joined;
            crate::init::run(init)
        }
        Forked::Parent { pid, pidfd } => {
            let created = Created {
                pid,
                pidfd,
                armed: true,
                cgroup: cgroup.clone(),
                channel,
                terminal: None,
                prepared: false,
                hook_state: HookState::new(spec, args.id, args.bundle, pid, "creating"),
                spec: Parts::of(spec),
            };
            created.map_ids(spec, &namespaces)?;
            Ok(created)
        }
    }
}

/// What the specification asks for and this runtime or this combination of namespaces cannot do.
fn check(spec: &Spec, namespaces: &Namespaces) -> Result<()> {
    sysctl::check(spec, namespaces)?;
    let uts = namespaces.new.contains(CloneFlags::NEWUTS);
    if spec.hostname().as_ref().is_some_and(|name| !name.is_empty()) && !namespaces.has(CloneFlags::NEWUTS) {
        return Err(Error::config("unable to set hostname without a private UTS namespace"));
    }
    if spec.domainname().as_ref().is_some_and(|name| !name.is_empty())
        && !uts
        && !namespaces.has(CloneFlags::NEWUTS)
    {
        return Err(Error::config("unable to set domainname without a private UTS namespace"));
    }
    if !namespaces.has(CloneFlags::NEWNS) {
        return Err(Error::config("a container without a mount namespace is not supported"));
    }
    let Some(linux) = spec.linux() else { return Ok(()) };
    let confined = linux.masked_paths().iter().chain(linux.readonly_paths()).any(|list| !list.is_empty());
    if confined && !namespaces.has(CloneFlags::NEWNS) {
        return Err(Error::config("unable to restrict sys entries without a private MNT namespace"));
    }
    if linux.intel_rdt().is_some() || linux.net_devices().as_ref().is_some_and(|map| !map.is_empty()) {
        return Err(Error::config("intelRdt and netDevices are not supported"));
    }
    if linux.memory_policy().is_some() {
        return Err(Error::config("memoryPolicy is not supported"));
    }
    Ok(())
}

fn has_idmap(spec: &Spec) -> bool {
    let options = spec.mounts().iter().flatten().filter_map(|mount| mount.options().as_ref()).flatten();
    options.into_iter().any(|option| option == "idmap" || option == "ridmap")
}

fn open_cgroup(args: &CreateArgs<'_>) -> Result<Option<Cgroup>> {
    let linux = args.spec.linux().as_ref();
    let listed =
        linux.and_then(|linux| linux.cgroups_path().clone()).filter(|path| !path.as_os_str().is_empty());
    let path =
        listed.or_else(|| args.cgroup_path.clone()).unwrap_or_else(|| PathBuf::from("/").join(args.id));
    match Cgroup::open(&path) {
        Ok(cgroup) => Ok(Some(cgroup)),
        // A host without cgroups can still run what has no limits.
        Err(_) if linux.and_then(|linux| linux.resources().as_ref()).is_none() => Ok(None),
        Err(error) => Err(error),
    }
}

impl Created {
    /// Process id on the host.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The process's pidfd.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// The container's control group; its directories and limits are made by [`Created::prepare`].
    pub fn cgroup(&self) -> Option<&Cgroup> {
        self.cgroup.as_ref()
    }

    /// Master end of the terminal, there after [`Created::prepare`].
    pub fn terminal(&self) -> Option<BorrowedFd<'_>> {
        self.terminal.as_ref().map(AsFd::as_fd)
    }

    fn map_ids(&self, spec: &Spec, namespaces: &Namespaces) -> Result<()> {
        if !namespaces.new.contains(CloneFlags::NEWUSER) {
            return Ok(());
        }
        let linux = spec.linux().as_ref();
        let uids = linux.and_then(|linux| linux.uid_mappings().as_deref()).unwrap_or_default();
        let gids = linux.and_then(|linux| linux.gid_mappings().as_deref()).unwrap_or_default();
        namespaces::write_id_maps(self.pid, uids, gids)?;
        self.channel.send(Kind::Mapped, &[])
    }

    /// Makes the control group, runs hooks and waits until the process has only the program left to execute. Everything
    /// that is wrong inside (a missing program, say) comes out here. Does nothing the second time.
    pub fn prepare(&mut self) -> Result<()> {
        if self.prepared {
            return Ok(());
        }
        if let Some(cgroup) = &self.cgroup {
            cgroup.create_v1()?;
            cgroup.check_empty(self.pid)?;
            if let Some(resources) = &self.spec.resources {
                cgroup.apply(resources)?;
            }
            cgroup.apply_devices(self.spec.resources.as_ref())?;
        }
        self.channel.send(Kind::Cgroup, &[]).or_else(|error| self.failure().map_or(Err(error), Err))?;
        while !self.prepared {
            self.receive()?;
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<()> {
        let Some(message) = self.channel.recv()? else {
            return Err(Error::Init("container init exited unexpectedly".into()));
        };
        match message.kind {
            Kind::Ready => self.prepared = true,
            Kind::Terminal => self.terminal = message.fds.into_iter().next(),
            Kind::Failed => return Err(Error::Init(String::from_utf8_lossy(&message.payload).into_owned())),
            Kind::Hooks => {
                hooks::run(&self.spec.hooked, Point::CreateRuntime, &self.hook_state)?;
                self.channel.send(Kind::HooksDone, &[])?;
            }
            Kind::SeccompFd => {
                seccomp_agent::hand_over(
                    self.pidfd(),
                    &message.payload,
                    self.spec.seccomp.as_ref(),
                    &self.hook_state,
                )?;
                self.channel.send(Kind::SeccompFd, &[])?;
            }
            other => return Err(Error::setup(format!("unexpected message {other:?} from container init"))),
        }
        Ok(())
    }

    /// A failure the process has already reported.
    fn failure(&mut self) -> Option<Error> {
        self.receive().err()
    }

    /// Lets the process execute the program. Fails when preparing it failed; what is then left is removed.
    pub fn start(mut self) -> Result<Process> {
        self.prepare()?;
        self.channel.send(Kind::Go, &[])?;
        if hooks::any(&self.spec.hooked, Point::Poststart) {
            self.hook_state.status = "running".into();
            hooks::run(&self.spec.hooked, Point::Poststart, &self.hook_state)?;
        }
        self.release()
    }

    /// Gives the prepared process away without starting it: its `start_fifo` will.
    pub fn detach(mut self) -> Result<Process> {
        self.prepare()?;
        self.release()
    }

    fn release(mut self) -> Result<Process> {
        let pidfd = self.pidfd.try_clone().setup(|| "dup pidfd".into())?;
        self.armed = false;
        Ok(Process { pid: self.pid, pidfd, terminal: self.terminal.take(), cgroup: self.cgroup.take() })
    }
}

impl Drop for Created {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        kill_and_reap(self.pidfd.as_fd());
        if let Some(cgroup) = &self.cgroup {
            let _ = cgroup.delete();
        }
    }
}

/// Kills a child and waits for its end.
pub(crate) fn kill_and_reap(pidfd: BorrowedFd<'_>) {
    match signal::send_pidfd(pidfd, libc::SIGKILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(_) => return,
    }
    let _ =
        rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED));
}

/// The exit code of a finished child by shell convention: its own, or 128 plus the signal that killed it. Waits for it.
pub fn wait(pidfd: BorrowedFd<'_>) -> Result<i32> {
    let status =
        rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED))
            .setup(|| "wait".into())?;
    let status = status.ok_or_else(|| Error::setup("wait: no status"))?;
    let signal = status.terminating_signal().map(|signal| 128 + signal);
    Ok(status.exit_status().or(signal).unwrap_or(255))
}
