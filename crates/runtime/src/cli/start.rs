//! `start`.

use std::process::ExitCode;

use super::flags::Flags;
use super::{Context, Failure};
use crate::error::Error;
use crate::hooks::{self, Point};
use crate::state::{Container, Status};

pub(super) fn run(context: &Context, args: Vec<String>) -> Result<ExitCode, Failure> {
    let id = Flags::parse(&[], args)?.id()?;
    let container = Container::open(&context.root, &id)?;
    match container.status() {
        Status::Created => container.release()?,
        Status::Stopped => {
            return Err(Error::State("cannot start a container that has stopped".into()).into());
        }
        Status::Running | Status::Paused => {
            return Err(Error::State("cannot start an already running container".into()).into());
        }
    }
    hooks::run(&container.state.config, Point::Poststart, &container.document(Status::Running))?;
    Ok(ExitCode::SUCCESS)
}
