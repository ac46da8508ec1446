//! The server's side of WebSocket (RFC 6455), as far as a viewer needs it: the handshake, and what clients say while they watch.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http::header;

/// What a key is answered with (§4.2.2).
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Payload of a control frame (§5.5).
const CONTROL_MAX: usize = 125;
const CLOSE: u8 = 8;
const PING: u8 = 9;

/// Whether a request asks to switch.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let says = |name, word: &str| {
        let values = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
        values
            .flat_map(|v| v.split(','))
            .any(|v| v.trim().eq_ignore_ascii_case(word))
    };
    says(header::UPGRADE, "websocket") && says(header::CONNECTION, "upgrade")
}

/// What `Sec-WebSocket-Accept` must say; `None` for a request that is not one of version 13 with a key of 16 bytes.
pub(crate) fn accept(headers: &HeaderMap) -> Option<String> {
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?.as_bytes();
    let version = headers.get(header::SEC_WEBSOCKET_VERSION)?;
    let is_key = BASE64_STANDARD.decode(key).is_ok_and(|key| key.len() == 16);
    let mut sha = sha1_smol::Sha1::new();
    sha.update(key);
    sha.update(MAGIC);
    (is_key && version == "13").then(|| BASE64_STANDARD.encode(sha.digest().bytes()))
}

/// What a client says that must be acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It wants to end, or speaks otherwise than the standard says.
    Close,
    /// It wants these bytes sent.
    Answer(Bytes),
}

/// Reads frames of a client. Data is passed over, whatever its length; of control frames at most 131 bytes are kept.
#[derive(Debug, Default)]
pub(crate) struct FromClient {
    rest: BytesMut,
    skip: u64,
}

impl FromClient {
    /// Takes bytes as they come; says the first thing that must be acted on, and is asked again with nothing for the next.
    pub(crate) fn push(&mut self, data: &[u8]) -> Option<Said> {
        self.rest.extend_from_slice(data);
        loop {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(self.rest.len());
            self.rest.advance(skipped);
            self.skip = self.skip.saturating_sub(skipped as u64);
            match self.frame() {
                Frame::Partial => return None,
                Frame::Said(said) => return Some(said),
                Frame::Passed => {}
            }
        }
    }

    /// Bytes that wait for the rest of their frame.
    pub(crate) fn kept(&self) -> usize {
        self.rest.len()
    }

    /// The frame at the start of what is there.
    fn frame(&mut self) -> Frame {
        let Some(&[first, second]) = self.rest.first_chunk::<2>() else {
            return Frame::Partial;
        };
        let (opcode, is_masked, short) = (first & 15, second & 0x80 != 0, usize::from(second & 0x7f));
        if first & 0x70 != 0 || !is_masked || (opcode >= CLOSE && short > CONTROL_MAX) {
            return Frame::Said(Said::Close);
        }
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(long) = self.rest.get(2..2_usize.saturating_add(extended)) else {
            return Frame::Partial;
        };
        let long = long.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        let payload = if extended == 0 { short as u64 } else { long };
        let head = extended.saturating_add(6);
        if opcode < CLOSE {
            self.skip = payload.saturating_add(head as u64);
            return Frame::Passed;
        }
        let end = head.saturating_add(short);
        if self.rest.len() < end {
            return Frame::Partial;
        }
        let frame = self.rest.split_to(end);
        match opcode {
            CLOSE => Frame::Said(Said::Close),
            PING => Frame::Said(Said::Answer(pong(&frame))),
            _ => Frame::Passed,
        }
    }
}

enum Frame {
    Partial,
    Passed,
    Said(Said),
}

/// What a whole ping of a client is answered with.
fn pong(ping: &[u8]) -> Bytes {
    let mask = ping.get(2..6).unwrap_or_default().iter().cycle();
    let payload = ping.get(6..).unwrap_or_default();
    let mut out = BytesMut::with_capacity(payload.len().saturating_add(2));
    out.put_slice(&[0x8a, u8::try_from(payload.len()).unwrap_or(0)]);
    out.extend(payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut frame = vec![first];
        match payload.len() {
            short @ 0..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
            long => {
                frame.push(0xfe);
                frame.extend(u16::try_from(long).unwrap().to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
        frame
    }

    fn said(stream: &[u8], piece: usize) -> Vec<Said> {
        let mut client = FromClient::default();
        let mut said = Vec::new();
        for piece in stream.chunks(piece) {
            let mut next = client.push(piece);
            while let Some(now) = next {
                let is_last = now == Said::Close;
                said.push(now);
                if is_last {
                    return said;
                }
                next = client.push(&[]);
            }
        }
        said
    }

    #[test]
    fn the_handshake_is_that_of_the_standards_example() {
        let mut headers = HeaderMap::new();
        headers.insert("connection", "keep-alive, Upgrade".parse().unwrap());
        headers.insert("upgrade", "WebSocket".parse().unwrap());
        headers.insert("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==".parse().unwrap());
        assert!(is_wanted(&headers));
        assert_eq!(accept(&headers), None, "without a version");
        headers.insert("sec-websocket-version", "13".parse().unwrap());
        assert_eq!(accept(&headers).as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        headers.insert("sec-websocket-key", "c2hvcnQ=".parse().unwrap());
        assert_eq!(accept(&headers), None);
    }

    #[test]
    fn pings_are_answered_and_data_is_passed_over_however_it_is_cut() {
        let stream = [
            masked(0x82, &[7; 600]),
            masked(0x89, b"hi"),
            masked(0x01, b"text"),
            masked(0x8a, b""),
            masked(0x88, &[3, 0xe8]),
        ]
        .concat();
        for piece in [1, 3, 100, 2000] {
            let expected = [Said::Answer(Bytes::from_static(&[0x8a, 2, b'h', b'i'])), Said::Close];
            assert_eq!(said(&stream, piece), expected, "pieces of {piece}");
        }
    }

    #[test]
    fn what_the_standard_forbids_ends_the_connection() {
        for bad in [&[0x82, 0x01, 0][..], &[0xf2, 0x80, 0, 0, 0, 0], &[0x89, 0xfe, 0, 200]] {
            assert_eq!(said(bad, 10).first(), Some(&Said::Close), "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic_or_keep_much(data in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let mut client = FromClient::default();
            for piece in data.chunks(7) {
                if client.push(piece) == Some(Said::Close) {
                    break;
                }
                proptest::prop_assert!(client.rest.len() <= 300);
            }
        }
    }
}
