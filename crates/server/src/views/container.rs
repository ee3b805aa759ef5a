//! Containers as `inspect` and the list show them.

use std::collections::HashMap;

use jiff::Timestamp;
use wharf_api::container::{
    DriverData, Health, HealthcheckResult, Inspect, NetworkSettings, Port, PortBinding, PortMap, State,
    Summary, SummaryHostConfig, SummaryNetworkSettings,
};
use wharf_api::time::{rfc3339_nano, rfc3339_nano_or_zero};
use wharf_engine::container::{Container, Probe, Status};
use wharf_engine::{Engine, Result};

use super::{elapsed, endpoint};

/// Name of the storage driver, as clients know it.
const STORAGE_DRIVER: &str = "overlay2";

/// The answer of `GET /containers/{id}/json`.
pub(crate) fn inspect(engine: &Engine, container: &Container, size: bool) -> Result<Inspect> {
    // Docker makes these files at the first start, and clients take an empty path for "never started".
    let file = |name: &str| match container.state.started_at {
        Some(_) => engine.paths.container(&container.id).join(name).display().to_string(),
        None => String::new(),
    };
    let log_path = match container.host_config.log_config.kind.as_str() {
        "json-file" => file(&format!("{}-json.log", container.id)),
        _ => String::new(),
    };
    let sizes = if size { Some(engine.container_sizes(container)?) } else { None };
    Ok(Inspect {
        id: container.id.clone(),
        created: rfc3339_nano(container.created),
        path: container.path.clone(),
        args: container.args.clone(),
        state: state(container),
        image: container.image.clone(),
        resolv_conf_path: file("resolv.conf"),
        hostname_path: file("hostname"),
        hosts_path: file("hosts"),
        log_path,
        name: format!("/{}", container.name),
        restart_count: container.state.restart_count,
        driver: STORAGE_DRIVER.to_owned(),
        platform: "linux".to_owned(),
        exec_ids: engine.exec_ids(&container.id),
        host_config: container.host_config.clone(),
        graph_driver: graph_driver(engine, container),
        size_rw: sizes.map(|sizes| sizes.own),
        size_root_fs: sizes.map(|sizes| sizes.all),
        mounts: container.mounts.clone(),
        config: container.config.clone(),
        network_settings: network_settings(container),
        ..Inspect::default()
    })
}

fn state(container: &Container) -> State {
    let state = &container.state;
    State {
        status: state.status.as_str().to_owned(),
        running: state.status.is_running(),
        paused: state.status == Status::Paused,
        restarting: state.status == Status::Restarting,
        oom_killed: state.oom_killed,
        dead: state.status == Status::Dead,
        pid: state.pid.into(),
        exit_code: state.exit_code.into(),
        error: state.error.clone(),
        started_at: rfc3339_nano_or_zero(state.started_at),
        finished_at: rfc3339_nano_or_zero(state.finished_at),
        health: state.health.as_ref().map(health),
    }
}

fn health(health: &wharf_engine::container::Health) -> Health {
    let result = |probe: &Probe| HealthcheckResult {
        start: rfc3339_nano(probe.start),
        end: rfc3339_nano(probe.end),
        exit_code: probe.exit_code.into(),
        output: probe.output.clone(),
    };
    Health {
        status: health.status.as_str().to_owned(),
        failing_streak: health.failing_streak,
        log: Some(health.log.iter().map(result).collect()),
    }
}

fn graph_driver(engine: &Engine, container: &Container) -> DriverData {
    let mut data = engine.snapshot_folders(&container.id);
    data.insert("ID".to_owned(), container.id.clone());
    DriverData { data: Some(data), name: STORAGE_DRIVER.to_owned() }
}

