//! IPAM, network drivers, one nftables table, published ports.
