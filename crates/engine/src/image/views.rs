//! From what is stored about an image to the documents of the API. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wharf_api::container::{DriverData, Healthcheck};
use wharf_api::image::{Config, HistoryItem, Inspect, Metadata, RootFs};
use wharf_api::time;
use wharf_api::{Empty, StrSlice};
use wharf_oci::Reference;
use wharf_oci::image::{ImageConfig, RunConfig};
use wharf_store::ImageRecord;

use crate::{Error, Result};

/// An image with everything that is known about it.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// What the store lists of it.
    pub(super) row: ImageRecord,
    /// Its configuration.
    pub(super) config: ImageConfig,
    /// Names, in the order of their texts.
    pub(super) references: Vec<Reference>,
    /// Bytes of the files of each layer, the lowest first.
    pub(super) layer_sizes: Vec<u64>,
}

/// Names with tags, as people write them.
pub(super) fn repo_tags(references: &[Reference]) -> Vec<String> {
    references.iter().filter(|reference| reference.digest().is_none()).map(Reference::familiar).collect()
}

/// Names with digests, as people write them.
pub(super) fn repo_digests(references: &[Reference]) -> Vec<String> {
    references.iter().filter(|reference| reference.digest().is_some()).map(Reference::familiar).collect()
}

/// When an image was made, if that was written down. compat: Go's zero time is a time like any other here.
pub(super) fn created(row: &ImageRecord) -> Option<Timestamp> {
    row.created.as_deref().and_then(|text| text.parse().ok())
}

/// The answer of `GET /images/{name}/json`; `driver` tells where the layers are.
pub(super) fn inspect(record: &Record, driver: DriverData) -> Inspect {
    let config = &record.config;
    let comment = if config.comment.is_empty() {
        config.history.last().map(|step| step.comment.clone()).unwrap_or_default()
    } else {
        config.comment.clone()
    };
    Inspect {
        id: record.row.id.to_string(),
        repo_tags: repo_tags(&record.references),
        repo_digests: repo_digests(&record.references),
        parent: record.row.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        comment,
        created: created(&record.row).map(time::rfc3339_nano).unwrap_or_default(),
        container: config.container.clone(),
        container_config: Some(container_config(config)),
        docker_version: config.docker_version.clone(),
        author: config.author.clone(),
        architecture: config.architecture.clone(),
        variant: config.variant.clone(),
        os: config.os.clone(),
        os_version: config.os_version.clone(),
        size: i64::try_from(record.row.size).unwrap_or(i64::MAX),
        virtual_size: None,
        graph_driver: driver,
        root_fs: RootFs {
            kind: "layers".to_owned(),
            layers: config.rootfs.diff_ids.iter().map(ToString::to_string).collect(),
        },
        metadata: Metadata { last_tag_time: time::rfc3339_nano_or_zero(record.row.tagged) },
        config: Some(run_config(&config.config)),
    }
}

/// The configuration of the container that an image was made of, as the classic builder wrote it down.
fn container_config(config: &ImageConfig) -> wharf_api::container::Config {
    let written = config.extra.get("container_config").cloned();
    written.and_then(|config| serde_json::from_value(config).ok()).unwrap_or_default()
}

fn run_config(config: &RunConfig) -> Config {
    let set = |set: &BTreeMap<String, wharf_oci::image::Empty>| {
        set.keys().map(|key| (key.clone(), Empty)).collect()
    };
    Config {
        args_escaped: config.extra.get("ArgsEscaped").is_some_and(|set| *set == true),
        cmd: config.cmd.clone().map(StrSlice),
        entrypoint: config.entrypoint.clone().map(StrSlice),
        env: config.env.clone(),
        exposed_ports: config.exposed_ports.as_ref().map(set).unwrap_or_default(),
        healthcheck: config.healthcheck.as_ref().map(|check| Healthcheck {
            test: check.test.clone(),
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            start_interval: check.start_interval,
            retries: check.retries,
        }),
        labels: config.labels.clone(),
        on_build: config.on_build.clone(),
        shell: config.shell.clone().unwrap_or_default(),
        stop_signal: config.stop_signal.clone(),
        user: config.user.clone(),
        volumes: config.volumes.as_ref().map(set),
        working_dir: config.working_dir.clone(),
    }
}

