//! Networks: `/networks/…`, and a container's endpoint on one.

use std::collections::BTreeMap;

use crate::go::{Map, omit};

document! {
    /// The answer of `GET /networks/{id}` and a row of `GET /networks`.
    #[serde(rename_all = "PascalCase")]
    pub struct Network {
        /// Name.
        pub name: String,
        /// 64 hexadecimal digits.
        pub id: String,
        /// RFC 3339.
        pub created: String,
        /// `local`.
        pub scope: String,
        /// `bridge`, `host`, `null`, `macvlan`, …
        pub driver: String,
        /// Gives out IPv4 addresses.
        #[serde(rename = "EnableIPv4")]
        pub enable_ipv4: bool,
        /// Gives out IPv6 addresses.
        #[serde(rename = "EnableIPv6")]
        pub enable_ipv6: bool,
        /// Address plan.
        #[serde(rename = "IPAM")]
        pub ipam: Ipam,
        /// Has no way out.
        pub internal: bool,
        /// Plain containers may join a swarm network.
        pub attachable: bool,
        /// Swarm's routing mesh.
        pub ingress: bool,
        /// Network its configuration comes from.
        pub config_from: ConfigReference,
        /// Only a configuration for others.
        pub config_only: bool,
        /// Connected containers by id; empty in the list.
        pub containers: BTreeMap<String, EndpointResource>,
        /// Options of the driver.
        pub options: Map,
        /// Labels.
        pub labels: Map,
    }
}

document! {
    /// A container on a network.
    #[serde(rename_all = "PascalCase")]
    pub struct EndpointResource {
        /// Name of the container.
        pub name: String,
        /// Endpoint.
        #[serde(rename = "EndpointID")]
        pub endpoint_id: String,
        /// Hardware address.
        pub mac_address: String,
        /// Address with prefix length.
        #[serde(rename = "IPv4Address")]
        pub ipv4_address: String,
        /// IPv6 address with prefix length.
        #[serde(rename = "IPv6Address")]
        pub ipv6_address: String,
    }
}

document! {
    /// Name of a network that holds only a configuration.
    #[serde(rename_all = "PascalCase")]
    pub struct ConfigReference {
        /// The network.
        pub network: String,
    }
}

document! {
    /// Address plan of a network.
    #[serde(rename_all = "PascalCase")]
    pub struct Ipam {
        /// `default`.
        pub driver: String,
        /// Options of the driver.
        pub options: Map,
        /// Subnets.
        pub config: Option<Vec<IpamConfig>>,
    }
}

document! {
    /// A subnet of a network.
    #[serde(rename_all = "PascalCase")]
    pub struct IpamConfig {
        /// The subnet.
        #[serde(skip_serializing_if = "omit")]
        pub subnet: String,
        /// Part of it that containers get.
        #[serde(rename = "IPRange", skip_serializing_if = "omit")]
        pub ip_range: String,
        /// The host's own address.
        #[serde(skip_serializing_if = "omit")]
        pub gateway: String,
        /// Addresses never given out, by name.
        #[serde(rename = "AuxiliaryAddresses", skip_serializing_if = "omit")]
        pub auxiliary_addresses: BTreeMap<String, String>,
    }
}

document! {
    /// The body of `POST /networks/create`.
    #[serde(rename_all = "PascalCase")]
    pub struct CreateRequest {
        /// Driver; empty means `bridge`.
        pub driver: String,
        /// Empty or `local`.
        pub scope: String,
        /// Give out IPv4 addresses; `None` means yes.
        #[serde(rename = "EnableIPv4", skip_serializing_if = "omit")]
        pub enable_ipv4: Option<bool>,
        /// Give out IPv6 addresses; `None` means the daemon's default.
        #[serde(rename = "EnableIPv6", skip_serializing_if = "omit")]
        pub enable_ipv6: Option<bool>,
        /// Address plan.
        #[serde(rename = "IPAM")]
        pub ipam: Option<Ipam>,
        /// Has no way out.
        pub internal: bool,
        /// Plain containers may join a swarm network.
        pub attachable: bool,
        /// Swarm's routing mesh.
        pub ingress: bool,
        /// Only a configuration for others.
        pub config_only: bool,
        /// Network to take the configuration from.
        pub config_from: Option<ConfigReference>,
        /// Options of the driver.
        pub options: Map,
        /// Labels.
        pub labels: Map,
        /// Name.
        pub name: String,
        /// Always on since API 1.44.
        #[serde(skip_serializing_if = "omit")]
        pub check_duplicate: Option<bool>,
    }
}

