//! The RTMP handshake, server and client side: simple, and with digests as Flash Player and its kin ask for.
//!
//! Adobe RTMP specification 1.0, 5.2; the digest form is not in it, but in every encoder: a C1 whose bytes 4..8 are not zero holds
//! an HMAC-SHA256 of itself at an offset that some of its bytes give, and wants an S1 and S2 that answer in kind.

use bytes::{Bytes, BytesMut};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// C0 and S0: the version that everyone speaks.
const VERSION: u8 = 3;
/// Bytes of C1, S1, C2 and S2.
const SIZE: usize = 1536;
const DIGEST: usize = 32;
/// The rest of both keys, known to all.
const SALT: [u8; 32] = [
    0xf0, 0xee, 0xc2, 0x4a, 0x80, 0x68, 0xbe, 0xe8, 0x2e, 0x00, 0xd0, 0xd1, 0x02, 0x9e, 0x7e, 0x57, 0x6e, 0xec, 0x5d,
    0x2d, 0x29, 0x80, 0x6f, 0xab, 0x93, 0xb8, 0xe6, 0x36, 0xcf, 0xeb, 0x31, 0xae,
];
const CLIENT_NAME: &[u8] = b"Genuine Adobe Flash Player 001";
const SERVER_NAME: &[u8] = b"Genuine Adobe Flash Media Server 001";
/// What an S1 says its server is; any version from 3 up makes clients look for digests.
const SERVER_VERSION: [u8; 4] = [4, 5, 0, 1];

/// Why a peer does not speak RTMP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The first byte is not 3: another protocol, most often HTTP or TLS.
    #[error("version {0} in the first byte instead of 3: this is no RTMP")]
    BadVersion(u8),
}

/// Where in C1 or S1 the digest stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Schema {
    /// Its offset is in bytes 8..12.
    Early,
    /// Its offset is in bytes 772..776.
    Late,
}

/// What a side does with the bytes it was given.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    Waiting,
    /// The handshake is over; what was left in the buffer belongs to the chunk stream.
    Done,
}

/// The server's side. Bytes in through [`ServerHandshake::input`], bytes out through its `out`.
#[derive(Debug, Default)]
pub struct ServerHandshake {
    answered: bool,
}

impl ServerHandshake {
    /// Consumes what it can from `input`; appends what must be sent to `out`. `random` fills what the peer may not guess.
    pub fn input(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Progress, Error> {
        if !self.answered {
            match input.first() {
                Some(&VERSION) | None => {}
                Some(&other) => return Err(Error::BadVersion(other)),
            }
            if input.len() <= SIZE {
                return Ok(Progress::Waiting);
            }
            let c0_c1 = input.split_to(SIZE.saturating_add(1)).freeze();
            answer(&c0_c1.slice(1..), out, random);
            self.answered = true;
        }
        if input.len() < SIZE {
            return Ok(Progress::Waiting);
        }
        // C2 is not looked at: encoders send what they like there, and nothing depends on it.
        drop(input.split_to(SIZE));
        Ok(Progress::Done)
    }
}

/// The client's side, simple form: zeros in the version field ask for nothing else.
#[derive(Debug, Default)]
pub struct ClientHandshake {
    sent: bool,
}

impl ClientHandshake {
    /// As [`ServerHandshake::input`]; call it once with no input to begin.
    pub fn input(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Progress, Error> {
        if !self.sent {
            let mut c1 = [0; SIZE];
            if let Some(tail) = c1.get_mut(8..) {
                random(tail);
            }
            out.extend_from_slice(&[VERSION]);
            out.extend_from_slice(&c1);
            self.sent = true;
        }
        match input.first() {
            Some(&VERSION) | None => {}
            Some(&other) => return Err(Error::BadVersion(other)),
        }
        // S0, S1 and S2 come together; C2 echoes S1.
        if input.len() < SIZE.saturating_mul(2).saturating_add(1) {
            return Ok(Progress::Waiting);
        }
        drop(input.split_to(1));
        out.extend_from_slice(&input.split_to(SIZE));
        drop(input.split_to(SIZE));
        Ok(Progress::Done)
    }
}

/// Appends S0, S1 and S2.
fn answer(c1: &Bytes, out: &mut BytesMut, random: &mut dyn FnMut(&mut [u8])) {
    out.extend_from_slice(&[VERSION]);
    let mut s1 = [0; SIZE];
    if let Some(tail) = s1.get_mut(8..) {
        random(tail);
    }
    let digest = [Schema::Early, Schema::Late]
        .into_iter()
        .find_map(|schema| Some((schema, client_digest(c1, schema)?)));
    let Some((schema, digest)) = digest else {
        out.extend_from_slice(&s1);
        out.extend_from_slice(c1); // S2 echoes C1
        return;
    };
    if let Some(version) = s1.get_mut(4..8) {
        version.copy_from_slice(&SERVER_VERSION);
    }
    put_digest(&mut s1, schema);
    out.extend_from_slice(&s1);
    let mut s2 = [0; SIZE];
    random(&mut s2);
    let key = hmac(&[SERVER_NAME, &SALT].concat(), &[&digest]);
    if let Some((body, tail)) = s2.split_last_chunk_mut::<DIGEST>() {
        *tail = hmac(&key, &[body]);
    }
    out.extend_from_slice(&s2);
}

/// The digest in C1, if it is right for this schema.
fn client_digest(c1: &[u8], schema: Schema) -> Option<[u8; DIGEST]> {
    let at = offset(c1, schema)?;
    let end = at.checked_add(DIGEST)?;
    let found = c1.get(at..end)?;
    let expected = hmac(CLIENT_NAME, &[c1.get(..at)?, c1.get(end..)?]);
    (found == expected).then_some(expected)
}

fn put_digest(s1: &mut [u8; SIZE], schema: Schema) {
    let Some(at) = offset(s1, schema) else { return };
    let end = at.saturating_add(DIGEST);
    let (Some(before), Some(after)) = (s1.get(..at), s1.get(end..)) else {
        return;
    };
    let digest = hmac(SERVER_NAME, &[before, after]);
    if let Some(place) = s1.get_mut(at..end) {
        place.copy_from_slice(&digest);
    }
}

/// The four offset bytes are summed; the digest lies within the 728 bytes behind them.
fn offset(bytes: &[u8], schema: Schema) -> Option<usize> {
    let base: usize = match schema {
        Schema::Early => 8,
        Schema::Late => 772,
    };
    let sum: usize = bytes
        .get(base..base.checked_add(4)?)?
        .iter()
        .map(|b| usize::from(*b))
        .sum();
    (sum % 728).checked_add(base)?.checked_add(4)
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; DIGEST] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return [0; DIGEST];
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting() -> impl FnMut(&mut [u8]) {
        let mut next = 7_u8;
        move |bytes: &mut [u8]| {
            for byte in bytes {
                next = next.wrapping_mul(31).wrapping_add(11);
                *byte = next;
            }
        }
    }

