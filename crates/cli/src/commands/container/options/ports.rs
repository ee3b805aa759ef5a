//! `-p` and `--expose`.

use std::net::IpAddr;

use wharf_api::{
    Empty, Set,
    container::{PortBinding, PortMap},
};

use crate::value::quote;

/// The ports asked for.
#[derive(Debug, Default)]
pub(super) struct Ports {
    /// All of them.
    pub(super) exposed: Set,
    /// Those that are published.
    pub(super) bindings: PortMap,
}

pub(super) fn parse(published: &[String], exposed: &[String]) -> Result<Ports, String> {
    let mut ports = Ports::default();
    let specs = published.iter().map(|spec| short_form(spec)).collect::<Result<Vec<_>, _>>()?;
    for spec in specs {
        publish(&spec, &mut ports)?;
    }
    for spec in exposed {
        expose(spec, &mut ports)?;
    }
    Ok(ports)
}

/// `published=8080,target=80,protocol=udp` as `8080:80/udp`.
fn short_form(spec: &str) -> Result<String, String> {
    if !spec.contains('=') {
        return Ok(spec.to_owned());
    }
    let (mut published, mut target, mut protocol) = ("", "", "tcp");
    for field in spec.split(',') {
        let mut parts = field.split('=');
        let (key, value) = (parts.next().unwrap_or_default(), parts.next());
        let value = value
            .ok_or_else(|| format!("invalid publish opts format (should be name=value but got '{field}')"))?;
        match key {
            "published" => published = value,
            "target" => target = value,
            "protocol" => protocol = value,
            _ => {}
        }
    }
    Ok(format!("{published}:{target}/{protocol}"))
}

/// `[[ADDRESS:]HOST:]CONTAINER[/PROTOCOL]`, each port a number or a range.
fn publish(spec: &str, ports: &mut Ports) -> Result<(), String> {
    let parts: Vec<&str> = spec.split(':').collect();
    let (address, host, container) = match parts[..] {
        [container] => (String::new(), "", container),
        [host, container] => (String::new(), host, container),
        [ref address @ .., host, container] => (address.join(":"), host, container),
        [] => (String::new(), "", ""),
    };
    let (container, protocol) = split_protocol(container);
    let address = parse_address(&address)?;
    if container.is_empty() {
        return Err(format!("No port specified: {spec}<empty>"));
    }
    let (start, end) = range(container).map_err(|_| format!("Invalid containerPort: {container}"))?;
    let host_range = match host {
        "" => None,
        host => Some(range(host).map_err(|_| format!("Invalid hostPort: {host}"))?),
    };
    let one_of_many = host_range.is_some_and(|(first, last)| last - first != end - start);
    if one_of_many && start != end {
        return Err(format!("Invalid ranges specified for container and host Ports: {container} and {host}"));
    }
    let protocol = protocol.to_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("Invalid proto: {protocol}"));
    }
    for offset in 0..=end - start {
        let host_port = match host_range {
            None => String::new(),
            Some((first, last)) if one_of_many => format!("{first}-{last}"),
            Some((first, _)) => (first + offset).to_string(),
        };
        let port = format!("{}/{protocol}", start + offset);
        ports.exposed.insert(port.clone(), Empty);
        let binding = PortBinding { host_ip: address.clone(), host_port };
        ports.bindings.entry(port).or_default().get_or_insert_default().push(binding);
    }
    Ok(())
}

/// `PORT[-PORT][/PROTOCOL]`.
fn expose(spec: &str, ports: &mut Ports) -> Result<(), String> {
    if spec.contains(':') {
        return Err(format!("invalid port format for --expose: {spec}"));
    }
    let (port, protocol) = split_protocol(spec);
    let (start, end) =
        range(port).map_err(|error| format!("invalid range format for --expose: {spec}, error: {error}"))?;
    // compat: the protocol is not looked at.
    for port in start..=end {
        ports.exposed.insert(format!("{port}/{protocol}"), Empty);
    }
    Ok(())
}

fn split_protocol(port: &str) -> (&str, &str) {
    let mut parts = port.split('/');
    let port = parts.next().unwrap_or_default();
    let protocol = parts.next().filter(|protocol| !protocol.is_empty()).unwrap_or("tcp");
    (port, if port.is_empty() { "" } else { protocol })
}

/// A port or a range of them, with the words Go's library has for what is wrong.
fn range(text: &str) -> Result<(u32, u32), String> {
    if text.is_empty() {
        return Err("Empty string specified for ports.".to_owned());
    }
    let mut parts = text.split('-');
    let start = number(parts.next().unwrap_or_default())?;
    // compat: what follows a second dash is not looked at.
    let end = parts.next().map_or(Ok(start), number)?;
    if end < start {
        return Err(format!("Invalid range specified for the Port: {text}"));
    }
    Ok((start, end))
}

fn number(text: &str) -> Result<u32, String> {
    let why = match text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        true => match text.parse::<u16>() {
            Ok(port) => return Ok(port.into()),
            Err(_) => "value out of range",
        },
        false => "invalid syntax",
    };
    Err(format!("strconv.ParseUint: parsing {}: {why}", quote(text)))
}

/// The address to listen on; IPv6 ones stand in brackets.
fn parse_address(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let split = |why: &str| Err(format!("Invalid ip address {text}: address {text}:: {why}"));
    let plain = match text.strip_prefix('[') {
        Some(rest) => match rest.strip_suffix(']') {
            Some(inside) if !inside.contains(']') => inside,
            _ => return split("missing ']' in address"),
        },
        None if text.contains(':') => return split("too many colons in address"),
        None => text,
    };
    match plain.parse::<IpAddr>() {
        Ok(_) => Ok(plain.to_owned()),
        Err(_) => Err(format!("Invalid ip address: {plain}")),
    }
}
