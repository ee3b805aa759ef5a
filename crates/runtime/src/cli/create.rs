//! `create` and `run`.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use oci_spec::runtime::Spec;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::flags::{Flag, Flags};
use super::{Failure, foreground};
use crate::container::{CreateArgs, Created, Process, Stdio, create as create_container};
use crate::error::{Context as _, Error, Result};
use crate::rootfs::RootFs;
use crate::state::{NewContainer, State, start_time};

const FLAGS: &[Flag] = &[
    ("bundle", Some('b'), true),
    ("console-socket", None, true),
    ("pidfd-socket", None, true),
    ("pid-file", None, true),
    ("no-pivot", None, false),
    ("no-new-keyring", None, false),
    ("preserve-fds", None, true),
    ("detach", Some('d'), false),
    ("keep", None, false),
    ("no-subreaper", None, false),
];

/// The container's id and everything else on the command line.
struct Request {
    id: String,
    bundle: PathBuf,
    spec: Spec,
    flags: Flags,
    rootfs: RootFs,
}

impl Request {
    fn read(args: Vec<String>) -> Result<Self> {
        let mut flags = Flags::parse(FLAGS, args)?;
        let id = flags.id()?;
        if flags.is_set("no-pivot") {
            return Err(Error::Config("--no-pivot is not supported".into()));
        }
        let bundle = Path::new(flags.value("bundle").unwrap_or("."));
        let bundle = std::fs::canonicalize(bundle).setup(|| format!("chdir {}", bundle.display()))?;
        let mut spec = crate::spec::load(&bundle)?;
        let Some(root) = spec.root() else { return Err(Error::Config("root must be specified".into())) };
        let rootfs = RootFs::Path(bundle.join(root.path()));
        pass_listen_fds(&mut spec);
        Ok(Self { id, bundle, spec, flags, rootfs })
    }

    fn terminal(&self) -> bool {
        self.spec.process().as_ref().and_then(|process| process.terminal()).unwrap_or(false)
    }

    fn check_console(&self, detach: bool) -> Result<()> {
        let socket = self.flags.value("console-socket").is_some();
        if self.terminal() && detach && !socket {
            return Err(Error::Config(
                "cannot allocate tty if runc will detach without setting console socket".into(),
            ));
        }
        if socket && !(self.terminal() && detach) {
            return Err(Error::Config(
                "cannot use console socket if runc will not detach or allocate tty".into(),
            ));
        }
        Ok(())
    }

    fn stdio(&self) -> Stdio {
        if !self.terminal() {
            return Stdio::Inherit;
        }
        let size = self.spec.process().as_ref().and_then(|process| process.console_size());
        let cells = |n: u64| u16::try_from(n).unwrap_or(u16::MAX);
        Stdio::Terminal { size: size.map(|size| (cells(size.height()), cells(size.width()))) }
    }

    fn create(&self, fifo: Option<OwnedFd>) -> Result<Created> {
        let mut args = CreateArgs::new(&self.id, &self.bundle, &self.spec, &self.rootfs, self.stdio());
        args.start_fifo = fifo;
        args.preserve_fds = self.flags.number("preserve-fds")?.unwrap_or(0) + listen_fds();
        args.no_new_keyring = self.flags.is_set("no-new-keyring");
        create_container(args)
    }

    fn state(&self, created: &Created) -> State {
        let RootFs::Path(rootfs) = &self.rootfs else { unreachable!("bundles have a directory") };
        State {
            version: 1,
            id: self.id.clone(),
            bundle: self.bundle.clone(),
            rootfs: rootfs.clone(),
            created: jiff::Timestamp::now().to_string(),
            pid: created.pid(),
            start_time: start_time(created.pid()).unwrap_or(0),
            cgroup: created.cgroup().map(|cgroup| cgroup.path().to_owned()).unwrap_or_default(),
            config: self.spec.clone(),
        }
    }

    fn write_pid_file(&self, pid: i32) -> Result<()> {
        self.flags.value("pid-file").map_or(Ok(()), |path| write_pid_file(Path::new(path), pid))
    }

