use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::null_default;
use crate::{Digest, Platform};

/// The image configuration: the blob whose digest is the image's id.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// Processor, in Go's words.
    #[serde(deserialize_with = "null_default")]
    pub architecture: String,
    /// Variant of the processor.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// Operating system, in Go's words.
    #[serde(deserialize_with = "null_default")]
    pub os: String,
    /// Version of the operating system.
    #[serde(
        rename = "os.version",
        deserialize_with = "null_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub os_version: String,
    /// Features of the operating system the image needs.
    #[serde(
        rename = "os.features",
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// When the image was made, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// What a container of this image runs.
    #[serde(deserialize_with = "null_default")]
    pub config: RunConfig,
    /// The layers.
    #[serde(deserialize_with = "null_default")]
    pub rootfs: RootFs,
    /// How the image came to be, one entry per step.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// Docker: the image this one was built from, when the builder kept it.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub parent: String,
    /// Docker: comment of `commit` and `import`.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Docker: version of the engine that made the image.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub docker_version: String,
    /// Docker: the container the image was committed from.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// Whatever else stands there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ImageConfig {
    /// Reads a configuration blob.
    pub fn parse(data: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(data)
    }

    /// The platform the image says it is for.
    pub fn platform(&self) -> Platform {
        Platform {
            architecture: self.architecture.clone(),
            os: self.os.clone(),
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
            variant: self.variant.clone(),
        }
    }

    /// The same without version and features of the operating system, by which nobody chooses among stored images.
    pub fn processor(&self) -> Platform {
        Platform { os_version: String::new(), os_features: Vec::new(), ..self.platform() }
    }
}

/// What a container of an image runs unless its user says otherwise. `None` is Go's nil.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RunConfig {
    /// `user[:group]`, by name or number.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Ports, `80/tcp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed_ports: Option<BTreeMap<String, Empty>>,
    /// `NAME=value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// Arguments the command is appended to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Default command, or default arguments of the entry point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// How to find out whether a container is healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Folders to keep in volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes: Option<BTreeMap<String, Empty>>,
    /// Folder the command starts in.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Build steps for images built from this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_build: Option<Vec<String>>,
    /// Labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Signal that asks a container to stop: name or number.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Seconds between that signal and SIGKILL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// Shell of the shell forms of RUN, CMD and ENTRYPOINT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// Whatever else stands there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Go's `struct{}`: the value of the keys of a set. Reads as anything, writes as `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Empty {}

impl<'de> Deserialize<'de> for Empty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self {})
    }
}

/// A health check. Times are nanoseconds; 0 means the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", line]`; empty inherits.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Time between two checks.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// How long a check may take.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Time after the start in which failures do not count.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Time between two checks in the start period.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row that make a container unhealthy.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_zero")]
    pub retries: i64,
}

/// The layers of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", deserialize_with = "null_default")]
    pub kind: String,
    /// Digests of the uncompressed layers, bottom first.
    #[serde(deserialize_with = "null_default")]
    pub diff_ids: Vec<Digest>,
}

impl RootFs {
    /// A root file system of these layers.
    pub fn layers(diff_ids: Vec<Digest>) -> Self {
        Self { kind: "layers".to_owned(), diff_ids }
    }
}

/// One step in the making of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// When, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The command.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    /// By whom.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// A comment.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Whether the step made no layer.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
    /// Whatever else stands there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn what_docker_writes_is_read_and_kept() {
        let text = r#"{"architecture":"amd64","config":{"Hostname":"","Tty":false,"Env":["A=<b>"],"Cmd":["sh"],"ExposedPorts":{"80/tcp":{},"53/udp":null},"OnBuild":null,"Labels":null},"container_config":{"Image":"x"},"created":"2024-01-02T03:04:05.6Z","docker_version":"28.5.2","history":[{"created":"2024-01-02T03:04:05Z","created_by":"/bin/sh -c #(nop)  CMD [\"sh\"]","empty_layer":true}],"os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},"moby.buildkit.buildinfo.v1":"e30="}"#;
        let config = ImageConfig::parse(text.as_bytes()).unwrap();
        assert_eq!(config.platform().to_string(), "linux/amd64");
        assert_eq!(config.config.on_build, None);
        expect![[r#"{"architecture":"amd64","os":"linux","created":"2024-01-02T03:04:05.6Z","config":{"ExposedPorts":{"53/udp":{},"80/tcp":{}},"Env":["A=<b>"],"Cmd":["sh"],"Hostname":"","Tty":false},"rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},"history":[{"created":"2024-01-02T03:04:05Z","created_by":"/bin/sh -c #(nop)  CMD [\"sh\"]","empty_layer":true}],"docker_version":"28.5.2","container_config":{"Image":"x"},"moby.buildkit.buildinfo.v1":"e30="}"#]]
        .assert_eq(&serde_json::to_string(&config).unwrap());
    }

    #[test]
    fn null_everywhere_is_the_zero_value() {
        let text = r#"{"architecture":null,"os":null,"created":null,"author":null,"config":null,"rootfs":null,"history":null,"parent":null}"#;
        assert_eq!(ImageConfig::parse(text.as_bytes()).unwrap(), ImageConfig::default());
        assert_eq!(
            serde_json::from_str::<RunConfig>(
                r#"{"User":null,"Env":null,"Healthcheck":null,"WorkingDir":null}"#
            )
            .unwrap(),
            RunConfig::default()
        );
    }
}
