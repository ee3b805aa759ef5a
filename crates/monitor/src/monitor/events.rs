//! What has happened, kept for a daemon that was not there.

use std::collections::VecDeque;

use crate::protocol::{Event, Sequenced};

/// Events kept. A daemon that was away for longer asks for the status.
const KEPT: usize = 128;

#[derive(Debug, Default)]
pub(super) struct EventLog {
    last: u64,
    kept: VecDeque<Sequenced>,
}

impl EventLog {
    /// Numbers an event that happens now, and keeps it.
    pub(super) fn add(&mut self, event: Event) -> Sequenced {
        self.last += 1;
        let event = Sequenced { seq: self.last, at: jiff::Timestamp::now().to_string(), event };
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(event.clone());
        event
    }

    /// The events kept with a number greater than `after`.
    pub(super) fn after(&self, after: u64) -> impl Iterator<Item = &Sequenced> {
        self.kept.iter().filter(move |event| event.seq > after)
    }

    /// Number of the newest event.
    pub(super) fn last(&self) -> u64 {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_numbered_without_a_gap() {
        let mut log = EventLog::default();
        for _ in 0..KEPT + 5 {
            log.add(Event::Oom);
        }
        let numbers: Vec<u64> = log.after(0).map(|e| e.seq).collect();
        assert_eq!(numbers, (6..=KEPT as u64 + 5).collect::<Vec<_>>());
        assert_eq!(log.after(log.last()).count(), 0);
    }
}
