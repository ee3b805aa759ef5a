//! The event bus: what happened to containers, images, networks and volumes, for `GET /events`.
//!
//! The last [`KEPT`] events are kept in memory for `since`, as Docker keeps 256.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use tokio::sync::broadcast;
use wharf_api::event::{Actor, Event};

/// How many past events a late subscriber can still see.
const KEPT: usize = 256;

/// Publishes events to any number of subscribers; a slow subscriber loses the oldest, never blocks a verb.
#[derive(Debug)]
pub struct Events {
    past: Mutex<VecDeque<Event>>,
    live: broadcast::Sender<Event>,
}

impl Default for Events {
    fn default() -> Self {
        Events { past: Mutex::new(VecDeque::new()), live: broadcast::channel(KEPT).0 }
    }
}

impl Events {
    /// Publishes that `action` happened to the object `id` of `kind` (`container`, `image`, …).
    pub fn publish(&self, kind: &str, action: &str, id: &str, attributes: BTreeMap<String, String>) {
        let now = Timestamp::now();
        let mut event = Event {
            kind: kind.to_owned(),
            action: action.to_owned(),
            actor: Actor { id: id.to_owned(), attributes: attributes.into_iter().collect() },
            scope: "local".to_owned(),
            time: now.as_second(),
            time_nano: i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX),
            ..Event::default()
        };
        if kind == "container" || kind == "image" {
            // compat: the flat fields of API 1.21 are still sent for these two types.
            event.status = action.to_owned();
            event.id = id.to_owned();
            if kind == "container" {
                event.from = event.actor.attributes.get("image").cloned().unwrap_or_default();
            }
        }
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        if past.len() == KEPT {
            past.pop_front();
        }
        past.push_back(event.clone());
        // Sent under the lock so that `subscribe` sees every event exactly once. Nobody listening is fine.
        let _ = self.live.send(event);
    }

    /// The kept events from the past and a receiver of all that follow, with neither gap nor repetition.
    pub fn subscribe(&self) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        (past.iter().cloned().collect(), self.live.subscribe())
    }
}
