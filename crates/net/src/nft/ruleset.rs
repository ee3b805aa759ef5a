//! The table of one engine, as a value: a pure function of its bridges.
//!
//! Everything that varies with containers is a map element (published ports); everything that varies with
//! networks is a set element or one of two or three rules per bridge.

use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::statement::Statement::{self, *};

/// Bridges of all networks.
pub(super) const BRIDGES: &str = "bridges";
/// Bridges of networks without a way out.
pub(super) const INTERNAL: &str = "internal";
/// What happens to packets that leave by the bridge they came from.
pub(super) const SAME_BRIDGE: &str = "same_bridge";
/// Published ports bound to one host address.
pub(super) const PORTS_BY_ADDRESS: &str = "ports_by_address";
/// Published ports bound to every host address.
pub(super) const PORTS: &str = "ports";

/// What the firewall needs to know of a bridge network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bridge {
    pub(crate) interface: String,
    pub(crate) subnet: Ipv4Net,
    pub(crate) gateway: Ipv4Addr,
    pub(crate) internal: bool,
    pub(crate) masquerade: bool,
    pub(crate) icc: bool,
}

/// A base chain.
pub(super) struct Chain {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    /// Netfilter hook: prerouting 0, forward 2, output 3, postrouting 4.
    pub(super) hook: u32,
    pub(super) priority: i32,
    pub(super) rules: Vec<Vec<Statement>>,
}

/// All chains for these bridges.
pub(super) fn chains(bridges: &[Bridge]) -> Vec<Chain> {
    vec![
        Chain { name: "raw_prerouting", kind: "filter", hook: 0, priority: -300, rules: raw(bridges) },
        Chain { name: "prerouting", kind: "nat", hook: 0, priority: -100, rules: port_rules() },
        Chain { name: "forward", kind: "filter", hook: 2, priority: 0, rules: forward() },
        Chain { name: "output", kind: "nat", hook: 3, priority: -100, rules: port_rules() },
        Chain { name: "postrouting", kind: "nat", hook: 4, priority: 100, rules: postrouting(bridges) },
    ]
}

/// Before connection tracking: nobody reaches a container at its own address from outside its network, and
/// nothing from another machine or a container reaches ports bound to loopback (which the bridges'
/// `route_localnet` would otherwise let in).
fn raw(bridges: &[Bridge]) -> Vec<Vec<Statement>> {
    let loopback = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);
    let mut rules = vec![vec![InputIs(false, "lo".into()), DestinationIn(loopback), Drop]];
    rules.extend(bridges.iter().map(|b| {
        let outside = InputIs(false, b.interface.clone());
        vec![outside, DestinationIn(b.subnet), DestinationNot(b.gateway), Drop]
    }));
    rules
}

/// Published ports, for packets from elsewhere and for the host's own.
fn port_rules() -> Vec<Vec<Statement>> {
    vec![vec![DestinationLocal, DnatByAddress(PORTS_BY_ADDRESS)], vec![DestinationLocal, DnatByPort(PORTS)]]
}

/// What may pass between interfaces. Packets that touch no bridge of ours are accepted untouched.
fn forward() -> Vec<Vec<Statement>> {
    vec![
        vec![Established, Accept],
        vec![OutputIn(BRIDGES), Redirected, Accept],
        vec![InputOutputMap(SAME_BRIDGE)],
        vec![InputIn(INTERNAL), Drop],
        vec![OutputIn(BRIDGES), Drop],
    ]
}

fn postrouting(bridges: &[Bridge]) -> Vec<Vec<Statement>> {
    let loopback = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);
    // The host asked its own 127.0.0.1: the container must see an address it can answer.
    let mut rules = vec![vec![SourceIn(loopback), OutputIn(BRIDGES), Masquerade]];
    for bridge in bridges {
        // A container asked a port its own network publishes: without this the answer would go straight to
        // it, from an address it never asked.
        let own = OutputIs(true, bridge.interface.clone());
        rules.push(vec![SourceIn(bridge.subnet), own, Redirected, Masquerade]);
        if bridge.masquerade {
            let other = OutputIs(false, bridge.interface.clone());
            rules.push(vec![SourceIn(bridge.subnet), other, Masquerade]);
        }
    }
    rules
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hook = ["prerouting", "input", "forward", "output", "postrouting"];
        let hook = hook.get(self.hook as usize).copied().unwrap_or("?");
        writeln!(f, "chain {} {{", self.name)?;
        writeln!(f, "  type {} hook {hook} priority {}; policy accept;", self.kind, self.priority)?;
        for rule in &self.rules {
            let rule: Vec<_> = rule.iter().map(ToString::to_string).collect();
            writeln!(f, "  {}", rule.join(" "))?;
        }
        writeln!(f, "}}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn rules_of_two_bridges() {
        let bridge = |interface: &str, subnet: &str, internal| Bridge {
            interface: interface.into(),
            subnet: subnet.parse().unwrap(),
            gateway: subnet.parse::<Ipv4Net>().unwrap().hosts().next().unwrap(),
            internal,
            masquerade: !internal,
            icc: true,
        };
        let bridges = [bridge("wharf0", "172.17.0.0/16", false), bridge("br-1", "10.1.0.0/24", true)];
        let text: String = chains(&bridges).iter().map(ToString::to_string).collect();
        expect![[r#"
            chain raw_prerouting {
              type filter hook prerouting priority -300; policy accept;
              iifname != "lo" ip daddr 127.0.0.0/8 drop
              iifname != "wharf0" ip daddr 172.17.0.0/16 ip daddr != 172.17.0.1 drop
              iifname != "br-1" ip daddr 10.1.0.0/24 ip daddr != 10.1.0.1 drop
            }
            chain prerouting {
              type nat hook prerouting priority -100; policy accept;
              fib daddr type local dnat to ip daddr . meta l4proto . th dport map @ports_by_address
              fib daddr type local dnat to meta l4proto . th dport map @ports
            }
            chain forward {
              type filter hook forward priority 0; policy accept;
              ct state established,related accept
              oifname @bridges ct status dnat accept
              iifname . oifname vmap @same_bridge
              iifname @internal drop
              oifname @bridges drop
            }
            chain output {
              type nat hook output priority -100; policy accept;
              fib daddr type local dnat to ip daddr . meta l4proto . th dport map @ports_by_address
              fib daddr type local dnat to meta l4proto . th dport map @ports
            }
            chain postrouting {
              type nat hook postrouting priority 100; policy accept;
              ip saddr 127.0.0.0/8 oifname @bridges masquerade
              ip saddr 172.17.0.0/16 oifname "wharf0" ct status dnat masquerade
              ip saddr 172.17.0.0/16 oifname != "wharf0" masquerade
              ip saddr 10.1.0.0/24 oifname "br-1" ct status dnat masquerade
            }
        "#]]
        .assert_eq(&text);
    }
}