/// The steps an image was made in, newest first, without ids and names of earlier images.
///
/// # Errors
/// The history tells of more layers than the image has.
pub(super) fn history(record: &Record) -> Result<Vec<HistoryItem>> {
    let mut sizes = record.layer_sizes.iter();
    let mut items = Vec::with_capacity(record.config.history.len());
    for step in &record.config.history {
        let size = if step.empty_layer {
            0
        } else {
            *sizes.next().ok_or_else(|| Error::system("too many non-empty layers in History section"))?
        };
        items.push(HistoryItem {
            comment: step.comment.clone(),
            created: step
                .created
                .as_deref()
                .and_then(|text| text.parse().ok())
                .map_or(0, Timestamp::as_second),
            created_by: step.created_by.clone(),
            id: "<missing>".to_owned(),
            size: i64::try_from(size).unwrap_or(i64::MAX),
            tags: None,
        });
    }
    items.reverse();
    Ok(items)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::expect;
    use wharf_oci::Digest;

    use super::*;

    fn record() -> Record {
        let config = r#"{"architecture":"amd64","os":"linux","created":"2024-01-02T03:04:05.060Z","config":{"Cmd":["sh"],"ExposedPorts":{"80/tcp":{}},"Volumes":{"/v":{}},"Labels":{"a":"b"}},"rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},"history":[{"created":"2024-01-02T03:04:05Z","created_by":"COPY x /","comment":"first"},{"created_by":"CMD [\"sh\"]","comment":"last","empty_layer":true}]}"#;
        let config = ImageConfig::parse(config.as_bytes()).unwrap();
        Record {
            row: ImageRecord {
                id: Digest::sha256(b"config"),
                chains: config.rootfs.diff_ids.clone(),
                size: 7,
                created: config.created.clone(),
                platform: config.platform(),
                labels: BTreeMap::new(),
                parent: None,
                manifests: Vec::new(),
                tagged: None,
            },
            config,
            references: ["127.0.0.1:5000/a:1", "b:latest"]
                .into_iter()
                .map(|name| Reference::parse(name).unwrap())
                .chain([Reference::parse("b").unwrap().with_digest(Digest::sha256(b"manifest"))])
                .collect(),
            layer_sizes: vec![7],
        }
    }

    #[test]
    fn inspect_document() {
        let driver = DriverData { name: "overlay2".to_owned(), ..DriverData::default() };
        expect![[r#"
            {
              "Id": "sha256:b79606fb3afea5bd1609ed40b622142f1c98125abcfe89a76a661b0e8e343910",
              "RepoTags": [
                "127.0.0.1:5000/a:1",
                "b:latest"
              ],
              "RepoDigests": [
                "b@sha256:05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f"
              ],
              "Parent": "",
              "Comment": "last",
              "Created": "2024-01-02T03:04:05.06Z",
              "ContainerConfig": {
                "Hostname": "",
                "Domainname": "",
                "User": "",
                "AttachStdin": false,
                "AttachStdout": false,
                "AttachStderr": false,
                "Tty": false,
                "OpenStdin": false,
                "StdinOnce": false,
                "Env": null,
                "Cmd": null,
                "Image": "",
                "Volumes": null,
                "WorkingDir": "",
                "Entrypoint": null,
                "OnBuild": null,
                "Labels": null
              },
              "DockerVersion": "",
              "Author": "",
              "Architecture": "amd64",
              "Os": "linux",
              "Size": 7,
              "GraphDriver": {
                "Data": null,
                "Name": "overlay2"
              },
              "RootFS": {
                "Type": "layers",
                "Layers": [
                  "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
                ]
              },
              "Metadata": {
                "LastTagTime": "0001-01-01T00:00:00Z"
              },
              "Config": {
                "Cmd": [
                  "sh"
                ],
                "Entrypoint": null,
                "Env": null,
                "ExposedPorts": {
                  "80/tcp": {}
                },
                "Labels": {
                  "a": "b"
                },
                "OnBuild": null,
                "User": "",
                "Volumes": {
                  "/v": {}
                },
                "WorkingDir": ""
              }
            }"#]]
        .assert_eq(&serde_json::to_string_pretty(&inspect(&record(), driver)).unwrap());
    }

    #[test]
    fn history_document() {
        let items = history(&record()).unwrap();
        expect![[r#"[{"Comment":"last","Created":0,"CreatedBy":"CMD [\"sh\"]","Id":"<missing>","Size":0,"Tags":null},{"Comment":"first","Created":1704164645,"CreatedBy":"COPY x /","Id":"<missing>","Size":7,"Tags":null}]"#]].assert_eq(&serde_json::to_string(&items).unwrap());
        let broken = Record { layer_sizes: Vec::new(), ..record() };
        assert_eq!(history(&broken).unwrap_err().to_string(), "too many non-empty layers in History section");
    }
}
