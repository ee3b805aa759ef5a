//! The life cycle of a container, drawn once.
//!
//! ```text
//!            Start            Exit                    Remove
//!  Created ────────▶ Running ──────▶ Exited ────────────────▶ Removing ──▶ (gone)
//!     │               │  ▲  │           │ ▲                      ▲  │
//!     │          Pause│  │  │Exit+policy│ │ Stop                 │  └─▶ Dead (removal failed)
//!     │               ▼  │  ▼           │ │                      │
//!     │            Paused┘ Restarting ──┼─┘◀── Start ────────────┤
//!     └─────────────────────────────────┴────────────────────────┘ Remove
//! ```
//! A failed start leaves `Created` (or `Exited`) as it was. `Paused` and `Restarting` count as running for clients.

use serde::{Deserialize, Serialize};

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Made, never started successfully.
    #[default]
    Created,
    /// Its first process runs.
    Running,
    /// Frozen by `pause`.
    Paused,
    /// Ended, and waiting for its restart policy's delay.
    Restarting,
    /// Ended.
    Exited,
    /// Being deleted.
    Removing,
    /// Deletion failed half-way.
    Dead,
}

/// What can happen to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The first process was released.
    Start,
    /// The cgroup was frozen.
    Pause,
    /// The cgroup was thawed.
    Unpause,
    /// The first process ended and stays ended.
    Exit,
    /// The first process ended and the restart policy wants it again.
    ExitToRestart,
    /// Deletion began.
    Remove,
    /// Deletion failed.
    Fail,
}

impl Status {
    /// The status after `transition`, or `None` if it cannot happen now.
    pub fn next(self, transition: Transition) -> Option<Status> {
        use {Status::*, Transition::*};
        Some(match (self, transition) {
            (Created | Exited | Restarting, Start) => Running,
            (Running, Pause) => Paused,
            (Paused, Unpause) => Running,
            (Running | Paused | Restarting, Exit) => Exited,
            (Running | Paused, ExitToRestart) => Restarting,
            (Created | Exited | Dead | Removing, Remove) => Removing,
            (Removing, Fail) => Dead,
            _ => return None,
        })
    }

    /// Whether clients see `State.Running` (a paused or restarting container counts).
    pub fn is_running(self) -> bool {
        matches!(self, Status::Running | Status::Paused | Status::Restarting)
    }

    /// Whether a first process exists now.
    pub fn has_process(self) -> bool {
        matches!(self, Status::Running | Status::Paused)
    }

    /// Docker's word for the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Restarting => "restarting",
            Status::Exited => "exited",
            Status::Removing => "removing",
            Status::Dead => "dead",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRANSITIONS: [Transition; 7] = {
        use Transition::*;
        [Start, Pause, Unpause, Exit, ExitToRestart, Remove, Fail]
    };

    proptest! {
        /// Whatever happens, a container with a process is never removed under it, and a process only begins by a start.
        #[test]
        fn a_process_exists_exactly_between_start_and_exit(steps in prop::collection::vec(0..7usize, 0..40)) {
            let mut status = Status::Created;
            let mut process = false;
            for transition in steps.into_iter().map(|i| TRANSITIONS[i]) {
                let Some(next) = status.next(transition) else { continue };
                match transition {
                    Transition::Start => process = true,
                    Transition::Exit | Transition::ExitToRestart => process = false,
                    _ => {}
                }
                prop_assert_eq!(next.has_process(), process);
                prop_assert!(next != Status::Removing || !process);
                status = next;
            }
        }
    }

    #[test]
    fn a_running_container_cannot_be_started_or_removed() {
        assert_eq!(Status::Running.next(Transition::Start), None);
        assert_eq!(Status::Paused.next(Transition::Remove), None);
        assert_eq!(Status::Created.next(Transition::Pause), None);
    }
}
