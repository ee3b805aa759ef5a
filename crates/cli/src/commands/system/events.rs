//! `system events`.

use wharf_api::event::Event;
use wharf_template::{Struct, Template, Value};

use crate::{
    Cli, Error, Matches, Result,
    command::Command,
    flag::{Flag, INSPECT_FORMAT_HELP},
    print, time,
};

static FLAGS: &[Flag] = &[
    Flag::filter("Filter output based on conditions provided").short('f'),
    Flag::string("format", INSPECT_FORMAT_HELP),
    Flag::string("since", "Show all events created since timestamp"),
    Flag::string("until", "Stream events until this timestamp"),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("events", "[OPTIONS]", "Get real time events from the server")
        .aliases(&["system events", "events"])
        .flags(FLAGS)
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let template = match m.str("format") {
        "" => None,
        "json" => Some("{{json .}}"),
        source => Some(source),
    };
    let bad_format = |error| Error::Status { text: format!("Error parsing format: {error}"), code: 64 };
    let template = template.map(Template::parse).transpose().map_err(bad_format)?;
    if let Some(template) = &template {
        template.render_value(&value(&Event::default())).map_err(bad_format)?;
    }
    let moment = |name: &str| match m.str(name) {
        "" => Ok(String::new()),
        text => time::timestamp(text)
            .map_err(|why| Error::message(format!("invalid value for \"{name}\": {why}"))),
    };
    let (since, until) = (moment("since")?, moment("until")?);
    let client = cli.client()?;
    cli.block_on(async {
        let mut events = client.events::<Event>(&since, &until, &m.filters()).await?;
        while let Some(event) = events.next().await? {
            match &template {
                Some(template) => print::line(&template.render_value(&value(&event)).map_err(bad_format)?),
                None => print::line(&plain(&event)),
            }
        }
        Ok(())
    })
}

fn plain(event: &Event) -> String {
    let at = time::rfc3339_nano_local(if event.time_nano == 0 {
        event.time * 1_000_000_000
    } else {
        event.time_nano
    });
    let attributes: Vec<_> = event.actor.attributes.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let attributes =
        if attributes.is_empty() { String::new() } else { format!(" ({})", attributes.join(", ")) };
    format!("{at} {} {} {}{attributes}", event.kind, event.action, event.actor.id)
}

/// The event as Go's struct, whose fields are not named as in the document.
fn value(event: &Event) -> Value {
    let actor = Struct {
        type_name: Some("events.Actor"),
        fields: vec![
            ("ID".to_owned(), Value::text(&event.actor.id)),
            ("Attributes".to_owned(), Value::text_map(event.actor.attributes.clone())),
        ],
        ..Struct::default()
    };
    Value::Object(std::sync::Arc::new(Message { event: event.clone(), actor: Value::Struct(actor.into()) }))
}

#[derive(Debug)]
struct Message {
    event: Event,
    actor: Value,
}

impl wharf_template::Object for Message {
    fn type_name(&self) -> &str {
        "*events.Message"
    }

    fn call(&self, name: &str, args: &[Value]) -> wharf_template::Call {
        use wharf_template::Call;
        let event = &self.event;
        if !args.is_empty() {
            return Call::WrongArguments(0);
        }
        Call::Value(match name {
            "Status" => Value::text(&event.status),
            "ID" => Value::text(&event.id),
            "From" => Value::text(&event.from),
            "Type" => Value::text(&event.kind),
            "Action" => Value::text(&event.action),
            "Actor" => self.actor.clone(),
            "Scope" => Value::text(&event.scope),
            "Time" => Value::Int(event.time),
            "TimeNano" => Value::Int(event.time_nano),
            _ => return Call::Unknown,
        })
    }

    fn json(&self) -> serde_json::Value {
        serde_json::to_value(&self.event).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use wharf_api::event::Actor;

    #[test]
    fn one_line_an_event() {
        let attributes = [("name", "web"), ("exitCode", "0")];
        let attributes: BTreeMap<_, _> =
            attributes.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let event = Event {
            kind: "container".to_owned(),
            action: "die".to_owned(),
            actor: Actor { id: "9cc2".to_owned(), attributes },
            ..Event::default()
        };
        assert!(plain(&event).ends_with(" container die 9cc2 (exitCode=0, name=web)"));
        let render = |source: &str| match Template::parse(source).and_then(|t| t.render_value(&value(&event)))
        {
            Ok(text) => text,
            Err(error) => error.to_string(),
        };
        assert_eq!(
            render("{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.Actor.ID}}"),
            "container die web 9cc2"
        );
        assert_eq!(
            render("{{.Nope}}"),
            r#"template: :1:2: executing "" at <.Nope>: can't evaluate field Nope in type *events.Message"#
        );
    }
}
