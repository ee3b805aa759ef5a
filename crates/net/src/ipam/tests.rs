#![allow(clippy::unwrap_used)]

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

fn spec(subnet: &str, range: &str, gateway: &str, aux: &[(&str, &str)]) -> PoolSpec {
    PoolSpec {
        subnet: subnet.into(),
        ip_range: range.into(),
        gateway: gateway.into(),
        aux: aux.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
    }
}

fn settle_one(spec: PoolSpec) -> Result<PoolRecord> {
    settle(&[spec], &default_pools(), &["10.77.0.0/24".parse().unwrap()], &[])
        .map(|mut pools| pools.remove(0))
}

fn network(pool: PoolRecord) -> NetworkRecord {
    let ipam = crate::IpamRecord { options: None, pools: vec![pool] };
    NetworkRecord { name: "n".into(), id: "4f".into(), ipam, ..NetworkRecord::default() }
}

fn check_error(spec: PoolSpec, expected: Expect) {
    expected.assert_eq(&settle_one(spec).unwrap_err().to_string());
}

#[test]
fn wrong_configurations() {
    check_error(
        spec("bad", "", "", &[]),
        expect!["invalid network config:\ninvalid subnet bad: invalid CIDR block notation"],
    );
    check_error(
        spec("10.181.5.3/24", "", "", &[]),
        expect!["invalid network config:\ninvalid subnet 10.181.5.3/24: it should be 10.181.5.0/24"],
    );
    check_error(
        spec("10.182.0.0/24", "10.183.0.0/24", "", &[]),
        expect![
            "invalid network config:\ninvalid ip-range 10.183.0.0/24: parent subnet 10.182.0.0/24 doesn't contain ip-range"
        ],
    );
    check_error(
        spec("10.182.0.0/24", "10.182.0.0/16", "", &[]),
        expect![
            "invalid network config:\ninvalid ip-range 10.182.0.0/16: CIDR block is bigger than its parent subnet 10.182.0.0/24"
        ],
    );
    check_error(
        spec("10.182.0.0/24", "10.182.0.1/26", "", &[]),
        expect!["invalid network config:\ninvalid ip-range 10.182.0.1/26: it should be 10.182.0.0/26"],
    );
    check_error(
        spec("10.182.0.0/24", "", "zz", &[("a", "10.183.0.1")]),
        expect![
            "invalid network config:\n* invalid gateway zz: invalid address\n* invalid auxiliary address a: parent subnet 10.182.0.0/24 doesn't contain this address"
        ],
    );
    check_error(
        spec("10.77.0.0/16", "", "", &[]),
        expect!["invalid pool request: Pool overlaps with other one on this address space"],
    );
    check_error(
        spec("0.0.0.0/0", "", "", &[]),
        expect!["invalid pool request: Pool overlaps with other one on this address space"],
    );
    check_error(
        spec("10.182.0.0/24", "", "10.182.0.0", &[]),
        expect!["failed to allocate gateway (10.182.0.0): Address already in use"],
    );
    check_error(
        spec("10.182.0.0/24", "", "", &[("a", "10.182.0.1")]),
        expect!["failed to allocate secondary ip address (a:10.182.0.1): Address already in use"],
    );
}

#[test]
fn gateway_and_first_address() {
    let check = |s: PoolSpec, gateway: &str, first: &str| {
        let pool = settle_one(s).unwrap();
        assert_eq!(pool.gateway.to_string(), gateway);
        let net = network(pool);
        let chosen = choose(&net, net.pool().unwrap(), &BTreeMap::new(), None);
        assert_eq!(chosen.map_or_else(|e| e.to_string(), |ip| ip.to_string()), first);
    };
    check(spec("10.181.5.0/24", "", "", &[]), "10.181.5.1", "10.181.5.2");
    check(spec("10.181.5.0/31", "", "", &[]), "10.181.5.0", "10.181.5.1");
    check(spec("10.181.7.0/24", "10.181.7.128/25", "", &[]), "10.181.7.128", "10.181.7.129");
    check(
        spec("10.66.0.0/24", "10.66.0.128/25", "10.66.0.1", &[("a", "10.66.0.129")]),
        "10.66.0.1",
        "10.66.0.128",
    );
    check(
        spec("10.181.5.0/24", "10.181.5.1/32", "", &[]),
        "10.181.5.1",
        "no available IPv4 addresses on this network's address pools: n (4f)",
    );
}

