//! `wharf registry`: a registry of its own, and its collection of garbage. In the embedded image, `registry`.

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::{EnvFilter, fmt::time::SystemTime};
use wharf_registry::server::{Config, collect_garbage, serve};

/// Storage work at once: more would only wait for the disk, and each thread costs memory.
const MOST_BLOCKING: usize = 64;
/// How long an idle thread is kept.
const KEEP_THREAD: Duration = Duration::from_secs(2);

/// A registry of images and artifacts (OCI distribution).
#[derive(Debug, Parser)]
#[command(name = "wharf registry", version, about)]
struct Flags {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve a registry
    ///
    /// The configuration file and the environment (REGISTRY_HTTP_ADDR, ...) are those of the reference registry; flags
    /// are laid over them.
    Serve(ServeFlags),
    /// Remove what nothing refers to; a server may be running
    #[command(visible_alias = "gc")]
    GarbageCollect(CollectFlags),
}

#[derive(Debug, Args)]
struct Common {
    /// Configuration file in the reference registry's format
    config: Option<PathBuf>,
    /// Folder of the storage [default: /var/lib/registry]
    #[arg(long)]
    root: Option<String>,
}

#[derive(Debug, Args)]
struct ServeFlags {
    #[command(flatten)]
    common: Common,
    /// Where to listen, [ADDRESS]:PORT [default: :5000]
    #[arg(long)]
    addr: Option<String>,
    /// Allow deleting manifests, tags and blobs
    #[arg(long)]
    delete: bool,
    /// Refuse everything that writes
    #[arg(long)]
    read_only: bool,
    /// File of names and bcrypt hashes (htpasswd -B) of who is let in
    #[arg(long)]
    htpasswd: Option<String>,
    /// Certificate chain, PEM
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<String>,
    /// Key of the certificate, PEM
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<String>,
    /// Cache the registry at URL under the names that start with NAME/; may repeat. Without NAME, under all names
    #[arg(long = "proxy", value_name = "[NAME=]URL")]
    proxies: Vec<String>,
    /// Pause between two collections of garbage, such as 24h [default: none]
    #[arg(long)]
    gc_interval: Option<String>,
    /// Where to serve only metrics and health, without authentication
    #[arg(long)]
    metrics_addr: Option<String>,
    /// trace, debug, info, warn or error [default: info]
    #[arg(long)]
    log_level: Option<String>,
}

#[derive(Debug, Args)]
struct CollectFlags {
    #[command(flatten)]
    common: Common,
    /// Also remove manifests that no tag leads to
    #[arg(short = 'm', long)]
    delete_untagged: bool,
    /// Leave younger blobs alone: their manifest may be on its way [default: 1h]
    #[arg(long)]
    grace: Option<String>,
}

/// Runs a subcommand to its end.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    let mut words = vec![OsString::from("wharf registry")];
    // compat: the reference image is started with the file alone.
    let extension = args.first().map(Path::new).and_then(Path::extension);
    if extension.is_some_and(|extension| extension == "yml" || extension == "yaml") {
        words.push("serve".into());
    }
    words.extend(args.iter().cloned());
    let flags = match Flags::try_parse_from(words) {
        Ok(flags) => flags,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1));
        }
    };
    let outcome = match flags.verb {
        Verb::Serve(flags) => run(flags),
        Verb::GarbageCollect(flags) => collect(flags),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "wharf registry: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Common {
    fn load(&self, mut laid_over: Vec<(String, Value)>) -> Result<Config> {
        if let Some(root) = &self.root {
            laid_over.push(text("storage.filesystem.rootdirectory", root));
        }
        // A variable that is no text cannot be one of ours.
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Config::load(self.config.as_deref(), environment, &laid_over).context("the configuration")
    }
}

impl ServeFlags {
    fn load(&self) -> Result<Config> {
        let mut over = Vec::new();
        for (key, value) in [
            ("http.addr", &self.addr),
            ("auth.htpasswd.path", &self.htpasswd),
            ("http.tls.certificate", &self.tls_cert),
            ("http.tls.key", &self.tls_key),
            ("collect.interval", &self.gc_interval),
            ("http.debug.addr", &self.metrics_addr),
            ("log.level", &self.log_level),
        ] {
            over.extend(value.as_deref().map(|value| text(key, value)));
        }
        if self.delete {
            over.push(("storage.delete.enabled".to_owned(), true.into()));
        }
        if self.read_only {
            over.push(("storage.maintenance.readonly.enabled".to_owned(), true.into()));
        }
        let mut named = Vec::new();
        for proxy in &self.proxies {
            match proxy.split_once('=') {
                Some((name, url)) if !name.contains(':') => {
                    named.push(serde_json::json!({"name": name, "remoteurl": url}));
                }
                _ => over.push(text("proxy.remoteurl", proxy)),
            }
        }
        if !named.is_empty() {
            over.push(("proxy.upstreams".to_owned(), Value::Array(named)));
        }
        self.common.load(over)
    }
}

fn text(key: &str, value: &str) -> (String, Value) {
    (key.to_owned(), value.into())
}

fn run(flags: ServeFlags) -> Result<()> {
    let config = flags.load()?;
    log_to_stderr(&config.log_level)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(MOST_BLOCKING)
        .thread_keep_alive(KEEP_THREAD)
        .enable_all()
        .build()?;
    let served = runtime.block_on(async {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let ready = |address| tracing::info!(%address, "the registry is ready");
        anyhow::Ok(serve(config, ready, shutdown).await?)
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

fn collect(flags: CollectFlags) -> Result<()> {
    let mut over = Vec::new();
    if flags.delete_untagged {
        over.push(("collect.untagged".to_owned(), true.into()));
    }
    over.extend(flags.grace.as_deref().map(|grace| text("collect.grace", grace)));
    let config = flags.common.load(over)?;
    log_to_stderr(&config.log_level)?;
    let collected = collect_garbage(&config)?;
    writeln!(
        io::stdout(),
        "removed {} blobs ({} bytes), {} tags, {} manifests, {} uploads",
        collected.blobs,
        collected.bytes,
        collected.tags,
        collected.manifests,
        collected.uploads
    )?;
    Ok(())
}

fn log_to_stderr(level: &str) -> Result<()> {
    let filter = EnvFilter::try_new(level).context("invalid logging level")?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(SystemTime)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
    Ok(())
}
