//! The PROXY protocol, versions 1 and 2, as a parser without I/O.
//!
//! Source: <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>. It says how many bytes it needs next, never more than the
//! header has, so that whoever reads for it takes nothing that belongs to the protocol behind.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of the longest header that is taken. Version 1 has at most 107; version 2 may carry values beyond the addresses, which are
/// passed over.
pub const HEADER_MAX: usize = 4096;
/// Bytes of the longest line of version 1 (§2.1).
const LINE_MAX: usize = 107;
/// `PROXY UNKNOWN` and the end of the line; also one byte less than the fixed part of version 2.
const SHORTEST: usize = 15;
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const FIXED: usize = 16;
/// Version 2: the proxy speaks for itself.
const LOCAL: u8 = 0x20;
/// Version 2: the proxy speaks for a client.
const PROXY: u8 = 0x21;

/// What a header says so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// It has at least so many bytes more.
    More(usize),
    /// It is whole. `None`: the proxy speaks for itself, such as to look whether we are there, or does not know.
    Whole(Option<SocketAddr>),
}

/// What is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHeader {
    /// It begins otherwise.
    #[error("it does not begin with a PROXY header")]
    Missing,
    /// Version 1 with something else than the standard has.
    #[error("the line of the PROXY header cannot be read")]
    BadLine,
    /// Neither version, or a command that is none.
    #[error("the PROXY header has version and command {0:#04x}, which are not known")]
    UnknownCommand(u8),
    /// Addresses that do not fit into it.
    #[error("the PROXY header has {0} bytes for addresses, too few for its family")]
    Short(usize),
    /// It does not end.
    #[error("the PROXY header has {0} bytes, more than {HEADER_MAX}")]
    TooLong(usize),
}

/// Reads a header from its first byte. `bytes` must not be longer than what was asked for.
pub fn parse(bytes: &[u8]) -> Result<Header, BadHeader> {
    if bytes.starts_with(b"PROXY ") {
        line(bytes)
    } else if bytes.starts_with(SIGNATURE) {
        binary(bytes)
    } else if begins(bytes) {
        Ok(Header::More(SHORTEST.saturating_sub(bytes.len())))
    } else {
        Err(BadHeader::Missing)
    }
}

/// Whether this may be the beginning of a header.
pub(crate) fn begins(bytes: &[u8]) -> bool {
    [&b"PROXY "[..], SIGNATURE].iter().any(|mark| {
        let common = mark.len().min(bytes.len());
        mark.get(..common) == bytes.get(..common)
    })
}

fn line(bytes: &[u8]) -> Result<Header, BadHeader> {
    let Some(line) = bytes.strip_suffix(b"\r\n") else {
        return match bytes.len() {
            short @ 0..SHORTEST => Ok(Header::More(SHORTEST.saturating_sub(short))),
            SHORTEST..LINE_MAX => Ok(Header::More(1)),
            _ => Err(BadHeader::BadLine),
        };
    };
    let line = std::str::from_utf8(line).map_err(|_| BadHeader::BadLine)?;
    let mut words = line.split(' ').skip(1);
    let family = words.next();
    if family == Some("UNKNOWN") {
        return Ok(Header::Whole(None));
    }
    let words: Vec<&str> = words.collect();
    let &[source, target, source_port, target_port] = words.as_slice() else {
        return Err(BadHeader::BadLine);
    };
    let source = endpoint(family, source, source_port).ok_or(BadHeader::BadLine)?;
    endpoint(family, target, target_port).ok_or(BadHeader::BadLine)?;
    Ok(Header::Whole(Some(source)))
}

fn endpoint(family: Option<&str>, address: &str, port: &str) -> Option<SocketAddr> {
    let address: IpAddr = match family? {
        "TCP4" => address.parse::<Ipv4Addr>().ok()?.into(),
        "TCP6" => address.parse::<Ipv6Addr>().ok()?.to_canonical(),
        _ => return None,
    };
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    Some(SocketAddr::new(address, port.parse().ok().filter(|_| digits)?))
}

