//! `commit`: an image of what a container has become.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wharf_api::container::Config;
use wharf_oci::image::RunConfig;
use wharf_oci::{Digest, Reference};

use super::{Container, Status, merge::merge};
use crate::image::Committed;
use crate::{Engine, Error, Result};

/// What is to be made of a container.
#[derive(Debug, Clone, Default)]
pub struct CommitRequest {
    /// Name of the image.
    pub reference: Option<Reference>,
    /// A remark for the history.
    pub comment: String,
    /// Who made it.
    pub author: String,
    /// Dockerfile instructions.
    pub changes: Vec<String>,
    /// Configuration that takes the place of the container's, which completes it.
    pub config: Option<Config>,
    /// Freeze the container meanwhile, so that its files belong together.
    pub pause: bool,
}

/// Thaws a container that was frozen for a while, however that ends.
struct Thaw<'a> {
    engine: &'a Engine,
    id: &'a str,
}

impl Drop for Thaw<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.engine.unpause_container(self.id) {
            tracing::warn!(container = %self.id, %error, "a commit leaves the container paused");
        }
    }
}

impl Engine {
    /// Makes an image of a container's files and configuration and returns its id. Volumes are not in it.
    ///
    /// # Errors
    /// No such container or it is being removed (409), a bad instruction (400), its image is gone, or its files cannot be
    /// read or stored.
    pub fn commit_container(&self, name: &str, request: &CommitRequest) -> Result<Digest> {
        let container = self.containers.find(name)?.get();
        let refuse = |state| {
            Err(Error::conflict(format!("You cannot commit container {} which is {state}", container.id)))
        };
        match container.state.status {
            Status::Dead => return refuse("Dead"),
            Status::Removing => return refuse("being removed"),
            _ => {}
        }
        // One that does not run or is paused already needs no pausing.
        let paused = request.pause && self.pause_container(&container.id).is_ok();
        let _thaw = paused.then(|| Thaw { engine: self, id: &container.id });
        let config = committed_config(request, &container)?;
        let id = self.store_commit(&container, config, request)?;
        let mut attributes = container.event_attributes();
        let reference = request.reference.as_ref().map(Reference::familiar).unwrap_or_default();
        attributes.extend([
            ("comment".to_owned(), request.comment.clone()),
            ("imageID".to_owned(), id.to_string()),
            ("imageRef".to_owned(), reference),
        ]);
        self.events.publish("container", "commit", &container.id, attributes);
        Ok(id)
    }

    fn store_commit(
        &self,
        container: &Arc<Container>,
        config: RunConfig,
        request: &CommitRequest,
    ) -> Result<Digest> {
        let parent = self.images.find(&container.image, None)?;
        let snapshot = self.snapshot(container)?;
        let lease = self.store.lease();
        let layer = self.store.commit_layer(snapshot.upper(), snapshot.chains.last(), &lease)?;
        self.housekeeper.soon();
        self.images.put_committed(
            &parent,
            Committed {
                layer: (!layer.is_empty()).then_some(layer.diff_id),
                config,
                container: container.id.clone(),
                container_config: recast(&container.config)?,
                command: container.config.cmd.as_ref().map(|command| command.join(" ")).unwrap_or_default(),
                author: request.author.clone(),
                comment: request.comment.clone(),
            },
            request.reference.as_ref(),
        )
    }
}

/// The image's configuration: the client's or the container's, changed by the instructions, completed by the container's.
fn committed_config(request: &CommitRequest, container: &Container) -> Result<RunConfig> {
    let mut config: RunConfig = recast(request.config.as_ref().unwrap_or(&container.config))?;
    wharf_build::plan::apply_changes(&mut config, &request.changes)
        .map_err(|error| Error::invalid(error.to_string()))?;
    recast(&merge(recast(&config)?, &recast(&container.config)?))
}

/// The same configuration as another type: the documents of containers and images have their fields in common.
fn recast<T: DeserializeOwned>(document: &impl Serialize) -> Result<T> {
    serde_json::to_value(document)
        .and_then(serde_json::from_value)
        .map_err(|error| Error::system(error.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn configurations_merge() {
        let container = Container {
            config: recast(&json!({
                "Hostname": "h", "Cmd": ["old"], "Env": ["A=1", "B=2"], "Labels": {"a": "1"}, "User": "u",
                "ExposedPorts": {"80/tcp": {}}, "WorkingDir": "/w", "StopSignal": "INT", "Image": "i",
            }))
            .unwrap(),
            ..Container::default()
        };
        let changes = ["ENTRYPOINT [\"e\"]", "ENV A=3", "EXPOSE 81", "LABEL b=2", "VOLUME /v"];
        let request =
            CommitRequest { changes: changes.map(str::to_owned).into(), ..CommitRequest::default() };
        let show = |request: &CommitRequest| {
            serde_json::to_string(&committed_config(request, &container).unwrap()).unwrap() + "\n"
        };
        let own =
            CommitRequest { config: Some(recast(&json!({"Env": ["A=4"]})).unwrap()), ..Default::default() };
        expect![[r#"
            {"User":"u","ExposedPorts":{"80/tcp":{},"81/tcp":{}},"Env":["A=3","B=2"],"Entrypoint":["e"],"Volumes":{"/v":{}},"WorkingDir":"/w","Labels":{"a":"1","b":"2"},"StopSignal":"INT","Hostname":"h","Domainname":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Image":"i"}
            {"User":"u","ExposedPorts":{"80/tcp":{}},"Env":["A=4","B=2"],"Cmd":["old"],"WorkingDir":"/w","Labels":{"a":"1"},"StopSignal":"INT","Hostname":"","Domainname":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Image":""}
        "#]].assert_eq(&(show(&request) + &show(&own)));
        let bad = CommitRequest { changes: vec!["SHELL [\"s\"]".to_owned()], ..CommitRequest::default() };
        assert_eq!(
            committed_config(&bad, &container).unwrap_err().to_string(),
            "SHELL is not a valid change command"
        );
    }
}
