//! How bytes go over the connection: as they are, in chunks, or as WebSocket messages.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::fmt::Write;

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
        let unused = HEAD_MAX.saturating_sub(head.len());
        if let Some(place) = out.get_mut(unused..HEAD_MAX) {
            place.copy_from_slice(&head);
        }
        if self == Self::Chunked {
            out.put_slice(b"\r\n");
        }
        out.advance(unused);
        out.freeze()
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

    fn head(self, bytes: usize) -> BytesMut {
        let mut head = BytesMut::with_capacity(HEAD_MAX);
        match self {
            Self::Plain => {}
            Self::Chunked => {
                // Writing to memory does not fail, and no packet is so long that this does not fit.
                let _ = write!(head, "{bytes:x}\r\n");
            }
            Self::WebSocket => put_head(&mut head, BINARY, bytes),
        }
        head.truncate(HEAD_MAX);
        head
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
fn put_head(out: &mut BytesMut, opcode: u8, bytes: usize) {
    out.put_u8(0x80 | opcode);
    match (u8::try_from(bytes), u16::try_from(bytes)) {
        (Ok(short), _) if short < 126 => out.put_u8(short),
        (_, Ok(long)) => {
            out.put_u8(126);
            out.put_u16(long);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(bytes as u64);
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
    fn nothing_stays_nothing() {
        for framing in [Framing::Plain, Framing::Chunked, Framing::WebSocket] {
            assert_eq!(framed(framing, 0), "");
        }
    }
}
