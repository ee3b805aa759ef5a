//! Images as Go's types have them: their fields in another order than the document's, the configuration without what is
//! empty in it.

use std::sync::Arc;

use serde_json::{Map, Value as Json};
use wharf_template::Value;

use super::typed::{Empty, convert, in_order};

const IMAGE: &[(&str, Empty)] = &[
    ("Id", Empty::Text),
    ("RepoTags", Empty::List),
    ("RepoDigests", Empty::List),
    ("Parent", Empty::Text),
    ("Comment", Empty::Text),
    ("Created", Empty::Text),
    ("Container", Empty::Text),
    ("ContainerConfig", Empty::Pointer),
    ("DockerVersion", Empty::Text),
    ("Author", Empty::Text),
    ("Config", Empty::Pointer),
    ("Architecture", Empty::Text),
    ("Variant", Empty::Text),
    ("Os", Empty::Text),
    ("OsVersion", Empty::Text),
    ("Size", Empty::Zero),
    ("VirtualSize", Empty::Zero),
    ("GraphDriver", Empty::Pointer),
    ("RootFS", Empty::Pointer),
    ("Metadata", Empty::Pointer),
    ("Descriptor", Empty::Pointer),
    ("Manifests", Empty::List),
];

const CONFIG: &[(&str, Empty)] = &[
    ("User", Empty::Text),
    ("ExposedPorts", Empty::Map),
    ("Env", Empty::List),
    ("Entrypoint", Empty::List),
    ("Cmd", Empty::List),
    ("Volumes", Empty::Map),
    ("WorkingDir", Empty::Text),
    ("Labels", Empty::Map),
    ("StopSignal", Empty::Text),
    ("ArgsEscaped", Empty::False),
    ("Healthcheck", Empty::Pointer),
    ("OnBuild", Empty::List),
    ("Shell", Empty::List),
];

/// The document of an image as a value for templates.
pub(super) fn typed(document: &Map<String, Json>) -> Value {
    let mut image = in_order(document, IMAGE, |name, value| match (name, value) {
        ("Config", Json::Object(config)) => self::config(config),
        _ => convert(name, value),
    });
    image.also_as("Id", "ID");
    Value::Struct(Arc::new(image))
}

fn config(config: &Map<String, Json>) -> Value {
    let said = config.iter().filter(|(_, value)| !is_empty(value));
    let said = said.map(|(name, value)| (name.clone(), value.clone())).collect();
    Value::Struct(Arc::new(in_order(&said, CONFIG, convert)))
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Bool(set) => !set,
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(fields) => fields.is_empty(),
        Json::Number(_) => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;
    use wharf_template::Template;

    use super::*;

    #[test]
    fn templates_see_gos_types() {
        let document = json!({
            "Id": "sha256:1", "RepoTags": [], "Architecture": "amd64",
            "Config": {
                "Cmd": ["sh"], "Entrypoint": null, "User": "", "Env": ["A=b"],
                "Healthcheck": {"Retries": 3, "Interval": 1_500_000_000_u64}
            }
        });
        let render = |template: &str| {
            let parsed = Template::parse(template).unwrap();
            parsed
                .render_value(&typed(document.as_object().unwrap()))
                .unwrap_or_else(|error| error.to_string())
        };
        for (template, want) in [
            (
                "{{.ID}} {{.Id}} {{.VirtualSize}} {{.Manifests}} {{.ContainerConfig}}",
                "sha256:1 sha256:1 0 [] <nil>",
            ),
            (
                "{{json .Config}}",
                r#"{"Env":["A=b"],"Cmd":["sh"],"Healthcheck":{"Interval":1500000000,"Retries":3}}"#,
            ),
            ("{{.Config.Healthcheck}} {{.Config.Entrypoint}}", "{[] 1.5s 0s 0s 0s 3} []"),
            (
                "{{.Config.Hostname}}",
                r#"template: :1:9: executing "" at <.Config.Hostname>: map has no entry for key "Hostname""#,
            ),
            (
                "{{json .}}",
                r#"{"Id":"sha256:1","RepoTags":[],"Config":{"Env":["A=b"],"Cmd":["sh"],"Healthcheck":{"Interval":1500000000,"Retries":3}},"Architecture":"amd64"}"#,
            ),
        ] {
            assert_eq!(render(template), want, "{template}");
        }
    }
}
