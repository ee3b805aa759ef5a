//! The extra attributes of log lines that `--log-opt labels`, `env` and `tag` choose.

use std::collections::BTreeMap;

use serde_json::json;

use super::Container;
use crate::{Error, Result, ids::short_id};

/// Attributes of every line of the container's log.
///
/// # Errors
/// A tag that is no valid template.
pub(super) fn attributes(container: &Container) -> Result<BTreeMap<String, String>> {
    let mut attributes = BTreeMap::new();
    let options = container.host_config.log_config.config.clone().unwrap_or_default();
    let listed = |option: &str| {
        let names = options.get(option).map(String::as_str).unwrap_or_default();
        names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let labels = container.config.labels.clone().unwrap_or_default();
    for name in listed("labels") {
        if let Some(value) = labels.get(&name) {
            attributes.insert(name, value.clone());
        }
    }
    for name in listed("env") {
        let value = container.config.env.iter().flatten().find_map(|entry| {
            entry.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        });
        attributes.extend(value.map(|value| (name, value)));
    }
    if let Some(tag) = options.get("tag").filter(|tag| !tag.is_empty()) {
        attributes.insert("tag".to_owned(), render_tag(container, tag)?);
    }
    Ok(attributes)
}

fn render_tag(container: &Container, tag: &str) -> Result<String> {
    let image = container.image.trim_start_matches("sha256:");
    let values = json!({
        "ID": short_id(&container.id),
        "FullID": container.id,
        "Name": container.name,
        "ImageID": short_id(image),
        "ImageFullID": container.image,
        "ImageName": container.config.image,
        "DaemonName": "docker",
    });
    let failed = |error: &dyn std::fmt::Display| {
        Error::system(format!(
            "failed to create task for container: failed to initialize logging driver: {error}"
        ))
    };
    let template = wharf_template::Template::parse(tag).map_err(|error| failed(&error))?;
    template.render(&values).map_err(|error| failed(&error))
}
