//! `pause` and `resume`.

use std::process::ExitCode;

use super::flags::Flags;
use super::{Context, Failure};
use crate::error::Error;
use crate::state::{Container, Status};

pub(super) fn pause(context: &Context, args: Vec<String>) -> Result<ExitCode, Failure> {
    let container = Container::open(&context.root, &Flags::parse(&[], args)?.id()?)?;
    match container.status() {
        Status::Running | Status::Created => container.cgroup()?.freeze()?,
        _ => return Err(Error::State("container not running".into()).into()),
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn resume(context: &Context, args: Vec<String>) -> Result<ExitCode, Failure> {
    let container = Container::open(&context.root, &Flags::parse(&[], args)?.id()?)?;
    let cgroup = container.cgroup()?;
    if !cgroup.is_frozen() {
        return Err(Error::State("container not paused".into()).into());
    }
    cgroup.thaw()?;
    Ok(ExitCode::SUCCESS)
}
