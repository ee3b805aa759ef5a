//! The PORTS column.

use std::collections::HashMap;

use wharf_api::container::Port;

/// Ports in order, with neighbours of the same kind joined to ranges.
pub(crate) fn ports(ports: &[Port]) -> String {
    let mut sorted: Vec<_> = ports.iter().collect();
    sorted.sort_by(|a, b| {
        (a.private_port, &a.ip, a.public_port, &a.kind).cmp(&(b.private_port, &b.ip, b.public_port, &b.kind))
    });
    let mut groups: HashMap<(&str, &str), (u16, u16)> = HashMap::new();
    let (mut order, mut shown, mut mappings) = (Vec::new(), Vec::new(), Vec::new());
    for port in sorted {
        let current = port.private_port;
        if !port.ip.is_empty() && port.public_port != current {
            mappings.push(format!("{}->{current}/{}", host_port(&port.ip, port.public_port), port.kind));
            continue;
        }
        let key = (port.ip.as_str(), port.kind.as_str());
        match groups.get_mut(&key) {
            None => {
                groups.insert(key, (current, current));
                order.push(key);
            }
            Some((_, last)) if last.checked_add(1) == Some(current) => *last = current,
            Some(range) => {
                shown.push(group(key, *range));
                *range = (current, current);
            }
        }
    }
    shown.extend(order.into_iter().map(|key| group(key, groups[&key])));
    shown.extend(mappings);
    shown.join(", ")
}

fn group((ip, kind): (&str, &str), (first, last): (u16, u16)) -> String {
    let range = if first == last { first.to_string() } else { format!("{first}-{last}") };
    if ip.is_empty() {
        return format!("{range}/{kind}");
    }
    format!("{}->{range}/{kind}", host_port(ip, &range))
}

/// An address and a port; IPv6 addresses get brackets.
fn host_port(ip: &str, port: impl std::fmt::Display) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(ip: &str, public_port: u16, private_port: u16, kind: &str) -> Port {
        Port { ip: ip.to_owned(), private_port, public_port, kind: kind.to_owned() }
    }

    #[test]
    fn neighbours_are_joined_unless_they_are_mapped_to_other_numbers() {
        assert_eq!(
            ports(&[port("", 0, 80, "tcp"), port("", 0, 81, "tcp"), port("", 0, 90, "tcp")]),
            "80-81/tcp, 90/tcp"
        );
        assert_eq!(
            ports(&[
                port("0.0.0.0", 81, 81, "tcp"),
                port("::", 80, 80, "tcp"),
                port("0.0.0.0", 80, 80, "tcp"),
                port("::", 81, 81, "tcp")
            ]),
            "0.0.0.0:80-81->80-81/tcp, [::]:80-81->80-81/tcp"
        );
        assert_eq!(
            ports(&[
                port("127.0.0.1", 8080, 80, "tcp"),
                port("", 0, 22, "tcp"),
                port("0.0.0.0", 5353, 53, "udp")
            ]),
            "22/tcp, 0.0.0.0:5353->53/udp, 127.0.0.1:8080->80/tcp"
        );
        assert_eq!(ports(&[]), "");
    }
}
