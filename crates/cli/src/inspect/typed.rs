//! Documents with the types that Go gives them: templates tell structs from maps, and a nil list from a nil map.

use std::sync::Arc;

use serde_json::Value as Json;
use wharf_template::{Map, Nil, Struct, Value};

/// What an object is in Go.
enum Shape {
    Struct,
    /// A map, whose missing elements read as this.
    Map(Value),
}

/// Fields that are maps, wherever they stand.
fn shape(key: &str) -> Shape {
    match key {
        "Annotations" | "AuxiliaryAddresses" | "Data" | "DriverOpts" | "Labels" | "Options"
        | "StorageOpt" | "Sysctls" | "Tmpfs" => Shape::Map(Value::text("")),
        "ExposedPorts" | "Volumes" => Shape::Map(Value::Struct(Arc::default())),
        "PortBindings" | "Ports" => Shape::Map(Value::Nil(Nil::List)),
        "Containers" | "Networks" | "EndpointsConfig" => Shape::Map(Value::Nil(Nil::Pointer)),
        _ => Shape::Struct,
    }
}

/// Fields that are pointers, and so may be nil.
const POINTERS: &[&str] = &[
    "Health",
    "Healthcheck",
    "IPAMConfig",
    "Init",
    "MemorySwappiness",
    "OomKillDisable",
    "PidsLimit",
    "SizeRootFs",
    "SizeRw",
    "StopTimeout",
    "UsageData",
];

/// Fields that a document leaves out when they are empty, by a field that tells which document it is. Each
/// stands behind the field named last; an empty name stands for the end.
const OMITTED: &[(&str, &[Omitted])] = &[
    ("OOMKilled", &[("Health", Empty::Pointer, "")]),
    ("HostnamePath", &[("SizeRw", Empty::Pointer, ""), ("SizeRootFs", Empty::Pointer, "")]),
    (
        "Tty",
        &[
            ("ExposedPorts", Empty::Map, "AttachStderr"),
            ("Healthcheck", Empty::Pointer, "Cmd"),
            ("MacAddress", Empty::Text, ""),
            ("NetworkDisabled", Empty::False, ""),
            ("StopSignal", Empty::Text, ""),
            ("StopTimeout", Empty::Pointer, ""),
            ("Shell", Empty::List, ""),
        ],
    ),
    (
        "NetworkMode",
        &[
            ("Annotations", Empty::Map, ""),
            ("Init", Empty::Pointer, ""),
            ("Mounts", Empty::List, ""),
            ("StorageOpt", Empty::Map, ""),
            ("Sysctls", Empty::Map, ""),
            ("Tmpfs", Empty::Map, ""),
        ],
    ),
    ("Mountpoint", &[("Status", Empty::Map, ""), ("UsageData", Empty::Pointer, "")]),
    ("Propagation", &[("Name", Empty::Text, "Type"), ("Driver", Empty::Text, "Destination")]),
    (
        "Subnet",
        &[
            ("IPRange", Empty::Text, "Subnet"),
            ("Gateway", Empty::Text, "IPRange"),
            ("AuxiliaryAddresses", Empty::Map, ""),
        ],
    ),
];

/// A name, what it reads as, and the field before it.
type Omitted = (&'static str, Empty, &'static str);

#[derive(Debug, Clone, Copy)]
pub(super) enum Empty {
    Pointer,
    List,
    Map,
    Text,
    False,
    Zero,
    Duration,
}

impl From<Empty> for Value {
    fn from(empty: Empty) -> Self {
        match empty {
            Empty::Pointer => Self::Nil(Nil::Pointer),
            Empty::List => Self::Nil(Nil::List),
            Empty::Map => Self::Nil(Nil::Map),
            Empty::Text => Self::text(""),
            Empty::False => Self::Bool(false),
            Empty::Zero => Self::Int(0),
            Empty::Duration => Self::Duration(0),
        }
    }
}

/// The document as a value for templates.
pub(crate) fn typed(document: &Json) -> Value {
    match document {
        Json::Object(fields) if fields.contains_key("RepoTags") => super::image::typed(fields),
        document => convert("", document),
    }
}

/// As [`typed`], for messages that name the Go type of the whole document.
pub(crate) fn typed_as(type_name: &'static str, document: &Json) -> Value {
    match typed(document) {
        Value::Struct(data) => {
            Value::Struct(Arc::new(Struct { type_name: Some(type_name), ..Struct::clone(&data) }))
        }
        other => other,
    }
}

/// A value that stands in a field `key`.
pub(super) fn convert(key: &str, json: &Json) -> Value {
    match json {
        Json::Null if POINTERS.contains(&key) => Value::Nil(Nil::Pointer),
        Json::Null => match shape(key) {
            Shape::Map(_) => Value::Nil(Nil::Map),
            Shape::Struct => Value::Nil(Nil::List),
        },
        Json::Array(items) => Value::list(items.iter().map(|item| convert("", item))),
        Json::Object(entries) => match shape(key) {
            Shape::Map(zero) => {
                let entries = entries.iter().map(|(k, v)| (k.clone(), convert("", v))).collect();
                Value::Map(Arc::new(Map { entries, zero }))
            }
            Shape::Struct => structure(key, entries),
        },
        other => Value::from(other),
    }
}