document! {
    /// The answer of `POST /networks/create`.
    #[serde(rename_all = "PascalCase")]
    pub struct CreateResponse {
        /// The new network's id.
        pub id: String,
        /// What was accepted with reservations.
        pub warning: String,
    }
}

document! {
    /// The body of `POST /networks/{id}/connect`.
    #[serde(rename_all = "PascalCase")]
    pub struct ConnectRequest {
        /// Container by name or id.
        pub container: String,
        /// Settings of the new endpoint.
        #[serde(skip_serializing_if = "omit")]
        pub endpoint_config: Option<EndpointSettings>,
    }
}

document! {
    /// The body of `POST /networks/{id}/disconnect`.
    #[serde(rename_all = "PascalCase")]
    pub struct DisconnectRequest {
        /// Container by name or id.
        pub container: String,
        /// Also when the container does not answer.
        pub force: bool,
    }
}

document! {
    /// The answer of `POST /networks/prune`.
    #[serde(rename_all = "PascalCase")]
    pub struct PruneResponse {
        /// Names of the removed networks.
        pub networks_deleted: Option<Vec<String>>,
    }
}

document! {
    /// A container's endpoint on a network: what was asked for and, when connected, what it got.
    #[serde(rename_all = "PascalCase")]
    pub struct EndpointSettings {
        /// Addresses asked for.
        #[serde(rename = "IPAMConfig")]
        pub ipam_config: Option<EndpointIpamConfig>,
        /// `CONTAINER:ALIAS` list.
        pub links: Option<Vec<String>>,
        /// Names on this network.
        pub aliases: Option<Vec<String>>,
        /// Hardware address.
        pub mac_address: String,
        /// Options of the driver.
        pub driver_opts: Map,
        /// The highest gives the default route.
        pub gw_priority: i64,
        /// The network's id.
        #[serde(rename = "NetworkID")]
        pub network_id: String,
        /// The endpoint's id.
        #[serde(rename = "EndpointID")]
        pub endpoint_id: String,
        /// Gateway.
        pub gateway: String,
        /// Address.
        #[serde(rename = "IPAddress")]
        pub ip_address: String,
        /// Its prefix length.
        #[serde(rename = "IPPrefixLen")]
        pub ip_prefix_len: i64,
        /// IPv6 gateway.
        #[serde(rename = "IPv6Gateway")]
        pub ipv6_gateway: String,
        /// IPv6 address.
        #[serde(rename = "GlobalIPv6Address")]
        pub global_ipv6_address: String,
        /// Its prefix length.
        #[serde(rename = "GlobalIPv6PrefixLen")]
        pub global_ipv6_prefix_len: i64,
        /// Names that the embedded DNS server answers.
        #[serde(rename = "DNSNames")]
        pub dns_names: Option<Vec<String>>,
    }
}

document! {
    /// Addresses asked for on a network.
    #[serde(rename_all = "PascalCase")]
    pub struct EndpointIpamConfig {
        /// IPv4 address.
        #[serde(rename = "IPv4Address", skip_serializing_if = "omit")]
        pub ipv4_address: String,
        /// IPv6 address.
        #[serde(rename = "IPv6Address", skip_serializing_if = "omit")]
        pub ipv6_address: String,
        /// Further link-local addresses.
        #[serde(rename = "LinkLocalIPs", skip_serializing_if = "omit")]
        pub link_local_ips: Vec<String>,
    }
}
