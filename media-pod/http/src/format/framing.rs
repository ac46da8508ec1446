//! How bytes go over the connection: as they are, in chunks, or as WebSocket messages.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use headgate_hub::Packet;
use smallvec::SmallVec;
use std::io::Write;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// As they stand in a file, until the connection ends.
    Plain,
    /// HTTP/1.1's chunked coding (RFC 9112 §7.1).
    Chunked,
    /// Binary messages (RFC 6455 §5.2).
    WebSocket,
}

/// Room for the longest head: ten bytes in both.
const HEAD_MAX: usize = 10;

/// One, with room for what may stand behind it.
type Head = SmallVec<[u8; 40]>;

impl Framing {
    /// What `put` writes, framed; nothing when that is nothing. `room` is how much it will be, about.
    pub(crate) fn wrap(self, room: usize, put: impl FnOnce(&mut BytesMut)) -> Bytes {
        let mut out = BytesMut::with_capacity(room.saturating_add(HEAD_MAX));
        out.put_bytes(0, HEAD_MAX);
        put(&mut out);
        let bytes = out.len().saturating_sub(HEAD_MAX);
        if bytes == 0 {
            return Bytes::new();
        }
        // The head is as long as it has to be, and ends where the content begins.
        let head = self.head(bytes);
        let head = head.get(..HEAD_MAX).unwrap_or(&head);
        let unused = HEAD_MAX.saturating_sub(head.len());
        if let Some(place) = out.get_mut(unused..HEAD_MAX) {
            place.copy_from_slice(head);
        }
        out.put_slice(self.tail());
        out.advance(unused);
        out.freeze()
    }

    /// A body between a head and a tail, framed.
    pub(crate) fn wrap_around(self, head: &[u8], body: Bytes, tail: &[u8]) -> Packet {
        let bytes = head.len().saturating_add(body.len()).saturating_add(tail.len());
        let (mut before, mut behind) = (self.head(bytes), SmallVec::<[u8; 16]>::from_slice(tail));
        before.extend_from_slice(head);
        behind.extend_from_slice(self.tail());
        Packet::around(&before, body, &behind)
    }

    /// What stands in a piece that [`Framing::wrap`] has made.
    pub(crate) fn unwrap(self, piece: &[u8]) -> Option<&[u8]> {
        match self {
            Self::Plain => Some(piece),
            Self::Chunked => {
                let head = piece
                    .iter()
                    .take(HEAD_MAX)
                    .position(|byte| *byte == b'\n')?
                    .checked_add(1)?;
                piece.get(head..)?.strip_suffix(b"\r\n")
            }
            Self::WebSocket => match piece.get(1)? {
                127 => piece.get(10..),
                126 => piece.get(4..),
                _ => piece.get(2..),
            },
        }
    }

    fn head(self, bytes: usize) -> Head {
        let mut head = Head::new();
        match self {
            Self::Plain => {}
            Self::Chunked => {
                let mut line = [0; HEAD_MAX];
                let mut room = line.as_mut_slice();
                // No packet is so long that this does not fit.
                let _ = write!(room, "{bytes:x}\r\n");
                let written = HEAD_MAX.saturating_sub(room.len());
                head.extend_from_slice(line.get(..written).unwrap_or_default());
            }
            Self::WebSocket => put_head(&mut head, BINARY, bytes),
        }
        head
    }

    fn tail(self) -> &'static [u8] {
        match self {
            Self::Plain | Self::WebSocket => &[],
            Self::Chunked => b"\r\n",
        }
    }

    /// What ends a body cleanly.
    pub(crate) fn end(self) -> &'static [u8] {
        match self {
            Self::Plain => &[],
            Self::Chunked => b"0\r\n\r\n",
            // Close, normally (1000).
            Self::WebSocket => &[0x88, 2, 0x03, 0xe8],
        }
    }
}

const BINARY: u8 = 2;

/// The head of an unmasked message in one frame.
fn put_head(out: &mut Head, opcode: u8, bytes: usize) {
    out.push(0x80 | opcode);
    match (u8::try_from(bytes), u16::try_from(bytes)) {
        (Ok(short), _) if short < 126 => out.push(short),
        (_, Ok(long)) => {
            out.push(126);
            out.extend_from_slice(&long.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(bytes as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(framing: Framing, bytes: usize) -> Bytes {
        framing.wrap(0, |out| out.put_bytes(b'x', bytes))
    }

    #[test]
    fn each_framing_has_its_head_and_tail() {
        assert_eq!(framed(Framing::Plain, 3), "xxx");
        assert_eq!(framed(Framing::Chunked, 3), "3\r\nxxx\r\n");
        assert_eq!(framed(Framing::Chunked, 300)[..5], *b"12c\r\n");
        assert_eq!(framed(Framing::WebSocket, 3)[..], [0x82, 3, b'x', b'x', b'x']);
        assert_eq!(framed(Framing::WebSocket, 126)[..4], [0x82, 126, 0, 126]);
        let long = framed(Framing::WebSocket, 70_000);
        assert_eq!(long[..10], [0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]);
        assert_eq!(long.len(), 70_010);
    }

    #[test]
    fn what_was_wrapped_is_found_again() {
        for framing in [Framing::Plain, Framing::Chunked, Framing::WebSocket] {
            for bytes in [1, 125, 126, 4096, 65_535, 65_536, 1 << 20] {
                let found = framing.unwrap(&framed(framing, bytes)).map(<[u8]>::len);
                assert_eq!(found, Some(bytes), "{framing:?}");
            }
        }
    }

    #[test]
    fn a_body_between_two_ends_is_framed_as_the_whole_is() {
        for framing in [Framing::Plain, Framing::Chunked, Framing::WebSocket] {
            for bytes in [0, 120, 600, 70_000] {
                let body = Bytes::from(vec![b'x'; bytes]);
                let whole = framing.wrap(0, |out| {
                    out.put_slice(b"head");
                    out.put_slice(&body);
                    out.put_slice(b"end");
                });
                assert_eq!(
                    framing.wrap_around(b"head", body, b"end").to_bytes(),
                    whole,
                    "{framing:?}"
                );
            }
        }
    }

    #[test]
    fn nothing_stays_nothing() {
        for framing in [Framing::Plain, Framing::Chunked, Framing::WebSocket] {
            assert_eq!(framed(framing, 0), "");
        }
    }
}
