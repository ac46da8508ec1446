//! What may be dialled. Every address is looked at when it is dialled, so a name that moves to a forbidden one is caught.
//!
//! Never: link-local and metadata services, multicast, unspecified, broadcast, and what the process says is its own or the API server's; loopback only when
//! allowed (standalone). Private ranges are allowed unless the config says otherwise: receivers in the cluster are the normal case. An IPv6 form of an IPv4
//! address counts as that.

use arc_swap::ArcSwap;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use headgate_control::HookNetworks;
use ipnet::IpNet;
use prometheus::IntCounter;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use url::{Host, Url};

/// Looks names up.
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of a host name.
    fn resolve(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The system's resolver.
struct System;

impl Resolve for System {
    fn resolve(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        async move {
            Ok(tokio::net::lookup_host((host, 0))
                .await?
                .map(|address| address.ip())
                .collect())
        }
        .boxed()
    }
}

/// Lets only those addresses through that a hook may go to.
#[derive(Clone)]
pub struct AddressGuard {
    allow_loopback: bool,
    /// The pod's own and the API server's.
    never: Arc<[IpAddr]>,
    networks: Arc<ArcSwap<HookNetworks>>,
    resolver: Arc<dyn Resolve>,
    blocked: IntCounter,
}

/// An address that is never dialled. The message names it.
#[derive(Debug, thiserror::Error)]
#[error("address {0} is not one that hooks and pushes may go to")]
pub(super) struct Forbidden(IpAddr);

impl AddressGuard {
    /// A guard over the system's resolver; `blocked` counts what it refused.
    pub fn new(allow_loopback: bool, blocked: IntCounter) -> Self {
        Self::with_resolver(allow_loopback, blocked, Arc::new(System))
    }

    /// A guard over another resolver.
    pub fn with_resolver(allow_loopback: bool, blocked: IntCounter, resolver: Arc<dyn Resolve>) -> Self {
        Self {
            allow_loopback,
            never: Arc::default(),
            networks: Arc::default(),
            resolver,
            blocked,
        }
    }

    /// The same, and never to these.
    #[must_use]
    pub fn and_never(self, addresses: &[IpAddr]) -> Self {
        let never = addresses.iter().map(|address| plain(*address)).collect();
        Self { never, ..self }
    }

    /// Where dials may go from now on, on all clones. True when that is not as it was.
    pub fn restrict(&self, networks: &HookNetworks) -> bool {
        let old = self.networks.swap(Arc::new(networks.clone()));
        *old != *networks
    }

    /// Refuses a URL whose host is a forbidden address: such hosts are dialled without a look-up.
    pub(super) fn check_literal(&self, url: &Url) -> Result<(), Forbidden> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.check(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => self.check(IpAddr::V6(address)),
            _ => Ok(()),
        }
    }

    fn check(&self, address: IpAddr) -> Result<(), Forbidden> {
        let plain = plain(address);
        if forbidden(address, self.allow_loopback)
            || self.never.contains(&plain)
            || !permits(&self.networks.load(), plain)
        {
            self.blocked.inc();
            return Err(Forbidden(address));
        }
        Ok(())
    }

    /// Of what a name resolves to, the addresses that may be dialled. An error when the only ones there are may not.
    pub async fn look_up(self, host: String) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let mut allowed = Vec::new();
        let mut refused = None;
        for address in self.resolver.resolve(host).await? {
            match self.check(address) {
                Ok(()) => allowed.push(SocketAddr::new(address, 0)),
                Err(forbidden) => refused = Some(forbidden),
            }
        }
        match refused {
            Some(forbidden) if allowed.is_empty() => Err(forbidden.into()),
            _ => Ok(allowed),
        }
    }
}

impl reqwest::dns::Resolve for AddressGuard {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let look_up = self.clone().look_up(name.as_str().to_owned());
        Box::pin(async move { Ok(Box::new(look_up.await?.into_iter()) as reqwest::dns::Addrs) })
    }
}

/// What the config says.
fn permits(networks: &HookNetworks, address: IpAddr) -> bool {
    let within = |list: &[IpNet]| list.iter().any(|net| net.contains(&address));
    (networks.allowed.is_empty() || within(&networks.allowed)) && !within(&networks.denied)
}

/// The IPv4 address in an IPv6 form of one.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => embedded_v4(v6).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn forbidden(address: IpAddr, allow_loopback: bool) -> bool {
    match address {
        IpAddr::V4(address) => forbidden_v4(address, allow_loopback),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(inner) => forbidden_v4(inner, allow_loopback),
            None => forbidden_v6(address, allow_loopback),
        },
    }
}

fn forbidden_v4(address: Ipv4Addr, allow_loopback: bool) -> bool {
    let [first, ..] = address.octets();
    first == 0
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || (address.is_loopback() && !allow_loopback)
}

fn forbidden_v6(address: Ipv6Addr, allow_loopback: bool) -> bool {
    // Where clouds that speak IPv6 keep their metadata service.
    let metadata = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    address.is_unspecified()
        || address.is_unicast_link_local()
        || address.is_multicast()
        || address == metadata
        || (address.is_loopback() && !allow_loopback)
}

