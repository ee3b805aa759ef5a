//! `GET /events`.

use std::time::Duration;

use futures_util::stream;
use jiff::Timestamp;
use tokio::sync::broadcast::error::RecvError;
use wharf_api::Filters;
use wharf_api::event::Event;

use super::Call;
use crate::call::Result;
use crate::failure::Failure;
use crate::reply;

/// The filter keys of events. Those of kinds that do not exist here match nothing.
const KEYS: &[&str] = &[
    "config",
    "container",
    "daemon",
    "event",
    "id",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

/// Events from `since` on, to `until` or without end.
pub(super) async fn follow(call: Call) -> Result {
    let (since, until) = (call.query.timestamp("since")?, call.query.timestamp("until")?);
    if let (Some(since), Some(until)) = (since, until)
        && until < since
    {
        let (since, until) = (call.query.text("since"), call.query.text("until"));
        return Err(Failure::invalid(format!(
            "`since` time ({since}) cannot be after `until` time ({until})"
        )));
    }
    let filters = call.filters()?;
    filters.validate(KEYS)?;
    let (past, live) = call.engine.events.subscribe();
    let after =
        |event: &Event| since.is_some_and(|since| i128::from(event.time_nano) >= since.as_nanosecond());
    let past: Vec<Event> = past.into_iter().filter(after).collect();
    let wanted = move |event: &Event| {
        until.is_none_or(|until| i128::from(event.time_nano) <= until.as_nanosecond())
            && matches(&filters, event)
    };
    // With neither an old `since` nor a future `until` there is nothing to tell.
    let left = until.map(|until| until.duration_since(Timestamp::now()));
    let left = left.map(|left| Duration::try_from(left).unwrap_or_default());
    let end = left.map(|left| tokio::time::Instant::now() + left);
    let events =
        stream::unfold((past.into_iter(), live, wanted), move |(mut past, mut live, wanted)| async move {
            loop {
                let event = match past.next() {
                    Some(event) => event,
                    None => match next(&mut live, end).await {
                        Some(event) => event,
                        None => return None,
                    },
                };
                if wanted(&event) {
                    return Some((event, (past, live, wanted)));
                }
            }
        });
    Ok(reply::json_lines(events))
}

/// The next event; nothing when the time is over or the engine ends. A follower that is too slow misses some.
async fn next(
    live: &mut tokio::sync::broadcast::Receiver<Event>,
    end: Option<tokio::time::Instant>,
) -> Option<Event> {
    loop {
        let received = match end {
            Some(end) => tokio::time::timeout_at(end, live.recv()).await.ok()?,
            None => live.recv().await,
        };
        match received {
            Ok(event) => return Some(event),
            Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "a follower of events is too slow"),
            Err(RecvError::Closed) => return None,
        }
    }
}

/// The event passes all filters.
fn matches(filters: &Filters, event: &Event) -> bool {
    let empty = String::new();
    let name = event.actor.attributes.get("name").unwrap_or(&empty);
    let id = &event.actor.id;
    let object = |key: &str| filters.matches_prefix(key, id) || filters.matches_prefix(key, name);
    action_matches(filters, &event.action)
        && filters.matches_exactly("type", &event.kind)
        && filters.matches_exactly("scope", &event.scope)
        && filters.matches_prefix("id", id)
        && ["container", "daemon", "network", "node", "plugin", "secret", "service", "volume", "config"]
            .into_iter()
            .all(object)
        && image_matches(filters, event)
        && filters.matches_map("label", &event.actor.attributes)
}

/// Actions with a command behind a colon also match by what comes before it.
fn action_matches(filters: &Filters, action: &str) -> bool {
    filters.matches_exactly("event", action)
        || filters.get("event").any(|wanted| {
            matches!(wanted, "health_status" | "exec_create" | "exec_start")
                && action.strip_prefix(wanted).is_some_and(|rest| rest.starts_with(':'))
        })
}

fn image_matches(filters: &Filters, event: &Event) -> bool {
    if !filters.contains("image") {
        return true;
    }
    let name = event.actor.attributes.get(if event.kind == "container" { "image" } else { "name" });
    let without_tag = |name: &str| match name.rsplit_once(':') {
        Some((bare, tag)) if !tag.contains('/') => bare.to_owned(),
        _ => name.to_owned(),
    };
    let is = |text: &str| filters.matches_exactly("image", text);
    is(&event.actor.id) || name.is_some_and(|name| is(name) || is(&without_tag(name)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use wharf_api::event::Actor;

    use super::*;

    fn event(kind: &str, action: &str, id: &str, attributes: &[(&str, &str)]) -> Event {
        let attributes = attributes.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        Event {
            kind: kind.to_owned(),
            action: action.to_owned(),
            actor: Actor { id: id.to_owned(), attributes },
            scope: "local".to_owned(),
            ..Event::default()
        }
    }

    #[test]
    fn filters() {
        let start =
            event("container", "start", "abc", &[("name", "web"), ("image", "reg:5000/img:1"), ("l", "v")]);
        let exec = event("container", "exec_start: ls -l", "abc", &[("name", "web"), ("image", "img")]);
        let check = |filters: &str, event: &Event| matches(&Filters::parse(filters).unwrap(), event);
        for passes in [
            "{}",
            r#"{"event":["start","die"]}"#,
            r#"{"type":["container"]}"#,
            r#"{"container":["ab"]}"#,
            r#"{"container":["we"]}"#,
            r#"{"image":["reg:5000/img"]}"#,
            r#"{"image":["reg:5000/img:1"]}"#,
            r#"{"label":["l=v"]}"#,
        ] {
            assert!(check(passes, &start), "{passes}");
        }
        for fails in [
            r#"{"event":["die"]}"#,
            r#"{"event":["sta"]}"#,
            r#"{"type":["image"]}"#,
            r#"{"container":["db"]}"#,
            r#"{"image":["img"]}"#,
            r#"{"label":["l=w"]}"#,
            r#"{"volume":["v"]}"#,
        ] {
            assert!(!check(fails, &start), "{fails}");
        }
        assert!(check(r#"{"event":["exec_start"]}"#, &exec) && !check(r#"{"event":["exec_create"]}"#, &exec));
    }
}