fn network_settings(container: &Container) -> NetworkSettings {
    let networks = endpoint::all(container);
    let mut settings = NetworkSettings { ports: Some(ports(container)), ..NetworkSettings::default() };
    if container.state.status.has_process() && container.network_container().is_none() {
        settings.sandbox_id.clone_from(&container.id);
        settings.sandbox_key = format!("/proc/{}/ns/net", container.state.pid);
    }
    // The unnamed fields repeat the default bridge.
    if let Some(bridge) = networks.get("bridge") {
        settings.endpoint_id.clone_from(&bridge.endpoint_id);
        settings.gateway.clone_from(&bridge.gateway);
        settings.ip_address.clone_from(&bridge.ip_address);
        settings.ip_prefix_len = bridge.ip_prefix_len;
        settings.mac_address.clone_from(&bridge.mac_address);
    }
    settings.networks = Some(networks);
    settings
}

/// Published ports of a running container, and those that are exposed only as `None`.
fn ports(container: &Container) -> PortMap {
    let mut ports = PortMap::new();
    if !container.state.status.has_process() {
        return ports;
    }
    let endpoints = || container.networks.values().filter_map(|endpoint| endpoint.state.as_ref());
    // Without an own network nothing is exposed.
    if endpoints().any(|endpoint| endpoint.ip.is_some()) {
        let key = |port: &str| if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") };
        ports.extend(container.config.exposed_ports.keys().map(|port| (key(port), None)));
    }
    for binding in endpoints().flat_map(|endpoint| &endpoint.ports) {
        let bindings = ports.entry(format!("{}/{}", binding.container_port, binding.protocol)).or_default();
        bindings.get_or_insert_default().push(PortBinding {
            host_ip: binding.host_ip.to_string(),
            host_port: binding.host_port.to_string(),
        });
    }
    ports
}

/// What images are called while one list is made: each name is looked up once.
pub(crate) struct ImageNames<'a> {
    engine: &'a Engine,
    ids: HashMap<String, Option<String>>,
}

impl<'a> ImageNames<'a> {
    /// Nothing looked up yet.
    pub(crate) fn new(engine: &'a Engine) -> Self {
        ImageNames { engine, ids: HashMap::new() }
    }

    /// The image as the user named it, or its id when that name now means another image.
    fn of(&mut self, container: &Container) -> String {
        let name = &container.config.image;
        let known = match self.ids.get(name) {
            Some(known) => known,
            None => {
                let found = self.engine.images.find(name, None).ok().map(|image| image.id().to_string());
                self.ids.entry(name.clone()).or_insert(found)
            }
        };
        if known.as_ref() == Some(&container.image) { name.clone() } else { container.image.clone() }
    }
}

/// A row of `GET /containers/json`.
pub(crate) fn summary(
    container: &Container,
    images: &mut ImageNames<'_>,
    size: bool,
    now: Timestamp,
) -> Result<Summary> {
    let sizes = if size { images.engine.container_sizes(container)? } else { Default::default() };
    Ok(Summary {
        id: container.id.clone(),
        names: vec![format!("/{}", container.name)],
        image: images.of(container),
        image_id: container.image.clone(),
        command: command(container),
        created: container.created.as_second(),
        ports: port_rows(container),
        size_rw: sizes.own,
        size_root_fs: sizes.all,
        labels: container.config.labels.clone().unwrap_or_default(),
        state: container.state.status.as_str().to_owned(),
        status: status(container, now),
        host_config: SummaryHostConfig {
            network_mode: container.host_config.network_mode.clone(),
            annotations: container.host_config.annotations.clone(),
        },
        network_settings: SummaryNetworkSettings { networks: Some(endpoint::all_brief(container)) },
        mounts: container.mounts.clone(),
    })
}

/// Program and arguments; those with spaces in quotes.
fn command(container: &Container) -> String {
    let mut command = container.path.clone();
    for argument in &container.args {
        command.push(' ');
        if argument.contains(' ') {
            command.extend(["'", argument, "'"]);
        } else {
            command.push_str(argument);
        }
    }
    command
}

fn port_rows(container: &Container) -> Vec<Port> {
    let mut rows = Vec::new();
    for (key, bindings) in ports(container) {
        let (port, protocol) = key.split_once('/').unwrap_or((&key, "tcp"));
        let row =
            Port { private_port: port.parse().unwrap_or(0), kind: protocol.to_owned(), ..Port::default() };
        match bindings {
            None => rows.push(row),
            Some(bindings) => rows.extend(bindings.into_iter().map(|binding| Port {
                ip: binding.host_ip,
                public_port: binding.host_port.parse().unwrap_or(0),
                ..row.clone()
            })),
        }
    }
    rows.sort_by_key(|row| row.private_port);
    rows
}

