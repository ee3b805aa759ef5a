//! `state`.

use std::process::ExitCode;

use serde::Serialize;

use super::flags::Flags;
use super::{Context, Failure, print_json};
use crate::hooks::HookState;
use crate::state::Container;

/// The state document with what runc adds to it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    #[serde(flatten)]
    state: HookState,
    rootfs: String,
    created: String,
    owner: &'static str,
}

impl Document {
    pub(super) fn of(container: &Container) -> Self {
        Self {
            state: container.document(container.status()),
            rootfs: container.state.rootfs.display().to_string(),
            created: container.state.created.clone(),
            owner: "",
        }
    }

    pub(super) fn row(&self) -> [String; 6] {
        let state = &self.state;
        let text = |value: &str| value.to_owned();
        [
            text(&state.id),
            state.pid.to_string(),
            text(&state.status),
            text(&state.bundle),
            text(&self.created),
            text(self.owner),
        ]
    }
}

pub(super) fn run(context: &Context, args: Vec<String>) -> Result<ExitCode, Failure> {
    let id = Flags::parse(&[], args)?.id()?;
    let container = Container::open(&context.root, &id)?;
    Ok(print_json(&Document::of(&container)))
}
