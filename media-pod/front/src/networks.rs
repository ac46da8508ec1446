//! [`Networks`]: a list of networks, for who is believed.

use ipnet::{IpNet, Ipv4Net};
use std::net::IpAddr;

/// Networks. An IPv4 address that came over an IPv6 socket is the IPv4 address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Whether the address is in one of them.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| canonical(net).contains(&address))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<IpNet> for Networks {
    fn from_iter<T: IntoIterator<Item = IpNet>>(networks: T) -> Self {
        Self(networks.into_iter().collect())
    }
}

/// A network of IPv4 addresses written as IPv6 is one of IPv4.
fn canonical(net: &IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return *net };
    let mapped = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    mapped
        .and_then(|(addr, len)| Ipv4Net::new(addr, len).ok())
        .map_or(*net, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_write_an_ipv4_address_are_one() {
        let of = |nets: &[&str]| -> Networks { nets.iter().map(|n| n.parse().unwrap()).collect() };
        let has = |nets: &[&str], address: &str| of(nets).contain(address.parse().unwrap());
        assert!(has(&["10.0.0.0/8"], "10.1.2.3"));
        assert!(has(&["10.0.0.0/8"], "::ffff:10.1.2.3"));
        assert!(has(&["::ffff:10.0.0.0/104"], "10.1.2.3"));
        assert!(has(&["fd00::/8", "192.0.2.1/32"], "fd00::1"));
        assert!(!has(&["10.0.0.0/8"], "11.0.0.1"));
        assert!(!has(&["::/0"], "10.0.0.1"), "an IPv4 address is in no IPv6 network");
        assert!(!has(&[], "10.0.0.1"));
    }
}