    /// Hands the terminal's master to whoever listens on the console socket.
    fn send_console(&self, created: &Created) -> Result<()> {
        match (self.flags.value("console-socket"), created.terminal()) {
            (Some(path), Some(master)) => send_fd(Path::new(path), master),
            _ => Ok(()),
        }
    }

    fn send_pidfd(&self, created: &Created) -> Result<()> {
        self.flags.value("pidfd-socket").map_or(Ok(()), |path| send_fd(Path::new(path), created.pidfd()))
    }
}

/// Sends a descriptor to a listening unix socket.
pub(super) fn send_fd(path: &Path, fd: std::os::fd::BorrowedFd<'_>) -> Result<()> {
    let name = std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd)));
    let name = name.map(|name| name.display().to_string()).unwrap_or_else(|_| "fd".to_owned());
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .setup(|| "socket".into())?;
    let address = SocketAddrUnix::new(path).setup(|| format!("socket path {}", path.display()))?;
    rustix::net::connect(&socket, &address).setup(|| format!("dial unix {}: connect", path.display()))?;
    wharf_sys::socket::send_fds(&socket, name.as_bytes(), &[fd]).map(drop).setup(|| "send descriptor".into())
}

/// Writes a process id so that readers see all of it or nothing.
pub(super) fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}"));
    std::fs::write(&temporary, pid.to_string()).setup(|| format!("write {}", temporary.display()))?;
    std::fs::rename(&temporary, path).setup(|| format!("write {}", path.display()))
}

/// Sockets passed by a service manager (sd_listen_fds(3)).
fn listen_fds() -> u32 {
    std::env::var("LISTEN_FDS").ok().and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn pass_listen_fds(spec: &mut Spec) {
    let count = listen_fds();
    if count == 0 {
        return;
    }
    if let Some(env) = spec.process_mut().as_mut().map(|process| process.env_mut().get_or_insert_default()) {
        env.push(format!("LISTEN_FDS={count}"));
        env.push("LISTEN_PID=1".to_owned());
    }
}

fn failed(error: Error, verb: &str) -> Failure {
    Failure { message: error.runc_message(verb), code: 1 }
}

pub(super) fn create(context: &super::Context, args: Vec<String>) -> Result<ExitCode, Failure> {
    super::protect()?;
    make(context, args).map(|()| ExitCode::SUCCESS).map_err(|error| failed(error, "create"))
}

fn make(context: &super::Context, args: Vec<String>) -> Result<()> {
    let request = Request::read(args)?;
    request.check_console(true)?;
    let new = NewContainer::reserve(&context.root, &request.id)?;
    let mut created = request.create(Some(new.start_fifo()?))?;
    created.prepare()?;
    request.send_console(&created)?;
    request.send_pidfd(&created)?;
    new.save(request.state(&created))?;
    request.write_pid_file(created.pid())?;
    created.detach().map(drop)
}

pub(super) fn run(context: &super::Context, args: Vec<String>) -> Result<ExitCode, Failure> {
    super::protect()?;
    let request = Request::read(args).map_err(|error| failed(error, "run"))?;
    let detach = request.flags.is_set("detach");
    let (process, container) = start(context, &request, detach).map_err(|error| failed(error, "run"))?;
    if detach {
        return Ok(ExitCode::SUCCESS);
    }
    drop(container);
    let code = foreground::supervise(&process);
    if !request.flags.is_set("keep") {
        super::delete::delete(context, &request.id, true)?;
    }
    Ok(ExitCode::from(code? as u8))
}

fn start(
    context: &super::Context,
    request: &Request,
    detach: bool,
) -> Result<(Process, crate::state::Container)> {
    request.check_console(detach)?;
    let new = NewContainer::reserve(&context.root, &request.id)?;
    let mut created = request.create(None)?;
    created.prepare()?;
    request.send_console(&created)?;
    request.send_pidfd(&created)?;
    let container = new.save(request.state(&created))?;
    request.write_pid_file(created.pid())?;
    match created.start() {
        Ok(process) => Ok((process, container)),
        Err(error) => {
            container.remove()?;
            Err(error)
        }
    }
}

/// The exit code of a finished process.
pub(super) fn wait(process: &Process) -> Result<i32> {
    crate::container::wait(process.pidfd.as_fd())
}
