//! `wharf daemon`: settings, launcher, engine and API server put together.

mod file;
mod idle;
mod settings;

use std::{
    ffi::OsString,
    fs,
    io::{self, IsTerminal, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::{EnvFilter, fmt::time::SystemTime};
use wharf_engine::Engine;
use wharf_monitor::Launcher;
use wharf_server::Host;

use self::settings::{Parsed, Settings};

/// An idle engine needs few threads, and each costs memory.
const WORKERS: usize = 2;
/// Heaps that threads share: verbs wait for the kernel, not for memory.
const ARENAS: u16 = 2;
/// Verbs are blocking: this many can run at once.
const MOST_BLOCKING: usize = 256;
/// How long an idle thread is kept for the next verb.
const KEEP_THREAD: Duration = Duration::from_secs(2);

/// Runs the daemon until it is told to end.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    let outcome = Settings::parse(args).and_then(|parsed| match parsed {
        Parsed::Run(settings) => run(*settings, args),
        Parsed::Print(text) => Ok(io::stdout().write_all(text.as_bytes())?),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The form of dockerd's log, which scripts look for.
            let message = format!("{error:#}").replace('"', "\\\"");
            let _ = writeln!(io::stderr(), "level=fatal msg=\"{message}\"");
            ExitCode::FAILURE
        }
    }
}

/// Changes what is logged.
type SetLevel = Box<dyn Fn(&str) -> Result<()> + Send>;

fn run(settings: Settings, args: &[OsString]) -> Result<()> {
    let filter = EnvFilter::try_new(&settings.log_level).context("invalid logging level")?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(SystemTime)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .with_filter_reloading();
    let handle = log.reload_handle();
    log.init();
    let set_level: SetLevel = Box::new(move |level| {
        let filter = EnvFilter::try_new(level).context("invalid logging level")?;
        Ok(handle.reload(filter)?)
    });
    let pid_file = PidFile::create(&settings.pid_file)?;
    fs::create_dir_all(&settings.engine.exec_root)
        .with_context(|| format!("creating {}", settings.engine.exec_root.display()))?;
    // Before any thread exists: the launcher forks.
    let launcher = Launcher::spawn().context("starting the launcher of containers")?;
    wharf_sys::memory::limit_arenas(ARENAS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(MOST_BLOCKING)
        .thread_keep_alive(KEEP_THREAD)
        .enable_all()
        .build()?;
    let ended = runtime.block_on(serve(settings, launcher, args.to_vec(), set_level));
    // What is being answered has had its time.
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(pid_file);
    match ended? {
        End::Stop => Ok(()),
        End::Replace => Err(replace(args)),
    }
}

/// Why the daemon ends.
#[derive(Clone, Copy)]
enum End {
    /// It was told to (`SIGTERM`, `SIGINT`).
    Stop,
    /// The binary on disk is to take its place (`SIGUSR2`): an upgrade, of which containers notice nothing.
    Replace,
}

/// Becomes the binary that now lies where this one was started from. Only returns if that fails.
fn replace(args: &[OsString]) -> anyhow::Error {
    let path = std::env::current_exe().unwrap_or_default();
    // What replaced a running binary has its name; the kernel marks the old one.
    let path = path.to_string_lossy().trim_end_matches(" (deleted)").to_owned();
    let error = Command::new(&path).arg0("wharf").arg("daemon").args(args).exec();
    anyhow::Error::new(error).context(format!("starting {path}"))
}

async fn serve(
    settings: Settings,
    launcher: Launcher,
    args: Vec<OsString>,
    set_level: SetLevel,
) -> Result<End> {
    let mut listeners = Vec::new();
    for host in &settings.hosts {
        let host: Host = host.parse()?;
        listeners.extend(host.listen()?);
    }
    let config = settings.engine;
    let engine = tokio::task::spawn_blocking(move || Engine::open(config, launcher)).await??;
    let hangups = signal(SignalKind::hangup())?;
    tokio::spawn(reload_on(hangups, engine.clone(), args, set_level));
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut upgrade = signal(SignalKind::user_defined2())?;
    let mut end = End::Stop;
    let shutdown = async {
        end = tokio::select! {
            _ = terminate.recv() => End::Stop,
            _ = interrupt.recv() => End::Stop,
            _ = upgrade.recv() => End::Replace,
        };
    };
    tokio::spawn(idle::release_at_rest());
    tracing::info!(hosts = ?settings.hosts, "the engine is ready");
    wharf_server::serve(engine.clone(), listeners, shutdown).await?;
    if let End::Stop = end {
        tokio::task::spawn_blocking(move || engine.stop_containers()).await?;
    }
    Ok(end)
}

/// Reads the configuration again at each SIGHUP. One with a mistake changes nothing.
async fn reload_on(mut hangups: Signal, engine: Arc<Engine>, args: Vec<OsString>, set_level: SetLevel) {
    while hangups.recv().await.is_some() {
        let reloaded = Settings::parse(&args).and_then(|parsed| match parsed {
            Parsed::Run(settings) => set_level(&settings.log_level).map(|()| engine.reload(settings.engine)),
            Parsed::Print(_) => Ok(()),
        });
        match reloaded {
            Ok(()) => tracing::info!("the configuration was read again"),
            Err(error) => tracing::error!("the configuration stays as it was: {error:#}"),
        }
    }
}

/// The file that names the running daemon; removed when dropped.
struct PidFile(PathBuf);

impl PidFile {
    fn create(path: &Path) -> Result<PidFile> {
        if let Ok(text) = fs::read_to_string(path)
            && let Ok(pid) = text.trim().parse::<u32>()
            && pid != std::process::id()
            && is_daemon(pid)
        {
            bail!(
                "failed to start daemon, ensure docker is not running or delete {}: process with PID {pid} is still running",
                path.display()
            );
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        }
        fs::write(path, std::process::id().to_string())
            .with_context(|| format!("writing {}", path.display()))?;
        Ok(PidFile(path.to_owned()))
    }
}

/// Whether `pid` runs this program: a pid of a daemon that died may belong to anybody by now.
fn is_daemon(pid: u32) -> bool {
    let name = |pid: &str| fs::read_link(format!("/proc/{pid}/exe")).ok()?.file_name().map(ToOwned::to_owned);
    name(&pid.to_string()).is_some_and(|other| Some(other) == name("self"))
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
