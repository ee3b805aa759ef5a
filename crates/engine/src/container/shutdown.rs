//! What becomes of running containers when the engine is told to end.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{
    Entry,
    stop::{AFTER_KILL, SIGKILL},
};
use crate::Engine;

/// A run that was asked to end.
struct Ending {
    entry: Arc<Entry>,
    /// Which of the container's runs it is.
    run: u64,
    /// When it is killed; `None` for never.
    limit: Option<Instant>,
}

impl Engine {
    /// Ends all runs with their own stop signal and timeout, all at once, unless the engine was told to leave
    /// containers alone (`live-restore`). Blocks until they have ended. What a restart policy wants to run is started
    /// by the next engine.
    pub fn stop_containers(&self) {
        if self.live().live_restore {
            return;
        }
        self.shutting_down.store(true, Ordering::SeqCst);
        let mut endings: Vec<_> =
            self.containers.all().iter().filter_map(|entry| self.ask_to_end(entry)).collect();
        endings.retain(|ending| !self.ends_in_time(ending));
        for Ending { entry, .. } in &endings {
            self.signal_for_stop(entry, SIGKILL);
        }
        for Ending { entry, run, .. } in &endings {
            if !self.wait_for_end(entry, *run, Some(AFTER_KILL)) {
                tracing::error!(container = %entry.get().id, "killed, but it did not end");
            }
        }
    }

    /// Whether the engine is ending the containers because it ends itself.
    pub(super) fn is_shutting_down(&self) -> bool {
        self.shutting_down.load(Ordering::SeqCst)
    }

    fn ask_to_end(&self, entry: &Arc<Entry>) -> Option<Ending> {
        // A start under way comes to its end first.
        let _guard = entry.lock();
        let container = entry.get();
        if !container.state.status.is_running() {
            return None;
        }
        let signal = container.stop_signal().unwrap_or(SIGKILL);
        self.signal_for_stop(entry, signal);
        let grace = container.stop_grace(None).map(|grace| Instant::now() + grace);
        Some(Ending { entry: entry.clone(), run: container.state.exits, limit: grace })
    }

    fn ends_in_time(&self, ending: &Ending) -> bool {
        let left = ending.limit.map(|limit| limit.saturating_duration_since(Instant::now()));
        // Also one whose time is over is looked at once more.
        let ended =
            self.wait_for_end(&ending.entry, ending.run, left.map(|left| left.max(Duration::from_millis(1))));
        if ended {
            let container = ending.entry.get();
            self.events.publish("container", "stop", &container.id, container.event_attributes());
        }
        ended
    }
}
