//! The command line of the runtime, in runc's form, so that other engines can use it.

mod create;
mod delete;
mod exec;
mod features;
mod flags;
mod foreground;
mod kill;
mod list;
mod pause;
mod ps;
mod spec;
mod start;
mod state;
mod update;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use self::flags::{Flag, Flags};
use crate::error::{Error, Result};

/// Where state is kept when `--root` is not given.
const DEFAULT_ROOT: &str = "/run/wharf/runtime";

const GLOBAL: &[Flag] = &[
    ("root", None, true),
    ("log", None, true),
    ("log-format", None, true),
    ("debug", None, false),
    ("systemd-cgroup", None, false),
    ("rootless", None, true),
    ("criu", None, true),
    ("version", Some('v'), false),
    ("help", Some('h'), false),
];

const USAGE: &str = "\
Usage: runtime [GLOBAL OPTIONS] COMMAND [OPTIONS] CONTAINER

Commands:
  create    make a container from a bundle
  delete    remove a stopped container
  exec      run a further process in a container
  features  show what this runtime can do
  kill      send a signal to a container
  list      list containers
  pause     suspend all processes of a container
  ps        list the processes of a container
  resume    let suspended processes go on
  run       create and start a container
  spec      write a specification to start from
  start     run the program of a created container
  state     show the state of a container
  update    change resource limits of a container

Global options:
  --root DIR           where state is kept (default /run/wharf/runtime)
  --log FILE           write errors to FILE too
  --log-format FORMAT  text or json (default text)
  --debug              accepted for compatibility
  --version            show the version
";

/// What every command gets.
struct Context {
    root: PathBuf,
}

/// Runs the command line `args` (without the program's name). Must be called before any thread exists; may replace the
/// process by a protected copy of itself, which then gets the same command line.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let args: Vec<String> = args.into_iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let mut global = match Flags::parse(GLOBAL, args) {
        Ok(global) => global,
        Err(error) => return report(None, &error.to_string(), 1),
    };
    if global.is_set("version") {
        return print(&format!(
            "wharf runtime version {}\nspec: {}\n",
            env!("CARGO_PKG_VERSION"),
            crate::OCI_VERSION
        ));
    }
    let Some(command) = global.operands.pop_front().filter(|_| !global.is_set("help")) else {
        return print(USAGE);
    };
    let args = global.operands.drain(..).collect();
    let context = Context { root: PathBuf::from(global.value("root").unwrap_or(DEFAULT_ROOT)) };
    match run(&context, &command, args) {
        Ok(code) => code,
        Err(failure) => {
            let log =
                global.value("log").map(|path| (Path::new(path), global.value("log-format") == Some("json")));
            report(log, &failure.message, failure.code)
        }
    }
}

/// Why a command failed, and the exit code for it.
struct Failure {
    message: String,
    code: u8,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { message: error.to_string(), code: 1 }
    }
}

fn run(context: &Context, command: &str, args: Vec<String>) -> Result<ExitCode, Failure> {
    match command {
        "create" => create::create(context, args),
        "run" => create::run(context, args),
        "start" => start::run(context, args),
        "state" => state::run(context, args),
        "kill" => kill::run(context, args),
        "delete" => delete::run(context, args),
        "exec" => exec::run(context, args),
        "ps" => ps::run(context, args),
        "list" => list::run(context, args),
        "pause" => pause::pause(context, args),
        "resume" => pause::resume(context, args),
        "update" => update::run(context, args),
        "spec" => spec::run(args),
        "features" => features::run(),
        "help" => Ok(print(USAGE)),
        _ => Err(Failure { message: format!("No help topic for '{command}'"), code: 3 }),
    }
}

/// Writes to standard output; a closed pipe is not worth a message.
fn print(text: &str) -> ExitCode {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Writes a document as an indented text with a final newline.
fn print_json(value: &impl serde::Serialize) -> ExitCode {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    print(&format!("{text}\n"))
}

/// Tells about a failure on standard error, and in the log file, where engines look for it.
fn report(log: Option<(&Path, bool)>, message: &str, code: u8) -> ExitCode {
    if let Some((path, json)) = log {
        let time = jiff::Timestamp::now().to_string();
        let line = if json {
            serde_json::json!({"level": "error", "msg": message, "time": time}).to_string()
        } else {
            format!("time={time:?} level=error msg={message:?}")
        };
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        let _ = file.and_then(|mut file| writeln!(file, "{line}"));
    }
    let _ = writeln!(std::io::stderr().lock(), "{message}");
    ExitCode::from(code)
}

/// Replaces this process by one whose binary no container can write.
fn protect() -> Result<(), Failure> {
    wharf_sys::self_exe::ensure_protected().map_err(|error| Failure {
        message: format!("cannot protect the runtime's own binary: {error}"),
        code: 1,
    })
}
