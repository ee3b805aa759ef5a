//! `exec`.

use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;

use oci_spec::runtime::{Capability, LinuxCapabilities, Process as ProcessSpec, Spec};

use super::create::{send_fd, write_pid_file};
use super::flags::{Flag, Flags};
use super::{Context, Failure, foreground};
use crate::container::Stdio;
use crate::error::{Context as _, Error, Result};
use crate::exec::{ExecArgs, exec};
use crate::state::{Container, Status};

const FLAGS: &[Flag] = &[
    ("console-socket", None, true),
    ("pidfd-socket", None, true),
    ("cwd", None, true),
    ("env", Some('e'), true),
    ("tty", Some('t'), false),
    ("user", Some('u'), true),
    ("additional-gids", Some('g'), true),
    ("process", Some('p'), true),
    ("detach", Some('d'), false),
    ("pid-file", None, true),
    ("process-label", None, true),
    ("apparmor", None, true),
    ("no-new-privs", None, false),
    ("cap", Some('c'), true),
    ("preserve-fds", None, true),
    ("ignore-paused", None, false),
];

pub(super) fn run(context: &Context, args: Vec<String>) -> Result<ExitCode, Failure> {
    super::protect()?;
    let failed = |error: Error| Failure { message: error.runc_message("exec"), code: 255 };
    let mut flags = Flags::parse(FLAGS, args)?;
    let id = flags.id()?;
    let process = start(context, &id, &mut flags).map_err(failed)?;
    match process {
        Some(process) => Ok(ExitCode::from(foreground::supervise(&process)? as u8)),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Starts the process; returns it when it is to be waited for.
fn start(context: &Context, id: &str, flags: &mut Flags) -> Result<Option<crate::Process>> {
    let container = Container::open(&context.root, id)?;
    match container.status() {
        Status::Stopped => return Err(Error::Config("cannot exec in a stopped container".into())),
        Status::Paused if !flags.is_set("ignore-paused") => {
            return Err(Error::Config(
                "cannot exec in a paused container (use --ignore-paused to override)".into(),
            ));
        }
        _ => {}
    }
    let spec = process_spec(&container.state.config, flags)?;
    let detach = flags.is_set("detach");
    let terminal = spec.terminal().unwrap_or(false);
    let console = flags.value("console-socket");
    if console.is_some() && !(terminal && detach) {
        return Err(Error::Config(
            "cannot use console socket if runc will not detach or allocate tty".into(),
        ));
    }
    if terminal && detach && console.is_none() {
        return Err(Error::Config(
            "cannot allocate tty if runc will detach without setting console socket".into(),
        ));
    }
    let (pidfd, cgroup) = (container.pidfd()?, container.cgroup()?);
    let process = exec(ExecArgs {
        id,
        spec: &container.state.config,
        init: pidfd.as_fd(),
        cgroup: Some(&cgroup),
        process: &spec,
        stdio: if terminal { Stdio::Terminal { size: None } } else { Stdio::Inherit },
        preserve_fds: flags.number("preserve-fds")?.unwrap_or(0),
    })?;
    if let (Some(path), Some(master)) = (console, &process.terminal) {
        send_fd(Path::new(path), master.as_fd())?;
    }
    if let Some(path) = flags.value("pidfd-socket") {
        send_fd(Path::new(path), process.pidfd.as_fd())?;
    }
    if let Some(path) = flags.value("pid-file") {
        write_pid_file(Path::new(path), process.pid)?;
    }
    Ok((!detach).then_some(process))
}

/// The process of `--process`, or the container's own with the command line's changes.
fn process_spec(config: &Spec, flags: &mut Flags) -> Result<ProcessSpec> {
    if let Some(path) = flags.value("process") {
        let text = std::fs::read(path).setup(|| format!("open {path}"))?;
        return serde_json::from_slice(&text).map_err(|error| Error::Config(error.to_string()));
    }
    let mut process = config.process().clone().unwrap_or_default();
    process.set_args(Some(flags.operands.drain(..).collect()));
    process.set_terminal(Some(flags.is_set("tty")));
    if let Some(cwd) = flags.value("cwd") {
        process.set_cwd(cwd.into());
    }
    let env = process.env_mut().get_or_insert_default();
    env.extend(flags.values("env").map(str::to_owned));
    if let Some(user) = flags.value("user") {
        let (uid, gid) = user.split_once(':').unwrap_or((user, ""));
        let parse = |what: &str, text: &str| {
            text.parse::<u32>().map_err(|_| Error::Config(format!("parsing {text} as int for {what} failed")))
        };
        process.user_mut().set_uid(parse("uid", uid)?);
        if !gid.is_empty() {
            process.user_mut().set_gid(parse("gid", gid)?);
        }
    }
    let groups: Result<Vec<u32>> = flags
        .values("additional-gids")
        .map(|text| text.parse().map_err(|_| Error::Config(format!("parsing {text} as int for gid failed"))))
        .collect();
    process.user_mut().additional_gids_mut().get_or_insert_default().extend(groups?);
    if flags.value("no-new-privs").is_some() {
        process.set_no_new_privileges(Some(flags.is_set("no-new-privs")));
    }
    if let Some(label) = flags.value("process-label") {
        process.set_selinux_label(Some(label.to_owned()));
    }
    if let Some(profile) = flags.value("apparmor") {
        process.set_apparmor_profile(Some(profile.to_owned()));
    }
    let capabilities = add_capabilities(process.capabilities().clone(), flags)?;
    process.set_capabilities(capabilities);
    Ok(process)
}

fn add_capabilities(known: Option<LinuxCapabilities>, flags: &Flags) -> Result<Option<LinuxCapabilities>> {
    let mut added = Vec::new();
    for text in flags.values("cap") {
        let name = text.to_uppercase();
        let parsed: Result<Capability, _> = name.strip_prefix("CAP_").unwrap_or(&name).parse();
        added.push(parsed.map_err(|_| Error::Config(format!("unknown capability {text:?}")))?);
    }
    if added.is_empty() {
        return Ok(known);
    }
    let mut sets = known.unwrap_or_default();
    let with = |set: &Option<oci_spec::runtime::Capabilities>| {
        Some(set.iter().flatten().copied().chain(added.iter().copied()).collect())
    };
    let (bounding, effective, permitted) =
        (with(sets.bounding()), with(sets.effective()), with(sets.permitted()));
    sets.set_bounding(bounding).set_effective(effective).set_permitted(permitted);
    Ok(Some(sets))
}