    fn serve(c1: &[u8]) -> (Progress, BytesMut) {
        let (mut server, mut out) = (ServerHandshake::default(), BytesMut::new());
        let mut input = BytesMut::from(&[&[VERSION], c1, &[9; SIZE][..], b"rest"].concat()[..]);
        let progress = server.input(&mut input, &mut out, &mut counting()).unwrap();
        assert_eq!(&input[..], b"rest", "what follows the handshake is left alone");
        (progress, out)
    }

    #[test]
    fn a_simple_client_gets_its_own_bytes_back() {
        let mut c1 = [5; SIZE];
        c1[4..8].fill(0);
        let (progress, out) = serve(&c1);
        assert_eq!(progress, Progress::Done);
        assert_eq!(out.len(), 1 + 2 * SIZE);
        assert_eq!(&out[1 + SIZE..], &c1);
    }

    #[test]
    fn a_client_with_a_digest_gets_digests_in_both_schemas() {
        for schema in [Schema::Early, Schema::Late] {
            let mut c1 = [0; SIZE];
            counting()(&mut c1[8..]);
            c1[4..8].copy_from_slice(&[10, 0, 32, 2]);
            let at = offset(&c1, schema).unwrap();
            let digest = hmac(CLIENT_NAME, &[&c1[..at], &c1[at + DIGEST..]]);
            c1[at..at + DIGEST].copy_from_slice(&digest);
            let (_, out) = serve(&c1);
            let (s1, s2) = (&out[1..=SIZE], &out[1 + SIZE..]);
            let at = offset(s1, schema).unwrap();
            assert_eq!(s1[at..at + DIGEST], hmac(SERVER_NAME, &[&s1[..at], &s1[at + DIGEST..]]));
            let key = hmac(&[SERVER_NAME, &SALT].concat(), &[&digest]);
            assert_eq!(s2[SIZE - DIGEST..], hmac(&key, &[&s2[..SIZE - DIGEST]]));
        }
    }

    #[test]
    fn every_split_of_the_input_comes_to_the_same() {
        let whole = [&[VERSION], &[1; SIZE][..], &[2; SIZE][..]].concat();
        for cut in [1, 2, 1535, 1536, 1537, 1538, 3072] {
            let (mut server, mut out, mut input) = (ServerHandshake::default(), BytesMut::new(), BytesMut::new());
            input.extend_from_slice(&whole[..cut]);
            assert_eq!(
                server.input(&mut input, &mut out, &mut counting()),
                Ok(Progress::Waiting),
                "cut at {cut}"
            );
            input.extend_from_slice(&whole[cut..]);
            assert_eq!(
                server.input(&mut input, &mut out, &mut counting()),
                Ok(Progress::Done),
                "cut at {cut}"
            );
            assert!(input.is_empty());
        }
    }

    #[test]
    fn client_and_server_come_to_an_end_with_each_other() {
        let (mut client, mut server) = (ClientHandshake::default(), ServerHandshake::default());
        let (mut up, mut down) = (BytesMut::new(), BytesMut::new());
        let none = &mut BytesMut::new();
        assert_eq!(client.input(none, &mut up, &mut counting()), Ok(Progress::Waiting));
        assert_eq!(server.input(&mut up, &mut down, &mut counting()), Ok(Progress::Waiting));
        assert_eq!(client.input(&mut down, &mut up, &mut counting()), Ok(Progress::Done));
        assert_eq!(server.input(&mut up, &mut down, &mut counting()), Ok(Progress::Done));
    }

    #[test]
    fn http_on_the_rtmp_port_is_named_for_what_it_is() {
        let mut input = BytesMut::from("GET / HTTP/1.1\r\n");
        let error = ServerHandshake::default()
            .input(&mut input, &mut BytesMut::new(), &mut counting())
            .unwrap_err();
        assert_eq!(error, Error::BadVersion(b'G'));
    }
}
