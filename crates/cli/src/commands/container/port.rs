//! `container port`.

use wharf_api::container::Inspect;

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    print,
    value::quote,
};

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "port",
    "CONTAINER [PRIVATE_PORT[/PROTO]]",
    "List port mappings or a specific mapping for the container",
)
.aliases(&["container port", "port"])
.args(Args::Range(1, 2))
.run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let name = m.arg(0);
    let client = cli.client()?;
    let container: Inspect = cli.block_on(async { Ok(client.container_inspect(name, false).await?) })?;
    let ports = container.network_settings.ports.unwrap_or_default();
    let mut lines = Vec::new();
    let wanted = if m.args().len() > 1 { Some(port(m.arg(1))?) } else { None };
    for (private, bindings) in &ports {
        if wanted.as_ref().is_some_and(|wanted| wanted != private) {
            continue;
        }
        for binding in bindings.iter().flatten() {
            let ip = &binding.host_ip;
            let ip = if ip.contains(':') { format!("[{ip}]") } else { ip.clone() };
            let public = format!("{ip}:{}", binding.host_port);
            lines.push(match wanted {
                Some(_) => public,
                None => format!("{private} -> {public}"),
            });
        }
    }
    if wanted.is_some() && lines.is_empty() {
        return Err(Error::message(format!("Error: No public port '{}' published for {name}", m.arg(1))));
    }
    lines.sort_by_key(|line| {
        let (port, rest) = line.split_once('/').unwrap_or(("0", line));
        (port.parse::<u32>().unwrap_or(0), rest.to_owned())
    });
    lines.iter().for_each(|line| print::line(line));
    Ok(())
}

/// `80` or `80/udp`, as the keys of the map of ports.
fn port(text: &str) -> Result<String> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    match number.parse::<u16>() {
        Ok(number) => Ok(format!("{number}/{}", protocol.to_lowercase())),
        Err(error) => {
            let why = match error.kind() {
                std::num::IntErrorKind::PosOverflow => "value out of range",
                _ => "invalid syntax",
            };
            let quoted = quote(number);
            let text = format!("Error: invalid port ({number}): strconv.ParseUint: parsing {quoted}: {why}");
            Err(Error::message(text))
        }
    }
}
