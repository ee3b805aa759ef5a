//! The image a container becomes by `commit`.

use jiff::Timestamp;
use serde_json::Value;
use wharf_api::time;
use wharf_oci::image::{History, ImageConfig, RunConfig};
use wharf_oci::{Digest, Reference};
use wharf_store::NewImage;

use super::{Found, Images};
use crate::{Error, Result};

/// What a commit adds to an image.
#[derive(Debug, Clone)]
pub(crate) struct Committed {
    /// Digest of the new layer, which is stored; none if no file changed.
    pub(crate) layer: Option<Digest>,
    /// What a container of it runs.
    pub(crate) config: RunConfig,
    /// Id of the container.
    pub(crate) container: String,
    /// Configuration of the container.
    pub(crate) container_config: Value,
    /// What the container ran, for the history.
    pub(crate) command: String,
    /// Who made it.
    pub(crate) author: String,
    /// A remark for the history.
    pub(crate) comment: String,
}

impl Images {
    /// Makes an image of `parent` and what was committed, gives it a name if it is to have one, and returns its id.
    ///
    /// # Errors
    /// A layer is not stored.
    pub(crate) fn put_committed(
        &self,
        parent: &Found,
        committed: Committed,
        reference: Option<&Reference>,
    ) -> Result<Digest> {
        let config = child(parent.config(), committed, Timestamp::now());
        let config = serde_json::to_vec(&config).map_err(|error| Error::system(error.to_string()))?;
        let record = self.db.write(|tx| {
            let images = self.store.images();
            let new = NewImage { config: &config, manifest: None, parent: Some(parent.id()) };
            let record = images.put(tx, new)?;
            if let Some(reference) = reference {
                images.tag(tx, reference, &record.id)?;
            }
            Ok::<_, Error>(record)
        })?;
        if let Some(reference) = reference {
            self.publish("tag", record.id.as_str(), &reference.familiar(), Some(&record.labels));
        }
        Ok(record.id)
    }
}

/// The configuration of the new image, with the keys Docker writes.
fn child(parent: &ImageConfig, committed: Committed, now: Timestamp) -> ImageConfig {
    let created = Some(time::rfc3339_nano(now));
    let mut config = ImageConfig {
        created: created.clone(),
        author: committed.author.clone(),
        config: committed.config,
        container: committed.container,
        docker_version: env!("CARGO_PKG_VERSION").to_owned(),
        // What belongs to the making of the parent only.
        comment: String::new(),
        parent: String::new(),
        extra: [("container_config".to_owned(), committed.container_config)].into_iter().collect(),
        ..parent.clone()
    };
    config.history.push(History {
        created,
        created_by: committed.command,
        author: committed.author,
        comment: committed.comment,
        empty_layer: committed.layer.is_none(),
        ..History::default()
    });
    config.rootfs.diff_ids.extend(committed.layer);
    config
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_child_has_its_parents_platform_layers_and_history() {
        let parent = r#"{"architecture":"arm64","variant":"v8","os":"linux","author":"them","comment":"old",
            "config":{"Cmd":["a"]},"rootfs":{"type":"layers","diff_ids":[]},"history":[{"created_by":"one"}]}"#;
        let parent = ImageConfig::parse(parent.as_bytes()).unwrap();
        let committed = |layer| Committed {
            layer,
            config: RunConfig { user: "u".to_owned(), ..RunConfig::default() },
            container: "C".to_owned(),
            container_config: serde_json::json!({"Image": "i"}),
            command: "sh -c x".to_owned(),
            author: "me".to_owned(),
            comment: "why".to_owned(),
        };
        let show = |layer| {
            let child = child(&parent, committed(layer), Timestamp::UNIX_EPOCH);
            serde_json::to_string(&child).unwrap().replace(env!("CARGO_PKG_VERSION"), "VERSION") + "\n"
        };
        expect![[r#"
            {"architecture":"arm64","variant":"v8","os":"linux","created":"1970-01-01T00:00:00Z","author":"me","config":{"User":"u"},"rootfs":{"type":"layers","diff_ids":[]},"history":[{"created_by":"one"},{"created":"1970-01-01T00:00:00Z","created_by":"sh -c x","author":"me","comment":"why","empty_layer":true}],"docker_version":"VERSION","container":"C","container_config":{"Image":"i"}}
            {"architecture":"arm64","variant":"v8","os":"linux","created":"1970-01-01T00:00:00Z","author":"me","config":{"User":"u"},"rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},"history":[{"created_by":"one"},{"created":"1970-01-01T00:00:00Z","created_by":"sh -c x","author":"me","comment":"why"}],"docker_version":"VERSION","container":"C","container_config":{"Image":"i"}}
        "#]].assert_eq(&(show(None) + &show(Some(Digest::sha256(b"")))));
    }
}
