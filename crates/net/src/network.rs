//! Networks as rows: the predefined ones, create, find, list, remove.

use jiff::Timestamp;
use wharf_db::{Table, Tx, View};

use crate::ipam::{self, leases};
use crate::netlink::Socket;
use crate::record::{check_options, default_bridge_options};
use crate::{Driver, Error, IpamRecord, Net, NetworkRecord, NetworkSpec, PoolRecord, Result, hex_id};

const NETWORKS: Table<NetworkRecord> = Table::new("networks", 1);

impl Net {
    /// All networks, predefined ones included, by name.
    ///
    /// # Errors
    /// The database's.
    pub fn networks(&self) -> Result<Vec<NetworkRecord>> {
        self.db.read(all)
    }

    /// The network of this name, full id, or unique start of an id.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Refused`] for an id that fits several.
    pub fn find(&self, tx: &View<'_>, name_or_id: &str) -> Result<NetworkRecord> {
        if let Some(network) = NETWORKS.get(tx, name_or_id)? {
            return Ok(network);
        }
        let networks = all(tx)?;
        if let Some(network) = networks.iter().find(|n| n.name == name_or_id) {
            return Ok(network.clone());
        }
        let mut matching =
            networks.into_iter().filter(|n| !name_or_id.is_empty() && n.id.starts_with(name_or_id));
        match (matching.next(), matching.next()) {
            (Some(network), None) => Ok(network),
            (Some(_), Some(_)) => Err(Error::Refused(format!(
                "network {name_or_id} is ambiguous (2 matches found based on ID prefix)"
            ))),
            _ => Err(Error::NotFound(name_or_id.to_owned())),
        }
    }

    /// Makes a network: its row, and its bridge in the kernel. If the transaction fails afterwards the bridge
    /// is an orphan that the next [`Net::sweep`] removes.
    ///
    /// # Errors
    /// [`Error::NameTaken`], [`Error::UnknownDriver`], [`Error::SingleInstance`], those of the address and
    /// option checks, [`Error::NotABridge`], [`Error::Kernel`].
    pub fn create_network(&self, tx: &mut Tx<'_>, spec: NetworkSpec) -> Result<NetworkRecord> {
        if matches!(spec.name.as_str(), "bridge" | "host" | "none") {
            // compat: the message ends in a space.
            let name = spec.name;
            return Err(Error::Refused(format!("operation is not permitted on predefined {name} network ")));
        }
        let driver: Driver = spec.driver.parse()?;
        let networks = all(tx)?;
        if networks.iter().any(|n| n.name == spec.name) {
            return Err(Error::NameTaken(spec.name));
        }
        if driver != Driver::Bridge {
            return Err(Error::SingleInstance(driver.to_string()));
        }
        if spec.enable_ipv6 {
            return Err(Error::InvalidOption("IPv6 networks are not supported".to_owned()));
        }
        let id = hex_id();
        let bridge = check_options(&spec.options)?.map_or_else(|| format!("br-{}", &id[..12]), str::to_owned);
        let subnets: Vec<_> = networks.iter().flat_map(|n| &n.ipam.pools).map(|p| p.subnet).collect();
        let pools = ipam::settle(&spec.ipam, &self.config.pools, &subnets, &host_subnets()?)?;
        let record = NetworkRecord {
            id,
            name: spec.name,
            driver,
            created: Timestamp::now(),
            ipam: IpamRecord { options: spec.ipam_options, pools },
            internal: spec.internal,
            attachable: spec.attachable,
            options: spec.options,
            labels: spec.labels,
            bridge,
            predefined: false,
        };
        NETWORKS.put(tx, &record.id, &record)?;
        self.raise(&record)?;
        Ok(record)
    }

    /// Removes a network without endpoints: its row and its bridge.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Refused`] for a predefined network or one with endpoints, which the
    /// caller can name better; [`Error::Kernel`].
    pub fn remove_network(&self, tx: &mut Tx<'_>, name_or_id: &str) -> Result<NetworkRecord> {
        let network = self.find(tx, name_or_id)?;
        let name = &network.name;
        if network.predefined {
            return Err(Error::Refused(format!("{name} is a pre-defined network and cannot be removed")));
        }
        if leases::count(tx, &network.id)? > 0 {
            let reason = format!("error while removing network: network {name} has active endpoints");
            return Err(Error::Refused(reason));
        }
        NETWORKS.delete(tx, &network.id)?;
        leases::forget(tx, &network.id)?;
        self.lower(&network)?;
        Ok(network)
    }

    /// Makes `bridge`, `host` and `none` if they are missing, and lets the default bridge follow the
    /// configuration.
    pub(crate) fn make_predefined(&self) -> Result<()> {
        self.db.write(|tx| {
            let networks = all(tx)?;
            for (name, driver) in [("host", Driver::Host), ("none", Driver::Null)] {
                if !networks.iter().any(|n| n.name == name) {
                    put_predefined(tx, name, driver)?;
                }
            }
            let present = networks.iter().find(|n| n.name == "bridge");
            let mut record = match present {
                Some(record) => record.clone(),
                None => predefined("bridge", Driver::Bridge),
            };
            record.bridge.clone_from(&self.config.bridge);
            record.options = default_bridge_options(&record.bridge, self.config.mtu);
            record.ipam.pools = vec![self.default_pool(&record, &networks)?];
            if Some(&record) != present {
                NETWORKS.put(tx, &record.id, &record)?;
            }
            Ok(())
        })
    }

    /// The default bridge's pool: the configured one, the one it had, or the first that is free.
    fn default_pool(&self, record: &NetworkRecord, networks: &[NetworkRecord]) -> Result<PoolRecord> {
        if let Some(bip) = self.config.bip {
            return Ok(PoolRecord { gateway: bip.addr(), ..ipam::chosen(bip.trunc()) });
        }
        if let Some(pool) = record.pool() {
            return Ok(pool.clone());
        }
        let subnets: Vec<_> = networks.iter().flat_map(|n| &n.ipam.pools).map(|p| p.subnet).collect();
        let free = ipam::free_subnet(&self.config.pools, &subnets, &host_subnets()?);
        free.map(ipam::chosen).ok_or(Error::PoolsExhausted)
    }
}

fn all(tx: &View<'_>) -> Result<Vec<NetworkRecord>> {
    let mut networks: Vec<_> = NETWORKS.list(tx)?.into_iter().map(|(_, network)| network).collect();
    networks.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(networks)
}

fn put_predefined(tx: &mut Tx<'_>, name: &str, driver: Driver) -> Result<()> {
    let record = predefined(name, driver);
    Ok(NETWORKS.put(tx, &record.id, &record)?)
}

fn predefined(name: &str, driver: Driver) -> NetworkRecord {
    NetworkRecord {
        id: hex_id(),
        name: name.to_owned(),
        driver,
        created: Timestamp::now(),
        predefined: true,
        ..NetworkRecord::default()
    }
}

/// What the host routes or has addresses in.
fn host_subnets() -> Result<Vec<ipnet::IpNet>> {
    let list = || Socket::route()?.occupied();
    list().map_err(|e| Error::kernel("listing routes", e))
}
