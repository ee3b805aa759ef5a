//! `system version`.

use std::fmt::Write as _;

use serde_json::json;
use wharf_api::system::Version;
use wharf_template::{Nil, Template, Value};

use crate::{
    Cli, Error, Matches, Result,
    command::Command,
    flag::{Flag, INSPECT_FORMAT_HELP},
    inspect, print,
    render::Document,
};

static FLAGS: &[Flag] = &[Flag::string("format", INSPECT_FORMAT_HELP).short('f')];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("version", "[OPTIONS]", "Show the version information").flags(FLAGS).run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let source = match m.str("format") {
        "json" => "{{json .}}",
        source => source,
    };
    let template = Template::parse_named("version", source).map_err(inspect::template_error)?;
    let (server, api, failure) = match fetch(cli) {
        Ok((server, api)) => (Some(server), api, None),
        Err(error) => (None, wharf_client::API_VERSION.to_owned(), Some(error)),
    };
    if source.is_empty() {
        print::out(&text(cli, server.as_ref(), &api));
        return failure.map_or(Ok(()), Err);
    }
    match template.render_value(&value(cli, server.as_ref(), &api)) {
        Ok(text) => {
            print::line(&text);
            failure.map_or(Ok(()), Err)
        }
        Err(error) => {
            print::line("");
            Err(failure.unwrap_or(Error::Template(error)))
        }
    }
}

/// What the engine says, and the API version both agreed on.
fn fetch(cli: &Cli) -> Result<(Version, String)> {
    let client = cli.client()?;
    cli.block_on(async {
        client.negotiate().await?;
        let version = client.server_version().await?;
        Ok((version, client.version()))
    })
}

/// Go's name of this processor's architecture.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn text(cli: &Cli, server: Option<&Version>, api: &str) -> String {
    let mut out = String::from("Client:\n");
    line(&mut out, " Version:", crate::VERSION);
    let newest = wharf_client::API_VERSION;
    let api = if api == newest { api.to_owned() } else { format!("{api} (downgraded from {newest})") };
    line(&mut out, " API version:", &api);
    line(&mut out, " Git commit:", crate::BUILD);
    line(&mut out, " OS/Arch:", &format!("linux/{}", architecture()));
    line(&mut out, " Context:", cli.context());
    let Some(server) = server else { return out };
    let platform = &server.platform.name;
    let _ = write!(out, "\nServer:{}{platform}\n", if platform.is_empty() { "" } else { " " });
    for component in &server.components {
        let _ = writeln!(out, " {}:", component.name);
        line(&mut out, "  Version:", &component.version);
        let detail = |key: &str| component.details.get(key).map_or("", String::as_str);
        if component.name != "Engine" {
            for (key, value) in &component.details {
                line(&mut out, &format!("  {key}:"), value);
            }
            continue;
        }
        let api = format!("{} (minimum version {})", detail("ApiVersion"), detail("MinAPIVersion"));
        line(&mut out, "  API version:", &api);
        for (title, key) in [("Go version", "GoVersion"), ("Git commit", "GitCommit"), ("Built", "BuildTime")]
        {
            if !detail(key).is_empty() {
                line(&mut out, &format!("  {title}:"), detail(key));
            }
        }
        line(&mut out, "  OS/Arch:", &format!("{}/{}", detail("Os"), detail("Arch")));
        let experimental = if detail("Experimental").is_empty() { "false" } else { detail("Experimental") };
        line(&mut out, "  Experimental:", experimental);
    }
    out
}

fn line(out: &mut String, title: &str, value: &str) {
    let _ = writeln!(out, "{title:<19} {value}");
}

fn value(cli: &Cli, server: Option<&Version>, api: &str) -> Value {
    let client = json!({
        "Version": crate::VERSION,
        "ApiVersion": api,
        "DefaultAPIVersion": wharf_client::API_VERSION,
        "GitCommit": crate::BUILD,
        "GoVersion": "",
        "Os": "linux",
        "Arch": architecture(),
        "BuildTime": "",
        "Context": cli.context(),
    });
    let server = server.map_or(serde_json::Value::Null, |s| serde_json::to_value(s).unwrap_or_default());
    let all = json!({"Client": client, "Server": server});
    Document {
        type_name: "system.versionInfo",
        fields: vec![
            ("Client", part("system.clientVersion", &client)),
            (
                "Server",
                if server.is_null() { Value::Nil(Nil::Pointer) } else { part("*types.Version", &server) },
            ),
        ],
        json: all,
    }
    .value()
}

/// One side's document, in which Go writes `ApiVersion` as `APIVersion`.
fn part(type_name: &'static str, document: &serde_json::Value) -> Value {
    let mut fields = Vec::new();
    for (key, value) in document.as_object().into_iter().flatten() {
        let name = match key.as_str() {
            "ApiVersion" => "APIVersion",
            "Version" => "Version",
            "DefaultAPIVersion" => "DefaultAPIVersion",
            "GitCommit" => "GitCommit",
            "GoVersion" => "GoVersion",
            "Os" => "Os",
            "Arch" => "Arch",
            "BuildTime" => "BuildTime",
            "Context" => "Context",
            "Platform" => "Platform",
            "Components" => "Components",
            "MinAPIVersion" => "MinAPIVersion",
            "KernelVersion" => "KernelVersion",
            "Experimental" => "Experimental",
            _ => continue,
        };
        fields.push((name, inspect::typed(value)));
    }
    Document { type_name, fields, json: document.clone() }.value()
}
