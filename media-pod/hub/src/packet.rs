//! [`Packet`]: one message as viewers get it, which is mostly a frame's own bytes between a few more. Those are shared with the frame, so that to put
//! a packet into a ring copies next to nothing; they are copied when it is known with which others they go out.

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Packet {
    /// What stands before the body, and what stands behind it.
    around: SmallVec<[u8; Packet::AROUND]>,
    /// How much of that stands before.
    head: usize,
    body: Bytes,
}

impl Packet {
    /// More than an FLV tag's header and its multitrack body's, in a WebSocket message or in chunked coding.
    const AROUND: usize = 40;
    /// A body of fewer bytes goes with what is around it: to copy them costs less than a piece of their own.
    const SMALL: usize = 512;

    /// A body with what stands before and behind it.
    pub fn around(head: &[u8], body: Bytes, tail: &[u8]) -> Self {
        let mut around = SmallVec::from_slice(head);
        around.extend_from_slice(tail);
        Self {
            around,
            head: head.len(),
            body,
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.around.len().saturating_add(self.body.len())
    }

    /// As one piece; copied, unless it is one.
    pub fn to_bytes(&self) -> Bytes {
        self.whole().cloned().unwrap_or_else(|| {
            let mut bytes = BytesMut::with_capacity(self.len());
            self.put(&mut bytes);
            bytes.freeze()
        })
    }

    /// When it is one piece.
    pub(crate) fn whole(&self) -> Option<&Bytes> {
        self.around.is_empty().then_some(&self.body)
    }

    pub(crate) fn put(&self, out: &mut BytesMut) {
        let (head, tail) = self.ends();
        out.put_slice(head);
        out.put_slice(&self.body);
        out.put_slice(tail);
    }

    fn ends(&self) -> (&[u8], &[u8]) {
        self.around.split_at_checked(self.head).unwrap_or_default()
    }

    /// Bytes of it that [`Pieces`] copies.
    fn copied(&self) -> usize {
        match self.body.len() {
            _ if self.around.is_empty() => 0,
            small if small < Self::SMALL => self.len(),
            _ => self.around.len(),
        }
    }
}

impl From<Bytes> for Packet {
    fn from(body: Bytes) -> Self {
        Self {
            body,
            ..Self::default()
        }
    }
}

/// Packets as few pieces: bodies as they are, and what is small between them together.
pub(crate) struct Pieces<'a> {
    out: &'a mut Vec<Bytes>,
    small: BytesMut,
}

impl<'a> Pieces<'a> {
    /// For these packets.
    pub(crate) fn new<'p>(out: &'a mut Vec<Bytes>, packets: impl Iterator<Item = &'p Packet>) -> Self {
        let copied = packets.fold(0_usize, |sum, packet| sum.saturating_add(packet.copied()));
        Self {
            out,
            small: BytesMut::with_capacity(copied),
        }
    }

    pub(crate) fn push(&mut self, packet: &Packet) {
        if packet.whole().is_none() && packet.body.len() < Packet::SMALL {
            return packet.put(&mut self.small);
        }
        let (head, tail) = packet.ends();
        self.small.put_slice(head);
        self.push_whole(packet.body.clone());
        self.small.put_slice(tail);
    }

    pub(crate) fn push_whole(&mut self, bytes: Bytes) {
        self.end();
        self.out.push(bytes);
    }

    /// What is left. To be called behind the last packet.
    pub(crate) fn end(&mut self) {
        if !self.small.is_empty() {
            self.out.push(self.small.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets() -> Vec<Packet> {
        let large = Bytes::from(vec![b'L'; Packet::SMALL]);
        let small = Bytes::from_static(b"small");
        vec![
            Packet::around(b"<", small.clone(), b">"),
            Packet::around(b"[", large.clone(), b"]"),
            Packet::around(b"(", small.clone(), b""),
            Packet::from(small),
            Packet::around(b"", large, b"."),
        ]
    }

    #[test]
    fn pieces_are_the_packets_behind_each_other_and_large_bodies_are_not_copied() {
        let (packets, mut out) = (packets(), Vec::new());
        let mut pieces = Pieces::new(&mut out, packets.iter());
        for packet in &packets {
            pieces.push(packet);
        }
        pieces.end();
        let lengths: Vec<usize> = out.iter().map(Bytes::len).collect();
        assert_eq!(lengths, [8, Packet::SMALL, 7, 5, Packet::SMALL, 1]);
        let [_, large, ..] = &packets[..] else { unreachable!() };
        assert_eq!(out[1].as_ptr(), large.body.as_ptr());
        let whole: Vec<Bytes> = packets.iter().map(Packet::to_bytes).collect();
        assert_eq!(out.concat(), whole.concat());
        assert!(
            packets
                .iter()
                .zip(&whole)
                .all(|(packet, whole)| packet.len() == whole.len())
        );
    }

    #[test]
    fn what_is_one_piece_stays_the_same_and_nothing_is_nothing() {
        let bytes = Bytes::from(vec![1; 9]);
        assert_eq!(Packet::from(bytes.clone()).to_bytes().as_ptr(), bytes.as_ptr());
        assert!(Packet::default().is_empty() && !Packet::around(b"", Bytes::new(), b"x").is_empty());
    }
}