/// Fields in the order they have in Go, those that are not there as what they are when empty; then whatever else a
/// document has.
pub(super) fn in_order(
    entries: &serde_json::Map<String, Json>,
    order: &[(&str, Empty)],
    convert: impl Fn(&str, &Json) -> Value,
) -> Struct {
    let mut data = Struct::default();
    for (name, empty) in order {
        let value = entries.get(*name).map(|value| convert(name, value));
        if value.is_none() {
            data.omitted.push((*name).to_owned());
        }
        data.fields.push(((*name).to_owned(), value.unwrap_or(Value::from(*empty))));
    }
    for (name, value) in entries.iter().filter(|(name, _)| !order.iter().any(|(known, _)| known == name)) {
        data.fields.push((name.clone(), convert(name, value)));
    }
    data
}

/// Fields of a health check.
const HEALTHCHECK: &[(&str, Empty)] = &[
    ("Test", Empty::List),
    ("Interval", Empty::Duration),
    ("Timeout", Empty::Duration),
    ("StartPeriod", Empty::Duration),
    ("StartInterval", Empty::Duration),
    ("Retries", Empty::Zero),
];

fn healthcheck(entries: &serde_json::Map<String, Json>) -> Value {
    let child = |name: &str, value: &Json| match value.as_i64() {
        Some(number) if name != "Retries" => Value::Duration(number),
        _ => convert(name, value),
    };
    Value::Struct(Arc::new(in_order(entries, HEALTHCHECK, child)))
}

fn structure(key: &str, entries: &serde_json::Map<String, Json>) -> Value {
    if key == "Healthcheck" {
        return healthcheck(entries);
    }
    // The settings of a log driver are the one map that shares its name with a struct.
    let child = |name: &str, value: &Json| match (key, name) {
        ("LogConfig", "Config") => convert("Options", value),
        _ => convert(name, value),
    };
    let fields = entries.iter().map(|(name, value)| (name.clone(), child(name, value))).collect();
    let mut data = Struct { fields, ..Struct::default() };
    for (_, names) in OMITTED.iter().filter(|(mark, _)| entries.contains_key(*mark)) {
        for (name, empty, after) in names.iter().filter(|(name, ..)| !entries.contains_key(*name)) {
            let place = data.fields.iter().position(|(n, _)| n == after).map_or(data.fields.len(), |i| i + 1);
            data.fields.insert(place, ((*name).to_owned(), Value::from(*empty)));
            data.omitted.push((*name).to_owned());
        }
    }
    data.also_as("Id", "ID");
    Value::Struct(Arc::new(data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use wharf_template::Template;

    fn render(template: &str) -> String {
        let document = json!({
            "Id": "9cc2",
            "State": {"Status": "running", "OOMKilled": false, "Pid": 1867},
            "ExecIDs": null,
            "HostnamePath": "/h",
            "Config": {
                "Tty": false, "Env": ["A=b", "PATH=/bin"], "Cmd": ["sh", "-c", "exit 3"], "Labels": {"x": "y"},
                "Entrypoint": null, "Volumes": null
            },
            "HostConfig": {"NetworkMode": "bridge", "PidsLimit": null, "Memory": 67108864,
                "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
                "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "28900"}]}},
            "NetworkSettings": {
                "Ports": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "28900"}], "81/tcp": null},
                "Networks": {"bridge": {"IPAddress": "172.17.0.2", "IPAMConfig": null}}
            }
        });
        match Template::parse(template).and_then(|t| t.render_value(&typed(&document))) {
            Ok(text) => text,
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn templates_read_documents_as_docker_does() {
        for (template, want) in [
            ("{{.State.Status}} {{.State.Pid}}", "running 1867"),
            (
                "{{.ExecIDs}} {{.Config.Entrypoint}} {{.Config.Volumes}} {{.Config.Healthcheck}}",
                "[] [] map[] <nil>",
            ),
            ("{{.HostConfig.PidsLimit}} {{.SizeRw}}", "<nil> <nil>"),
            ("{{.HostConfig.RestartPolicy}}", "{no 0}"),
            ("{{if .State.Health}}h{{else}}none{{end}}", "none"),
            (
                "{{.State.Health.Status}}",
                r#"template: :1:8: executing "" at <.State.Health.Status>: map has no entry for key "Health""#,
            ),
            ("{{json .State}}", r#"{"Status":"running","OOMKilled":false,"Pid":1867}"#),
            (
                "{{.Config.Labels}} {{.Config.Labels.x}} {{.Config.Labels.nope}}|{{index .Config.Labels \"nope\"}}|",
                "map[x:y] y <no value>||",
            ),
            ("{{.HostConfig.PortBindings}}", "map[80/tcp:[{127.0.0.1 28900}]]"),
            ("{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}", "28900"),
            (
                "{{index .NetworkSettings.Ports \"99/tcp\"}} {{index .NetworkSettings.Ports \"81/tcp\"}}",
                "[] []",
            ),
            (
                "{{range $p, $c := .HostConfig.PortBindings}}{{$p}}={{(index $c 0).HostPort}}{{end}}",
                "80/tcp=28900",
            ),
            (
                "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}} {{.NetworkSettings.Networks.bridge.IPAddress}}",
                "172.17.0.2 172.17.0.2",
            ),
            ("{{join .Config.Cmd \",\"}} {{.Config.Env | json}}", r#"sh,-c,exit 3 ["A=b","PATH=/bin"]"#),
            ("{{printf \"%T %T\" .State.Pid .Config.Labels}}", "int map[string]string"),
            ("{{.Nope}}", r#"template: :1:2: executing "" at <.Nope>: map has no entry for key "Nope""#),
            (
                "{{.State.Nope}}",
                r#"template: :1:8: executing "" at <.State.Nope>: map has no entry for key "Nope""#,
            ),
        ] {
            assert_eq!(render(template), want, "{template}");
        }
    }
}
