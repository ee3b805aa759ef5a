//! `system info`.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};
use wharf_api::system::Info;
use wharf_template::Template;

use crate::{
    Cli, Matches, Result,
    command::Command,
    flag::{Flag, INSPECT_FORMAT_HELP},
    inspect, print, render,
};

static FLAGS: &[Flag] = &[Flag::string("format", INSPECT_FORMAT_HELP).short('f')];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("info", "[OPTIONS]", "Display system-wide information")
    .aliases(&["system info", "info"])
    .flags(FLAGS)
    .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let source = match m.str("format") {
        "json" => "{{json .}}",
        source => source,
    };
    let template = Template::parse(source).map_err(inspect::template_error)?;
    let fetched: Result<Json> =
        cli.client().and_then(|client| cli.block_on(async { Ok(client.info().await?) }));
    if source.is_empty() {
        return show(cli, fetched);
    }
    let mut document = match fetched {
        Ok(document) => document,
        Err(error) => {
            print::line("");
            return Err(error);
        }
    };
    if let Some(entries) = document.as_object_mut() {
        entries.insert("ClientInfo".to_owned(), client_info(cli));
    }
    match template.render_value(&inspect::typed_as("system.dockerInfo", &document)) {
        Ok(text) => {
            print::line(&text);
            Ok(())
        }
        Err(error) => {
            print::line("");
            Err(error.into())
        }
    }
}

fn client_info(cli: &Cli) -> Json {
    json!({
        "Debug": cli.debug(),
        "Version": crate::VERSION,
        "DefaultAPIVersion": wharf_client::API_VERSION,
        "GitCommit": crate::BUILD,
        "Os": "linux",
        "Context": cli.context(),
        "Plugins": [],
        "Warnings": null,
    })
}

fn show(cli: &Cli, fetched: Result<Json>) -> Result<()> {
    let mut out = format!(
        "Client:\n Version:    {}\n Context:    {}\n Debug Mode: {}\n\nServer:\n",
        crate::VERSION,
        cli.context(),
        cli.debug()
    );
    match fetched {
        Err(error) => {
            print::out(&out);
            Err(error)
        }
        Ok(document) => {
            let info: Info = serde_json::from_value(document).unwrap_or_default();
            server(&info, &mut out);
            out.push('\n');
            print::out(&out);
            info.warnings.iter().flatten().for_each(|warning| print::warn(warning));
            Ok(())
        }
    }
}

fn server(info: &Info, out: &mut String) {
    let mut line = |title: &str, value: &str| {
        let _ = writeln!(out, " {title}: {value}");
    };
    line("Containers", &info.containers.to_string());
    line(" Running", &info.containers_running.to_string());
    line(" Paused", &info.containers_paused.to_string());
    line(" Stopped", &info.containers_stopped.to_string());
    line("Images", &info.images.to_string());
    if !info.server_version.is_empty() {
        line("Server Version", &info.server_version);
    }
    line("Storage Driver", &info.driver);
    for [key, value] in &info.driver_status {
        line(&format!(" {key}"), value);
    }
    for (title, value) in [
        ("Logging Driver", &info.logging_driver),
        ("Cgroup Driver", &info.cgroup_driver),
        ("Cgroup Version", &info.cgroup_version),
    ] {
        if !value.is_empty() {
            line(title, value);
        }
    }
    plugins(info, out);
    runtimes(info, out);
    host(info, out);
    settings(info, out);
}

fn plugins(info: &Info, out: &mut String) {
    out.push_str(" Plugins:\n");
    let kinds = [
        ("Volume", &info.plugins.volume),
        ("Network", &info.plugins.network),
        ("Authorization", &info.plugins.authorization),
        ("Log", &info.plugins.log),
    ];
    for (kind, names) in kinds {
        let names = names.as_deref().unwrap_or_default();
        if kind != "Authorization" || !names.is_empty() {
            let _ = writeln!(out, "  {kind}: {}", names.join(" "));
        }
    }
    list(out, "CDI spec directories", &info.cdi_spec_dirs);
    let _ = writeln!(out, " Swarm: {}", info.swarm.local_node_state);
}

fn runtimes(info: &Info, out: &mut String) {
    if !info.runtimes.is_empty() {
        let names: Vec<_> = info.runtimes.keys().map(String::as_str).collect();
        let _ = writeln!(out, " Runtimes: {}", names.join(" "));
        let _ = writeln!(out, " Default Runtime: {}", info.default_runtime);
    }
    if info.os_type == "linux" {
        let _ = writeln!(out, " Init Binary: {}", info.init_binary);
        for (title, commit) in [
            ("containerd", &info.containerd_commit),
            ("runc", &info.runc_commit),
            ("init", &info.init_commit),
        ] {
            let _ = writeln!(out, " {title} version: {}", commit.id);
        }
    }
    if !info.security_options.is_empty() {
        out.push_str(" Security Options:\n");
    }
    for option in &info.security_options {
        let pairs = option.split(',').filter_map(|pair| pair.split_once('='));
        for (key, value) in pairs {
            let _ = match key {
                "name" => writeln!(out, "  {value}"),
                "profile" => writeln!(out, "   Profile: {value}"),
                key => writeln!(out, "   {key}: {value}"),
            };
        }
    }
}

fn host(info: &Info, out: &mut String) {
    let memory = render::bytes_size(info.mem_total as f64);
    for (title, value) in [
        ("Kernel Version", info.kernel_version.as_str()),
        ("Operating System", &info.operating_system),
        ("OSType", &info.os_type),
        ("Architecture", &info.architecture),
        ("CPUs", &info.n_cpu.to_string()),
        ("Total Memory", &memory),
        ("Name", &info.name),
        ("ID", &info.id),
        ("Docker Root Dir", &info.docker_root_dir),
        ("Debug Mode", &info.debug.to_string()),
        ("HTTP Proxy", &info.http_proxy),
        ("HTTPS Proxy", &info.https_proxy),
        ("No Proxy", &info.no_proxy),
    ] {
        if !(value.is_empty() && title.contains("Proxy")) {
            let _ = writeln!(out, " {title}: {value}");
        }
    }
}

fn settings(info: &Info, out: &mut String) {
    list(out, "Labels", &info.labels);
    let _ = writeln!(out, " Experimental: {}", info.experimental_build);
    if let Some(registries) = &info.registry_config {
        let mut insecure: Vec<_> =
            registries.index_configs.values().filter(|r| !r.secure).map(|r| r.name.clone()).collect();
        insecure.extend(registries.insecure_registry_cidrs.iter().cloned());
        list(out, "Insecure Registries", &insecure);
        list(out, "Registry Mirrors", registries.mirrors.as_deref().unwrap_or_default());
    }
    let _ = writeln!(out, " Live Restore Enabled: {}", info.live_restore_enabled);
    if !info.default_address_pools.is_empty() {
        out.push_str(" Default Address Pools:\n");
    }
    for pool in &info.default_address_pools {
        let _ = writeln!(out, "   Base: {}, Size: {}", pool.base, pool.size);
    }
}

fn list(out: &mut String, title: &str, items: &[String]) {
    if !items.is_empty() {
        let _ = writeln!(out, " {title}:");
    }
    for item in items {
        let _ = writeln!(out, "  {item}");
    }
}