fn binary(bytes: &[u8]) -> Result<Header, BadHeader> {
    let Some((&[.., command, family, high, low], rest)) = bytes.split_first_chunk::<FIXED>() else {
        return Ok(Header::More(FIXED.saturating_sub(bytes.len())));
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let whole = length.saturating_add(FIXED);
    if whole > HEADER_MAX {
        return Err(BadHeader::TooLong(whole));
    }
    if ![LOCAL, PROXY].contains(&command) {
        return Err(BadHeader::UnknownCommand(command));
    }
    if rest.len() < length {
        return Ok(Header::More(length.saturating_sub(rest.len())));
    }
    if command == LOCAL {
        return Ok(Header::Whole(None));
    }
    let short = BadHeader::Short(length);
    Ok(Header::Whole(match family {
        0x11 => Some(v4(rest).ok_or(short)?),
        0x21 => Some(v6(rest).ok_or(short)?),
        // Datagrams, sockets of a file system, unknown: the connection is taken for what it is (§2.2).
        _ => None,
    }))
}

fn v4(block: &[u8]) -> Option<SocketAddr> {
    let address = Ipv4Addr::from(*block.first_chunk::<4>()?);
    Some(SocketAddr::new(address.into(), port(block, 8, 12)?))
}

fn v6(block: &[u8]) -> Option<SocketAddr> {
    let address = Ipv6Addr::from(*block.first_chunk::<16>()?);
    Some(SocketAddr::new(address.to_canonical(), port(block, 32, 36)?))
}

/// The source's port, where the whole block is there.
fn port(block: &[u8], at: usize, end: usize) -> Option<u16> {
    let port = block.get(..end)?.get(at..)?.first_chunk::<2>()?;
    Some(u16::from_be_bytes(*port))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may fail by panic")]
mod tests {
    use super::*;

    /// As a reader does it: just the bytes that are asked for.
    fn read(stream: &[u8]) -> Result<(Option<String>, usize), BadHeader> {
        let mut taken = 0;
        loop {
            match parse(&stream[..taken])? {
                Header::More(n) => {
                    assert!(n > 0);
                    taken += n;
                    assert!(taken <= stream.len(), "asked for {taken} bytes");
                }
                Header::Whole(source) => return Ok((source.map(|s| s.to_string()), taken)),
            }
        }
    }

    fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family][..], &length, block].concat()
    }

    const V4: [u8; 12] = [203, 0, 113, 7, 10, 0, 0, 1, 0x12, 0x67, 7, 0x8f];

    #[test]
    fn headers_of_both_versions_say_the_source_and_nothing_behind_them_is_taken() {
        let mut v6 = [0_u8; 36];
        v6[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        v6[15] = 1;
        v6[32..34].copy_from_slice(&[0x12, 0x67]);
        let mut mapped = v6;
        mapped[..16].copy_from_slice(&Ipv4Addr::new(203, 0, 113, 7).to_ipv6_mapped().octets());
        let with_values = [&V4[..], &[3, 0, 4, 1, 2, 3, 4], &[0; 200]].concat();
        let cases: Vec<(Vec<u8>, Option<&str>)> = vec![
            (
                b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 1935\r\n".to_vec(),
                Some("203.0.113.7:4711"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 fd00::1 4711 1935\r\n".to_vec(),
                Some("[2001:db8::1]:4711"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
            (v2(0x21, 0x11, &V4), Some("203.0.113.7:4711")),
            (v2(0x21, 0x11, &with_values), Some("203.0.113.7:4711")),
            (v2(0x21, 0x21, &v6), Some("[2001:db8::1]:4711")),
            (v2(0x21, 0x21, &mapped), Some("203.0.113.7:4711")),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x20, 0x11, &V4), None),
            (v2(0x21, 0x00, &[9; 30]), None),
            (v2(0x21, 0x31, &[0; 216]), None),
        ];
        for (header, source) in cases {
            let stream = [&header[..], b"\x03and what follows"].concat();
            assert_eq!(
                read(&stream),
                Ok((source.map(String::from), header.len())),
                "{header:?}"
            );
        }
    }

    #[test]
    fn what_is_no_header_is_told_by_why() {
        let long = [b"PROXY TCP4 ", &[b'1'; 200][..]].concat();
        let line = |text: &str| read(format!("{text}\r\n").as_bytes());
        for bad in [
            "PROXY TCP4 203.0.113.7 10.0.0.1 4711",
            "PROXY TCP4 203.0.113.7 10.0.0.1 4711 1935 1",
            "PROXY TCP4 2001:db8::1 10.0.0.1 4711 1935",
            "PROXY TCP6 203.0.113.7 10.0.0.1 4711 1935",
            "PROXY TCP4 203.0.113.7 10.0.0.1 +4711 1935",
            "PROXY TCP4 203.0.113.7 10.0.0.1 65536 1935",
            "PROXY TCP4  203.0.113.7 10.0.0.1 1 1935",
            "PROXY SCTP 203.0.113.7 10.0.0.1 1 1935",
        ] {
            assert_eq!(line(bad), Err(BadHeader::BadLine), "{bad}");
        }
        assert_eq!(read(&long), Err(BadHeader::BadLine));
        assert_eq!(read(b"GET / HTTP/1.1\r\n"), Err(BadHeader::Missing));
        assert_eq!(read(&[3; 1537]), Err(BadHeader::Missing));
        assert_eq!(
            read(&[0x16, 3, 1, 0, 200, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            Err(BadHeader::Missing)
        );
        assert_eq!(read(&v2(0x11, 0x11, &V4)), Err(BadHeader::UnknownCommand(0x11)));
        assert_eq!(read(&v2(0x22, 0x11, &V4)), Err(BadHeader::UnknownCommand(0x22)));
        assert_eq!(read(&v2(0x21, 0x11, &V4[..11])), Err(BadHeader::Short(11)));
        assert_eq!(read(&v2(0x21, 0x21, &V4)), Err(BadHeader::Short(12)));
        assert_eq!(read(&v2(0x21, 0x11, &[0; 5000])), Err(BadHeader::TooLong(5016)));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_ask_for_more_than_the_bound(tail in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), kind in 0..3) {
            let start: &[u8] = match kind { 0 => b"PROXY ", 1 => SIGNATURE, _ => b"" };
            let stream = [start, &tail, &[0; HEADER_MAX]].concat();
            let mut taken = 0;
            while let Ok(Header::More(n)) = parse(&stream[..taken]) {
                proptest::prop_assert!(n > 0);
                taken += n;
                proptest::prop_assert!(taken <= HEADER_MAX);
            }
        }
    }
}
