//! The end of a run: recording it, and what follows (restart, removal).

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use wharf_api::{ErrorKind, container::RestartPolicy};

use super::{
    Container, Entry, State,
    live::Live,
    remove::RemoveOptions,
    status::Transition::{Exit, ExitToRestart},
};
use crate::{Engine, Result};

/// Exit code of a run whose monitor vanished without leaving a record.
const LOST: i32 = 255;
/// First delay before a restart; each further one is twice as long.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// Longest delay before a restart.
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// A run of this length makes the delays start over.
const STABLE: Duration = Duration::from_secs(10);

impl Engine {
    /// Records that the run behind `live` has ended and does what follows from it. Does nothing if that is on record.
    pub(super) fn container_exited(self: &Arc<Self>, entry: &Arc<Entry>, live: &Arc<Live>) {
        let guard = entry.lock();
        if entry.live().is_none_or(|current| !Arc::ptr_eq(&current, live)) {
            return;
        }
        // From here on nobody is sent to a monitor that is about to go.
        entry.set_live(None);
        match self.record_exit(entry) {
            Ok(after) => {
                // The monitor goes once it knows that its record was read.
                let _ = live.monitor.release();
                self.remove_monitor_folder(&entry.get().id);
                drop(guard);
                self.follow_up(entry, after);
            }
            Err(error) => tracing::error!(container = %entry.get().id, %error, "recording an exit failed"),
        }
    }

    /// Writes the end of the run to the database and publishes it. The caller holds the container's lock.
    pub(crate) fn record_exit(&self, entry: &Arc<Entry>) -> Result<FollowUp> {
        let container = entry.get();
        let exit = wharf_monitor::read_exit(&self.paths.monitor(&container.id)).unwrap_or_default();
        let finished = Timestamp::now();
        let mut state = State { pid: 0, finished_at: Some(finished), ..container.state.clone() };
        state.exits += 1;
        state.suspend_health();
        match exit {
            Some(exit) => {
                state.exit_code = exit.exit_code;
                state.oom_killed = exit.oom_killed;
                state.finished_at = exit.finished_at.parse().ok().or(Some(finished));
            }
            None => state.exit_code = LOST,
        }
        let after = follow_up(&container, &mut state, self.is_shutting_down());
        let transition = if matches!(after, FollowUp::Restart(_)) { ExitToRestart } else { Exit };
        state.status = state.status.next(transition).unwrap_or(state.status);
        self.disconnect_all(&container);
        let mut attributes = container.event_attributes();
        attributes.insert("exitCode".to_owned(), state.exit_code.to_string());
        if let (Some(begin), Some(end)) = (state.started_at, state.finished_at) {
            attributes.insert("execDuration".to_owned(), end.duration_since(begin).as_secs().to_string());
        }
        self.execs.container_ended(&container.id, state.exit_code);
        self.update_container(entry, |container| {
            container.state = state;
            for endpoint in container.networks.values_mut() {
                endpoint.state = None;
            }
        })?;
        self.events.publish("container", "die", &container.id, attributes);
        Ok(after)
    }

    /// Carries out what follows the end of a run.
    pub(crate) fn follow_up(self: &Arc<Self>, entry: &Arc<Entry>, after: FollowUp) {
        let container = entry.get();
        match after {
            FollowUp::Nothing => {}
            FollowUp::Remove => {
                let options = RemoveOptions { volumes: true, force: false };
                let removed = self.remove_container(&container.id, options);
                // Somebody else may have removed it at the same time.
                if let Err(error) = removed
                    && error.kind() != ErrorKind::NotFound
                {
                    tracing::error!(container = %container.id, %error, "automatic removal failed");
                }
            }
            FollowUp::Restart(delay) => {
                let (engine, entry) = (self.clone(), entry.clone());
                self.runtime.spawn(async move {
                    tokio::time::sleep(delay).await;
                    let _ = tokio::task::spawn_blocking(move || engine.restart_by_policy(&entry)).await;
                });
            }
        }
    }
}

/// What follows the end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FollowUp {
    /// The container stays as it is.
    Nothing,
    /// It is removed, as `--rm` asked.
    Remove,
    /// It is started again after a delay.
    Restart(Duration),
}

/// Decides what follows the end of a run; counts the restart in `state`. An engine that ends leaves restarts to the next.
fn follow_up(container: &Container, state: &mut State, engine_ends: bool) -> FollowUp {
    if container.host_config.auto_remove {
        return FollowUp::Remove;
    }
    if engine_ends || !wants_restart(&container.host_config.restart_policy, state) {
        return FollowUp::Nothing;
    }
    let ran = match (state.started_at, state.finished_at) {
        (Some(begin), Some(end)) => Duration::try_from(end.duration_since(begin)).unwrap_or_default(),
        _ => Duration::ZERO,
    };
    let previous = if ran >= STABLE { Duration::ZERO } else { Duration::from_millis(state.restart_delay_ms) };
    let delay = (previous * 2).clamp(FIRST_DELAY, LONGEST_DELAY);
    state.restart_delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    state.restart_count += 1;
    FollowUp::Restart(delay)
}

/// Whether the policy asks for another run after one that ended with `state`.
pub(crate) fn wants_restart(policy: &RestartPolicy, state: &State) -> bool {
    if state.stopped_by_user {
        return false;
    }
    match policy.name.as_str() {
        "always" | "unless-stopped" => true,
        "on-failure" => {
            let left = policy.maximum_retry_count == 0 || state.restart_count < policy.maximum_retry_count;
            state.exit_code != 0 && left
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(policy: &str, retries: i64) -> Container {
        let mut container = Container::default();
        container.host_config.restart_policy =
            RestartPolicy { name: policy.to_owned(), maximum_retry_count: retries };
        container
    }

    #[test]
    fn on_failure_counts_its_restarts() {
        let container = container("on-failure", 2);
        let mut state = State { exit_code: 3, ..State::default() };
        assert_eq!(follow_up(&container, &mut state, false), FollowUp::Restart(Duration::from_millis(100)));
        assert_eq!(follow_up(&container, &mut state, false), FollowUp::Restart(Duration::from_millis(200)));
        assert_eq!(follow_up(&container, &mut state, false), FollowUp::Nothing);
        assert_eq!(state.restart_count, 2);
    }

    #[test]
    fn success_or_a_users_stop_end_it() {
        let mut state = State::default();
        assert_eq!(follow_up(&container("on-failure", 0), &mut state, false), FollowUp::Nothing);
        state.stopped_by_user = true;
        assert_eq!(follow_up(&container("always", 0), &mut state, false), FollowUp::Nothing);
    }

    #[test]
    fn an_engine_that_ends_starts_nothing_but_removes() {
        let mut container = container("always", 0);
        assert_eq!(follow_up(&container, &mut State::default(), true), FollowUp::Nothing);
        container.host_config.auto_remove = true;
        assert_eq!(follow_up(&container, &mut State::default(), true), FollowUp::Remove);
    }

    #[test]
    fn delays_double_up_to_a_minute_and_start_over_after_a_stable_run() {
        let container = container("always", 0);
        let mut state = State { restart_delay_ms: 50_000, ..State::default() };
        assert_eq!(follow_up(&container, &mut state, false), FollowUp::Restart(LONGEST_DELAY));
        state.started_at = Some(Timestamp::UNIX_EPOCH);
        state.finished_at = Timestamp::from_second(11).ok();
        assert_eq!(follow_up(&container, &mut state, false), FollowUp::Restart(FIRST_DELAY));
    }
}
