//! Documents against JSON recorded from the reference engine and its clients.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use wharf_api::{auth, container, event, exec, image, network, stats, system, volume};

fn fixture(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

/// Reading and printing a recorded answer gives the same keys in the same order with the same values.
fn echoes<T: DeserializeOwned + Serialize>(name: &str) {
    let recorded: Value = serde_json::from_str(&fixture(name)).unwrap();
    let ours: T = serde_json::from_value(recorded.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
    pretty_eq(name, &recorded, &serde_json::to_value(ours).unwrap());
}

fn pretty_eq(name: &str, left: &Value, right: &Value) {
    let (left, right) = (format!("{left:#}"), format!("{right:#}"));
    for (number, (a, b)) in left.lines().zip(right.lines()).enumerate() {
        assert_eq!(a, b, "{name}, line {}", number + 1);
    }
    assert_eq!(left.lines().count(), right.lines().count(), "{name}");
}

#[test]
fn answers() {
    echoes::<container::Inspect>("container-inspect.json");
    echoes::<container::Inspect>("container-inspect-terminal.json");
    echoes::<container::Inspect>("container-inspect-created.json");
    echoes::<Vec<container::Summary>>("container-list.json");
    echoes::<container::TopResponse>("top.json");
    echoes::<Vec<container::Change>>("changes.json");
    echoes::<stats::Stats>("stats.json");
    echoes::<exec::Inspect>("exec-inspect.json");
    echoes::<image::Inspect>("image-inspect.json");
    echoes::<Vec<image::Summary>>("image-list.json");
    echoes::<Vec<image::HistoryItem>>("image-history.json");
    echoes::<network::Network>("network.json");
    echoes::<network::Network>("network-default.json");
    echoes::<Vec<network::Network>>("network-list.json");
    echoes::<volume::Volume>("volume.json");
    echoes::<volume::ListResponse>("volume-list.json");
    echoes::<system::Version>("version.json");
    echoes::<system::Info>("info.json");
    echoes::<system::DiskUsage>("disk-usage.json");
    for line in fixture("events.jsonl").lines() {
        let recorded: Value = serde_json::from_str(line).unwrap();
        let ours: event::Event = serde_json::from_str(line).unwrap();
        pretty_eq(line, &recorded, &serde_json::to_value(ours).unwrap());
    }
}

/// Whatever a client sent comes back out, apart from empty values that Go leaves out too.
fn keeps<T: DeserializeOwned + Serialize>(client: &str, body: &Value) {
    let ours: T = serde_json::from_value(body.clone()).unwrap_or_else(|error| panic!("{client}: {error}"));
    contains(client, "", &serde_json::to_value(ours).unwrap(), body);
}

fn contains(client: &str, path: &str, ours: &Value, sent: &Value) {
    match (ours, sent) {
        (Value::Object(ours), Value::Object(sent)) => {
            for (key, value) in sent {
                let path = format!("{path}.{key}");
                match ours.get(key) {
                    Some(kept) => contains(client, &path, kept, value),
                    None => assert!(is_empty(value), "{client}: {path} = {value} is lost"),
                }
            }
        }
        (ours, sent) => assert_eq!(ours, sent, "{client}: {path}"),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Bool(true) => false,
    }
}

#[test]
fn requests() {
    for line in fixture("requests.jsonl").lines() {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let (client, path) = (line["client"].to_string(), line["path"].to_string());
        let body = &mut line["body"];
        match path.trim_matches('"').trim_start_matches("/v1.51") {
            "/containers/create" => keeps::<container::CreateRequest>(&client, body),
            "/containers/ID/update" => keeps::<container::UpdateRequest>(&client, body),
            "/containers/ID/exec" => {
                // One client repeats the container of the path, which the engine ignores.
                body.as_object_mut().unwrap().remove("Container");
                keeps::<exec::CreateRequest>(&client, body);
            }
            "/exec/ID/start" => keeps::<exec::StartRequest>(&client, body),
            "/networks/create" => keeps::<network::CreateRequest>(&client, body),
            "/networks/ID/connect" => keeps::<network::ConnectRequest>(&client, body),
            "/networks/ID/disconnect" => keeps::<network::DisconnectRequest>(&client, body),
            "/volumes/create" => keeps::<volume::CreateRequest>(&client, body),
            "/auth" => keeps::<auth::AuthConfig>(&client, body),
            other => panic!("no document for {other}"),
        }
    }
}

#[test]
fn null_is_accepted_everywhere() {
    fn all_null<T: DeserializeOwned + Serialize + Default + PartialEq + std::fmt::Debug>() {
        let mut document = serde_json::to_value(T::default()).unwrap();
        for value in document.as_object_mut().unwrap().values_mut() {
            *value = Value::Null;
        }
        assert_eq!(serde_json::from_value::<T>(document).unwrap(), T::default());
    }
    all_null::<container::CreateRequest>();
    all_null::<container::HostConfig>();
    all_null::<container::Inspect>();
    all_null::<container::UpdateRequest>();
    all_null::<image::Inspect>();
    all_null::<network::CreateRequest>();
    all_null::<network::Network>();
    all_null::<exec::CreateRequest>();
    all_null::<system::Info>();
    let request: container::CreateRequest =
        serde_json::from_str(r#"{"NetworkingConfig":{"EndpointsConfig":{"n":null}},"Cmd":"ls"}"#).unwrap();
    assert!(request.networking_config.unwrap().endpoints_config.contains_key("n"));
    assert_eq!(request.config.cmd.unwrap().0, ["ls"]);
}

/// Every field of the published description of `HostConfig` is known.
#[test]
fn host_config_is_complete() {
    let request = r#"{"Annotations":{"a":"b"},"StorageOpt":{"a":"b"},"Tmpfs":{"a":"b"},"Sysctls":{"a":"b"},
        "Runtime":"r","KernelMemory":1,"KernelMemoryTCP":1,"Mounts":[{"Type":"bind","ReadOnly":true,
        "BindOptions":{"Propagation":"rslave","NonRecursive":true,"CreateMountpoint":true,
        "ReadOnlyNonRecursive":true,"ReadOnlyForceRecursive":true},"VolumeOptions":{"NoCopy":true,
        "Labels":{"a":"b"},"Subpath":"s","DriverConfig":{"Name":"n","Options":{"a":"b"}}},
        "ImageOptions":{"Subpath":"s"},"TmpfsOptions":{"SizeBytes":1,"Mode":511,"Options":[["a","b"]]}}],
        "Init":false,"PidsLimit":5,"OomKillDisable":true,"MemorySwappiness":1,
        "BlkioWeightDevice":[{"Path":"p","Weight":1}],"BlkioDeviceReadBps":[{"Path":"p","Rate":1}],
        "Devices":[{"PathOnHost":"a","PathInContainer":"b","CgroupPermissions":"rwm"}],
        "DeviceRequests":[{"Driver":"d","Count":-1,"DeviceIDs":["0"],"Capabilities":[["gpu"]],"Options":{"a":"b"}}],
        "CapAdd":["ALL"],"Ulimits":[{"Name":"nofile","Soft":1,"Hard":2}],"ConsoleSize":[1,2]}"#;
    keeps::<container::HostConfig>("all fields", &serde_json::from_str(request).unwrap());
}
