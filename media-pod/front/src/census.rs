//! [`Census`]: who is connected, counted over all listeners of a process.

use crate::Metrics;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// In all.
    pub total: usize,
    /// From one address, or from one /64 of IPv6, which is what one user has; `None` is no bound.
    pub per_address: Option<usize>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            total: 20_000,
            per_address: None,
        }
    }
}

/// Counts connections.
#[derive(Debug)]
pub struct Census {
    bounds: ArcSwap<Bounds>,
    count: Mutex<Count>,
    metrics: Option<Metrics>,
}

#[derive(Debug, Default)]
struct Count {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection that is counted, until it is dropped.
#[derive(Debug)]
pub struct Guest {
    census: Arc<Census>,
    address: Option<IpAddr>,
}

impl Default for Census {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Census {
    /// Nobody is there yet.
    pub fn new(metrics: Option<Metrics>) -> Self {
        Self {
            bounds: ArcSwap::default(),
            count: Mutex::default(),
            metrics,
        }
    }

    /// For those who come from now on.
    pub fn bound(&self, bounds: Bounds) {
        self.bounds.store(Arc::new(bounds));
    }

    /// Connections that are there.
    pub fn total(&self) -> usize {
        self.count.lock().total
    }

    pub(crate) fn metrics(&self) -> Option<&Metrics> {
        self.metrics.as_ref()
    }

    /// One more, of whom it is not known yet where it comes from; `None` when there are as many as may be.
    pub fn enter(self: &Arc<Self>) -> Option<Guest> {
        let mut count = self.count.lock();
        if count.total >= self.bounds.load().total {
            return None;
        }
        count.total = count.total.saturating_add(1);
        drop(count);
        if let Some(metrics) = &self.metrics {
            metrics.connections.inc();
        }
        Some(Guest {
            census: Arc::clone(self),
            address: None,
        })
    }
}

impl Guest {
    /// Says where it comes from. False when there are as many from there as may be.
    pub fn comes_from(&mut self, address: IpAddr) -> bool {
        let Some(max) = self.census.bounds.load().per_address else {
            return true;
        };
        let place = place(address);
        let mut count = self.census.count.lock();
        let here = count.by_address.entry(place).or_default();
        if *here >= max {
            let is_unused = *here == 0;
            if is_unused {
                count.by_address.remove(&place);
            }
            return false;
        }
        *here = here.saturating_add(1);
        self.address = Some(place);
        true
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut count = self.census.count.lock();
        count.total = count.total.saturating_sub(1);
        if let Some(place) = self.address
            && let Some(here) = count.by_address.get_mut(&place)
        {
            *here = here.saturating_sub(1);
            if *here == 0 {
                count.by_address.remove(&place);
            }
        }
        drop(count);
        if let Some(metrics) = &self.census.metrics {
            metrics.connections.dec();
        }
    }
}

/// An IPv4 address, or the /64 of an IPv6 address.
fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(total: usize, per_address: Option<usize>) -> Arc<Census> {
        let census = Arc::new(Census::default());
        census.bound(Bounds { total, per_address });
        census
    }

    #[test]
    fn as_many_come_in_as_the_bound_says_and_who_leaves_makes_room() {
        let census = census(2, None);
        let (first, second) = (census.enter(), census.enter());
        assert!(first.is_some() && second.is_some() && census.enter().is_none());
        drop(first);
        assert!(census.enter().is_some());
    }

    #[test]
    fn one_address_gets_its_share_and_leaves_nothing_behind() {
        let census = census(100, Some(2));
        let come = |from: &str| {
            let mut guest = census.enter().unwrap();
            guest.comes_from(from.parse().unwrap()).then_some(guest)
        };
        let here = [come("192.0.2.1"), come("::ffff:192.0.2.1")];
        assert!(here.iter().all(Option::is_some));
        assert!(come("192.0.2.1").is_none() && come("192.0.2.2").is_some());
        let house = [come("2001:db8:0:1::1"), come("2001:db8:0:1:ffff::2")];
        assert!(house.iter().all(Option::is_some));
        assert!(come("2001:db8:0:1::3").is_none() && come("2001:db8:0:2::1").is_some());
        drop((here, house));
        assert!(come("192.0.2.1").is_some());
        assert!(census.count.lock().by_address.is_empty());
        assert_eq!(census.total(), 0);
    }
}