/// The IPv4 address in a mapped, compatible, NAT64 or 6to4 one.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            Some(join(high, low))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::IntCounter;

    struct Stub(Vec<IpAddr>);

    impl Resolve for Stub {
        fn resolve(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            let addresses = self.0.clone();
            async move { Ok(addresses) }.boxed()
        }
    }

    fn guard(allow_loopback: bool, addresses: &[&str]) -> AddressGuard {
        let blocked = IntCounter::new("blocked", "test").expect("a good name");
        let addresses = addresses.iter().map(|a| a.parse().expect("an address")).collect();
        AddressGuard::with_resolver(allow_loopback, blocked, Arc::new(Stub(addresses)))
    }

    #[test]
    fn addresses_of_the_node_and_of_clouds_are_never_dialled() {
        let never = [
            "169.254.169.254",
            "169.254.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "239.255.255.250",
            "255.255.255.255",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        ];
        for address in never {
            let parsed = address.parse().expect("an address");
            assert!(forbidden(parsed, false) && forbidden(parsed, true), "{address}");
        }
    }

    #[test]
    fn loopback_is_for_standalone_only() {
        for address in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            let parsed = address.parse().expect("an address");
            assert!(forbidden(parsed, false), "{address}");
            assert!(!forbidden(parsed, true), "{address}");
        }
    }

    #[test]
    fn private_and_public_addresses_are_allowed() {
        for address in [
            "10.0.0.7",
            "192.168.1.1",
            "172.16.0.1",
            "100.64.0.1",
            "203.0.113.5",
            "fd12::1",
            "2001:db8::1",
        ] {
            assert!(!forbidden(address.parse().expect("an address"), false), "{address}");
        }
    }

    #[test]
    fn the_pod_itself_and_the_api_server_are_never_dialled_in_any_form() {
        let own: Vec<IpAddr> = ["10.244.1.7", "10.96.0.1", "fd00::7"]
            .map(|a| a.parse().expect("an address"))
            .into();
        let guard = guard(false, &[]).and_never(&own);
        let never = [
            "10.244.1.7",
            "::ffff:10.244.1.7",
            "10.96.0.1",
            "64:ff9b::a60:1",
            "fd00::7",
        ];
        for address in never {
            assert!(guard.check(address.parse().expect("an address")).is_err(), "{address}");
        }
        assert!(guard.check("10.244.1.8".parse().expect("an address")).is_ok());
    }

    #[test]
    fn networks_of_the_config_hold_from_the_next_dial_on_and_loosen_nothing() {
        let guard = guard(false, &[]);
        let net = |text: &str| text.parse().expect("a network");
        let networks = HookNetworks {
            allowed: vec![net("10.0.0.0/8"), net("169.254.0.0/16")],
            denied: vec![net("10.9.0.0/16")],
        };
        let ok = |guard: &AddressGuard, address: &str| guard.check(address.parse().expect("an address")).is_ok();
        assert!(ok(&guard, "192.168.1.1"));
        let clone = guard.clone();
        assert!(guard.restrict(&networks) && !guard.restrict(&networks));
        assert!(ok(&clone, "10.1.2.3") && ok(&clone, "::ffff:10.1.2.3"));
        for address in [
            "10.9.0.1",
            "::ffff:10.9.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "2001:db8::1",
        ] {
            assert!(!ok(&clone, address), "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_is_dialled_only_at_its_allowed_addresses() {
        let guard = guard(false, &["169.254.169.254", "10.0.0.7", "127.0.0.1"]);
        let allowed = guard.clone().look_up("backend".into()).await.expect("one is allowed");
        assert_eq!(allowed, ["10.0.0.7:0".parse().expect("an address")]);
        assert_eq!(guard.blocked.get(), 2);
    }

    #[tokio::test]
    async fn a_name_that_moves_to_the_metadata_service_is_refused_and_counted() {
        let guard = guard(true, &["169.254.169.254"]);
        let error = guard
            .clone()
            .look_up("backend".into())
            .await
            .expect_err("nothing is left");
        assert_eq!(
            error.to_string(),
            "address 169.254.169.254 is not one that hooks and pushes may go to"
        );
        assert_eq!(guard.blocked.get(), 1);
    }

    #[test]
    fn an_address_in_the_url_is_checked_like_any_other() {
        let check = |url: &str| {
            guard(false, &[])
                .check_literal(&Url::parse(url).expect("a URL"))
                .is_ok()
        };
        assert!(!check("http://169.254.169.254/latest/meta-data"));
        assert!(!check("http://2852039166/"));
        assert!(!check("http://0xa9fea9fe/"));
        assert!(!check("http://[fe80::1]/"));
        assert!(!check("http://[::ffff:7f00:1]:8080/"));
        assert!(check("http://10.1.2.3:8085/hook"));
        assert!(check("http://backend.default.svc/hook"));
    }
}
