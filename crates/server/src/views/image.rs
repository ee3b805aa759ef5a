//! Images as older clients expect them.

use serde_json::Value;
use wharf_api::ApiVersion;
use wharf_api::image::{Inspect, Summary};

/// Last version whose documents have `VirtualSize`.
const VIRTUAL_SIZE: ApiVersion = ApiVersion(1, 43);

/// Last version whose list has no empty lists of names: they are `null`, and `<none>` where both are.
const NO_EMPTY_LISTS: ApiVersion = ApiVersion(1, 42);

/// Last version whose list does not count containers.
const NO_COUNT: ApiVersion = ApiVersion(1, 50);

/// Last version whose documents tell of the container an image was made of.
const CONTAINER: ApiVersion = ApiVersion(1, 44);

/// Last version whose image configuration has a container's fields.
const CONTAINER_FIELDS: ApiVersion = ApiVersion(1, 49);

/// A container's fields that an image's configuration once had, with what they always said.
const OLD_FIELDS: &[(&str, Value)] = &[
    ("AttachStderr", Value::Bool(false)),
    ("AttachStdin", Value::Bool(false)),
    ("AttachStdout", Value::Bool(false)),
    ("Domainname", Value::String(String::new())),
    ("Hostname", Value::String(String::new())),
    ("Image", Value::String(String::new())),
    ("OpenStdin", Value::Bool(false)),
    ("StdinOnce", Value::Bool(false)),
    ("Tty", Value::Bool(false)),
];

/// A row of the list for a client of some version.
pub(crate) fn summary(row: Summary, version: ApiVersion) -> Summary {
    let mut row = sized(row, version);
    if version <= NO_EMPTY_LISTS {
        row = without_empty_lists(row);
        if row.repo_tags.is_none() && row.repo_digests.is_none() {
            row.repo_tags = Some(vec!["<none>:<none>".to_owned()]);
            row.repo_digests = Some(vec!["<none>@<none>".to_owned()]);
        }
    }
    if version <= NO_COUNT {
        row.containers = -1;
    }
    row
}

/// A row of `GET /system/df` for a client of some version. compat: lists of names are `null` when they are empty.
pub(crate) fn used(row: Summary, version: ApiVersion) -> Summary {
    without_empty_lists(sized(row, version))
}

fn without_empty_lists(mut row: Summary) -> Summary {
    row.repo_tags = row.repo_tags.filter(|tags| !tags.is_empty());
    row.repo_digests = row.repo_digests.filter(|digests| !digests.is_empty());
    row
}

fn sized(mut row: Summary, version: ApiVersion) -> Summary {
    row.virtual_size = (version <= VIRTUAL_SIZE).then_some(row.size);
    row
}

/// The answer of `GET /images/{name}/json` for a client of some version. compat: the configuration is sorted by name.
pub(crate) fn inspect(mut image: Inspect, version: ApiVersion) -> serde_json::Result<Value> {
    image.virtual_size = (version <= VIRTUAL_SIZE).then_some(image.size);
    if version > CONTAINER {
        (image.container, image.container_config) = (String::new(), None);
    }
    let mut document = serde_json::to_value(image)?;
    if let Some(Value::Object(config)) = document.get_mut("Config") {
        if version <= CONTAINER_FIELDS {
            config.extend(OLD_FIELDS.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        }
        config.sort_keys();
        config.values_mut().for_each(Value::sort_all_objects);
    }
    Ok(document)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use wharf_api::image::Config;

    use super::*;

    #[test]
    fn names_and_counts_as_clients_know_them() {
        let row = |version, tags: &[&str]| {
            let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
            let row = Summary { repo_tags: Some(tags), repo_digests: Some(Vec::new()), ..Summary::default() };
            let row = summary(row, ApiVersion(1, version));
            let show = |names: Option<Vec<String>>| names.map_or("null".to_owned(), |names| names.join(" "));
            format!("{} [{}] [{}]", row.containers, show(row.repo_tags), show(row.repo_digests))
        };
        assert_eq!(row(51, &[]), "0 [] []");
        assert_eq!(row(50, &["a:1"]), "-1 [a:1] []");
        assert_eq!(row(42, &["a:1"]), "-1 [a:1] [null]");
        assert_eq!(row(42, &[]), "-1 [<none>:<none>] [<none>@<none>]");
    }

    #[test]
    fn old_clients_get_old_fields() {
        let image = || Inspect { size: 7, config: Some(Config::default()), ..Inspect::default() };
        let keys = |version| {
            let document = inspect(image(), ApiVersion(1, version)).unwrap();
            let config: Vec<_> = document["Config"].as_object().unwrap().keys().cloned().collect();
            (document.get("VirtualSize").cloned(), config.join(" "))
        };
        let plain = "Cmd Entrypoint Env Labels OnBuild User Volumes WorkingDir";
        let old = "AttachStderr AttachStdin AttachStdout Cmd Domainname Entrypoint Env Hostname Image Labels OnBuild \
                   OpenStdin StdinOnce Tty User Volumes WorkingDir";
        assert_eq!(keys(51), (None, plain.to_owned()));
        assert_eq!(keys(49), (None, old.to_owned()));
        assert_eq!(keys(43), (Some(7.into()), old.to_owned()));
    }
}
