//! `--network` in its short and its long form, and the flags that go with it.

use wharf_api::{
    container::{EndpointSettings, NetworkingConfig},
    network::EndpointIpamConfig,
};

use crate::{
    Matches,
    value::{quote, split_record},
};

/// A network to connect to.
#[derive(Debug, Clone, Default)]
struct Attachment {
    target: String,
    aliases: Vec<String>,
    links: Vec<String>,
    driver_options: Vec<(String, String)>,
    ipv4: String,
    ipv6: String,
    link_local: Vec<String>,
    mac: String,
    gateway_priority: i64,
}

/// Checks a value while it is parsed.
pub(super) fn check(text: &str) -> Result<(), String> {
    parse(text).map(drop)
}

/// The network that gives the container its mode.
pub(super) fn mode(m: &Matches) -> Result<String, String> {
    match m.list("network").first() {
        Some(first) => Ok(parse(first)?.target),
        None => Ok("default".to_owned()),
    }
}

/// The settings of every network.
pub(super) fn build(m: &Matches) -> Result<NetworkingConfig, String> {
    let mut attachments = m.list("network").iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
    let given = attachments.len();
    if attachments.is_empty() {
        attachments.push(Attachment { target: "default".to_owned(), ..Attachment::default() });
    }
    // The flags of old stand for the first network.
    apply_flags(&mut attachments[0], m)?;
    let mut config = NetworkingConfig::default();
    for attachment in &attachments {
        let settings = settings(attachment)?;
        if config.endpoints_config.contains_key(&attachment.target) {
            return Err(format!("network {} is specified multiple times", quote(&attachment.target)));
        }
        // A single network without settings is said by the mode alone.
        if given != 1 || settings != EndpointSettings::default() {
            config.endpoints_config.insert(attachment.target.clone(), Some(settings));
        }
    }
    let own = |a: &&Attachment| is_user_defined(&a.target);
    let user_defined = attachments.iter().filter(own).count();
    if user_defined != 0 && user_defined != attachments.len() {
        let text = "conflicting options: cannot attach both user-defined and non-user-defined network-modes";
        return Err(text.to_owned());
    }
    Ok(config)
}

fn is_user_defined(target: &str) -> bool {
    !matches!(target, "default" | "bridge" | "host" | "none") && !target.starts_with("container:")
}

/// A name, or `name=NAME,alias=…,ip=…,…`.
fn parse(text: &str) -> Result<Attachment, String> {
    if !is_long_form(text) {
        return Ok(Attachment { target: text.to_owned(), ..Attachment::default() });
    }
    let mut attachment = Attachment::default();
    for field in split_record(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) if !key.is_empty() => (key.trim().to_lowercase(), value.trim()),
            _ => return Err(format!("invalid field {field}")),
        };
        match key.as_str() {
            "name" => attachment.target = value.to_owned(),
            "alias" => attachment.aliases.push(value.to_owned()),
            "ip" => attachment.ipv4 = value.to_owned(),
            "ip6" => attachment.ipv6 = value.to_owned(),
            "link-local-ip" => attachment.link_local.push(value.to_owned()),
            "mac-address" => attachment.mac = value.to_owned(),
            "driver-opt" => match value.split_once('=') {
                Some((key, value)) if !key.is_empty() => {
                    attachment.driver_options.push((key.trim().to_lowercase(), value.trim().to_owned()));
                }
                _ => return Err("invalid key value pair format in driver options".to_owned()),
            },
            "gw-priority" => {
                let invalid = |_| format!("invalid gw-priority ({value}): invalid syntax");
                attachment.gateway_priority = value.parse().map_err(invalid)?;
            }
            _ => return Err(format!("invalid field key {key}")),
        }
    }
    if attachment.target.is_empty() {
        return Err("network name/id is not specified".to_owned());
    }
    Ok(attachment)
}

/// True if there is a `=` between two letters, digits or underscores anywhere.
fn is_long_form(text: &str) -> bool {
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    text.as_bytes().windows(3).any(|w| word(&w[0]) && w[1] == b'=' && word(&w[2]))
}

fn apply_flags(first: &mut Attachment, m: &Matches) -> Result<(), String> {
    let both = |flag: &str, other: &str| {
        Err(format!("conflicting options: cannot specify both --{flag} and per-network {other}"))
    };
    let (aliases, link_local) = (m.list("network-alias"), m.list("link-local-ip"));
    if !aliases.is_empty() {
        if !first.aliases.is_empty() {
            return both("network-alias", "alias");
        }
        first.aliases = aliases;
    }
    if is_user_defined(&first.target) {
        first.links = m.list("link");
    }
    for (flag, other, place) in [
        ("ip", "IPv4 address", &mut first.ipv4),
        ("ip6", "IPv6 address", &mut first.ipv6),
        ("mac-address", "MAC address", &mut first.mac),
    ] {
        let value = m.str(flag);
        if !value.is_empty() {
            if !place.is_empty() {
                return both(flag, other);
            }
            *place = value.to_owned();
        }
    }
    if !link_local.is_empty() {
        if !first.link_local.is_empty() {
            return both("link-local-ip", "link-local IP addresses");
        }
        first.link_local = link_local;
    }
    Ok(())
}

fn settings(attachment: &Attachment) -> Result<EndpointSettings, String> {
    if attachment.target.trim().is_empty() {
        return Err("no name set for network".to_owned());
    }
    if !is_user_defined(&attachment.target) && !attachment.aliases.is_empty() {
        return Err("network-scoped aliases are only supported for user-defined networks".to_owned());
    }
    check_mac(&attachment.mac)?;
    let ipam = EndpointIpamConfig {
        ipv4_address: attachment.ipv4.clone(),
        ipv6_address: attachment.ipv6.clone(),
        link_local_ips: attachment.link_local.clone(),
    };
    let list = |values: &[String]| (!values.is_empty()).then(|| values.to_vec());
    let options = &attachment.driver_options;
    Ok(EndpointSettings {
        ipam_config: (ipam != EndpointIpamConfig::default()).then_some(ipam),
        links: list(&attachment.links),
        aliases: list(&attachment.aliases),
        mac_address: attachment.mac.clone(),
        driver_opts: (!options.is_empty()).then(|| options.iter().cloned().collect()),
        gw_priority: attachment.gateway_priority,
        ..EndpointSettings::default()
    })
}

/// A hardware address of 6, 8 or 20 bytes, with colons, dashes or dots; empty is fine.
pub(super) fn check_mac(text: &str) -> Result<(), String> {
    let hex = |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_hexdigit());
    let valid = [(':', 2), ('-', 2), ('.', 4)].into_iter().any(|(separator, length)| {
        let parts: Vec<&str> = text.split(separator).collect();
        matches!(parts.len() * length, 12 | 16 | 40) && parts.iter().all(|part| hex(part, length))
    });
    if valid || text.is_empty() { Ok(()) } else { Err(format!("{text} is not a valid mac address")) }
}