#[test]
fn pools_avoid_networks_and_the_host() {
    let nets = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<Ipv4Net>>();
    let host = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<IpNet>>();
    let free = |networks: &[&str], routes: &[&str]| {
        free_subnet(&default_pools(), &nets(networks), &host(routes)).map(|n| n.to_string())
    };
    assert_eq!(free(&[], &["0.0.0.0/0"]).unwrap(), "172.17.0.0/16");
    assert_eq!(free(&["172.17.0.0/16"], &["172.18.4.0/24", "172.19.0.1/32"]).unwrap(), "172.20.0.0/16");
    assert_eq!(free(&[], &["172.16.0.0/12"]).unwrap(), "192.168.0.0/20");
    assert_eq!(free(&["192.168.0.0/20"], &["172.16.0.0/12", "192.168.16.5/32"]).unwrap(), "192.168.32.0/20");
    assert_eq!(free(&["192.168.0.0/16"], &["172.16.0.0/12"]), None);
}

#[test]
fn wanted_addresses() {
    let pool = settle_one(spec("10.181.5.0/24", "10.181.5.128/25", "10.181.5.1", &[])).unwrap();
    let net = network(pool.clone());
    let taken = BTreeMap::from([(Ipv4Addr::new(10, 181, 5, 9), "c".to_owned())]);
    let wanted = |ip: &str| choose(&net, &pool, &taken, Some(ip.parse().unwrap())).map_err(|e| e.to_string());
    assert_eq!(wanted("10.181.5.8").unwrap(), Ipv4Addr::new(10, 181, 5, 8));
    for refused in ["10.181.5.9", "10.181.5.1", "10.181.5.0", "10.181.5.255", "10.181.6.1"] {
        assert_eq!(wanted(refused).unwrap_err(), "Address already in use");
    }
    let check = |network: &NetworkRecord, ip: &str| check_endpoint(network, ip, "").unwrap_err().to_string();
    expect![[r#"
        invalid endpoint settings:
        no configured subnet or ip-range contain the IP address 10.99.0.2"#]]
    .assert_eq(&check(&net, "10.99.0.2"));
    expect![[r#"
        invalid endpoint settings:
        * invalid IPv4 address: notanip
        * no configured subnet or ip-range contain the IP address notanip"#]]
    .assert_eq(&check(&net, "notanip"));
    let default = NetworkRecord { predefined: true, ..network(chosen("172.17.0.0/16".parse().unwrap())) };
    expect![[r#"
        invalid endpoint settings:
        * user specified IP address is supported on user defined networks only
        * user specified IP address is supported only when connecting to networks with user configured subnets"#]]
    .assert_eq(&check(&default, "172.17.0.9"));
    check_endpoint(&net, "10.181.5.9", "").unwrap();
}

proptest! {
    /// Addresses are handed out once, lowest first, and never a reserved one, until none is left.
    #[test]
    fn every_address_once(length in 24u8..31, aux in 3u8..6) {
        let subnet = Ipv4Net::new_assert(Ipv4Addr::new(10, 5, 5, 0), length);
        let mut pool = chosen(subnet);
        pool.aux.insert("a".into(), Ipv4Addr::new(10, 5, 5, aux));
        let net = network(pool.clone());
        let mut taken = BTreeMap::new();
        let mut last = Ipv4Addr::UNSPECIFIED;
        while let Ok(ip) = choose(&net, &pool, &taken, None) {
            prop_assert!(ip > last && !is_reserved(&pool, ip));
            last = ip;
            taken.insert(ip, String::new());
        }
        let reserved = 3 + usize::from(u32::from(aux) < subnet.broadcast().to_bits() - subnet.network().to_bits());
        prop_assert_eq!(taken.len(), (1usize << (32 - length)) - reserved);
        // The lowest that was freed comes back first.
        if let Some(ip) = taken.keys().next().copied() {
            taken.remove(&ip);
            prop_assert_eq!(choose(&net, &pool, &taken, None).unwrap(), ip);
        }
    }

    #[test]
    fn settle_takes_anything(texts in prop::collection::vec("[0-9./a-f:]{0,20}", 3)) {
        let _ = settle_one(spec(&texts[0], &texts[1], &texts[2], &[]));
    }

    /// Two networks never share an address.
    #[test]
    fn networks_are_disjoint(count in 1usize..32) {
        let mut networks = Vec::new();
        for _ in 0..count {
            if let Some(net) = free_subnet(&default_pools(), &networks, &[]) { networks.push(net); }
        }
        let all = networks.iter().map(|n| IpNet::V4(*n)).collect::<Vec<_>>();
        for (i, a) in all.iter().enumerate() {
            prop_assert!(all[i + 1..].iter().all(|b| !overlap(a, b)));
        }
        prop_assert_eq!(networks.len(), count.min(31));
    }
}