/// The state in words, for example `Up 2 hours`.
fn status(container: &Container, now: Timestamp) -> String {
    let state = &container.state;
    let since = |at: Option<Timestamp>| elapsed::words(at.unwrap_or(now), now);
    match state.status {
        Status::Paused => format!("Up {} (Paused)", since(state.started_at)),
        Status::Restarting => format!("Restarting ({}) {} ago", state.exit_code, since(state.finished_at)),
        Status::Running => {
            let health = match container.health_word() {
                "none" => String::new(),
                "starting" => " (health: starting)".to_owned(),
                word => format!(" ({word})"),
            };
            format!("Up {}{health}", since(state.started_at))
        }
        Status::Removing => "Removal In Progress".to_owned(),
        Status::Dead => "Dead".to_owned(),
        Status::Created => "Created".to_owned(),
        Status::Exited => format!("Exited ({}) {} ago", state.exit_code, since(state.finished_at)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn container(status: Status) -> Container {
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let mut container = Container { path: "sh".to_owned(), ..Container::default() };
        container.args = vec!["-c".to_owned(), "echo a".to_owned()];
        container.state.status = status;
        container.state.started_at = at(1000);
        container.state.finished_at = at(1060);
        container.state.exit_code = 3;
        container
    }

    #[test]
    fn states_in_words() {
        use Status::*;
        let now = Timestamp::from_second(4660).unwrap();
        let words: Vec<_> = [Created, Running, Paused, Restarting, Exited, Removing, Dead]
            .map(|status_| status(&container(status_), now))
            .into_iter()
            .collect();
        expect![[r#"
            Created
            Up About an hour
            Up About an hour (Paused)
            Restarting (3) About an hour ago
            Exited (3) About an hour ago
            Removal In Progress
            Dead"#]]
        .assert_eq(&words.join("\n"));
    }

    #[test]
    fn health_in_words() {
        use wharf_engine::container::{Health, HealthStatus};
        let mut container = container(Status::Running);
        let now = Timestamp::from_second(1005).unwrap();
        let mut words = |word| {
            container.state.health = Some(Health { status: word, ..Health::default() });
            status(&container, now)
        };
        assert_eq!(words(HealthStatus::Starting), "Up 5 seconds (health: starting)");
        assert_eq!(words(HealthStatus::Unhealthy), "Up 5 seconds (unhealthy)");
    }

    #[test]
    fn command_with_spaces_is_quoted() {
        assert_eq!(command(&container(Status::Created)), "sh -c 'echo a'");
    }

    #[test]
    fn ports_of_a_running_container() {
        let mut container = container(Status::Running);
        container.config.exposed_ports.insert("80/tcp".to_owned(), wharf_api::Empty);
        container.config.exposed_ports.insert("53".to_owned(), wharf_api::Empty);
        let published = |host_ip: &str| serde_json::json!({"container_port": 80, "protocol": "tcp", "host_ip": host_ip, "host_port": 8080});
        let state = serde_json::json!({"ip": "172.17.0.2", "ports": [published("0.0.0.0"), published("::")]});
        let place = wharf_engine::container::Endpoint {
            state: Some(serde_json::from_value(state).unwrap()),
            ..Default::default()
        };
        container.networks.insert("bridge".to_owned(), place);
        expect![[r#"{"53/tcp":null,"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}]}"#]]
            .assert_eq(&serde_json::to_string(&ports(&container)).unwrap());
        let rows: Vec<_> =
            port_rows(&container).iter().map(|row| serde_json::to_string(row).unwrap()).collect();
        expect![[r#"
            {"PrivatePort":53,"Type":"tcp"}
            {"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}
            {"IP":"::","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}"#]]
        .assert_eq(&rows.join("\n"));
        container.state.status = Status::Exited;
        assert!(ports(&container).is_empty());
    }
}
