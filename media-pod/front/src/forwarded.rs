//! Whose request it is that a proxy hands on: `X-Forwarded-For`, read from the right.
//!
//! Each proxy adds to the right end the address that it was asked from. So the right end is said by whoever is connected here; if that
//! one is trusted, what it added is true, and so on to the left, up to the first address that is no trusted proxy's: the client. What
//! stands left of it was said by the client and is worth nothing. An entry that is no address ends the walk as well.

use crate::Networks;
use std::net::{IpAddr, SocketAddr};

/// Entries that are looked at.
const HOPS_MAX: usize = 32;

/// The client of a request that came from `peer`, with the values of its `X-Forwarded-For` headers in the order in which they stand. The
/// port is 0 when a proxy said the address, since no proxy says a port.
pub fn client_behind<'a>(
    peer: SocketAddr,
    trusted: &Networks,
    values: impl DoubleEndedIterator<Item = &'a str>,
) -> SocketAddr {
    if !trusted.contain(peer.ip()) {
        return peer;
    }
    let entries = values.rev().flat_map(|value| value.rsplit(',')).take(HOPS_MAX);
    let mut client = None;
    for entry in entries {
        let Some(address) = address(entry.trim()) else { break };
        client = Some(address);
        if !trusted.contain(address) {
            break;
        }
    }
    client.map_or(peer, |address| SocketAddr::new(address, 0))
}

/// An address as proxies write it: bare, with a port, in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_matches('"');
    let parsed = bare
        .parse::<IpAddr>()
        .ok()
        .or_else(|| bare.parse::<SocketAddr>().ok().map(|a| a.ip()))
        .or_else(|| bare.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
    parsed.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, values: &[&str]) -> String {
        let trusted: Networks = ["10.0.0.0/8", "fd00::/8"].iter().map(|n| n.parse().unwrap()).collect();
        let peer = SocketAddr::new(peer.parse().unwrap(), 5000);
        client_behind(peer, &trusted, values.iter().copied()).to_string()
    }

    #[test]
    fn the_right_most_address_that_is_no_trusted_proxys_is_the_client() {
        let cases: &[(&str, &[&str], &str)] = &[
            // Nobody is believed who is not trusted.
            ("192.0.2.9", &["203.0.113.7"], "192.0.2.9:5000"),
            ("10.0.0.1", &[], "10.0.0.1:5000"),
            ("10.0.0.1", &["203.0.113.7"], "203.0.113.7:0"),
            ("::ffff:10.0.0.1", &["203.0.113.7"], "203.0.113.7:0"),
            // What the client says of itself stands on the left.
            ("10.0.0.1", &["1.1.1.1, 203.0.113.7"], "203.0.113.7:0"),
            ("10.0.0.1", &["1.1.1.1, 203.0.113.7, 10.0.0.2"], "203.0.113.7:0"),
            // Several headers are one list.
            (
                "10.0.0.1",
                &["1.1.1.1", "203.0.113.7", "10.0.0.2,10.0.0.3"],
                "203.0.113.7:0",
            ),
            // All of them are proxies: the first of them asked for itself.
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3:0"),
            // No address ends it, at the last that is known.
            ("10.0.0.1", &["unknown"], "10.0.0.1:5000"),
            ("10.0.0.1", &["203.0.113.7, unknown, 10.0.0.2"], "10.0.0.2:0"),
            ("10.0.0.1", &[""], "10.0.0.1:5000"),
            ("10.0.0.1", &["203.0.113.7:4711"], "203.0.113.7:0"),
            ("fd00::1", &["[2001:db8::1]:80"], "[2001:db8::1]:0"),
            ("fd00::1", &["[2001:db8::1]"], "[2001:db8::1]:0"),
            ("fd00::1", &["\"2001:db8::1\""], "[2001:db8::1]:0"),
        ];
        for (peer, values, expected) in cases {
            assert_eq!(client(peer, values), *expected, "{peer} {values:?}");
        }
    }

    #[test]
    fn a_list_without_end_is_read_to_a_bound() {
        let hop = "10.0.0.2,".repeat(100_000);
        assert_eq!(
            client("10.0.0.1", &["203.0.113.7", &hop]),
            "10.0.0.1:5000",
            "the list ends with an empty entry"
        );
        let hop = format!("203.0.113.7{}", ",10.0.0.2".repeat(100_000));
        assert_eq!(client("10.0.0.1", &[&hop]), "10.0.0.2:0");
    }
}
