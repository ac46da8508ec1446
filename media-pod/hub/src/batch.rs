//! Several packets as one piece: what a pass writes to all viewers that stand at the same place. Copied once, however many they are.

use bytes::{Bytes, BytesMut};

/// Packets `from..to` of one publisher.
pub(crate) struct Batch {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) epoch: u64,
    pub(crate) bytes: Bytes,
    /// Where each packet ends.
    ends: Vec<usize>,
}

impl Batch {
    /// One system call takes no more of it in any case.
    pub(crate) const BYTES_MAX: usize = 1 << 20;

    /// Of as many packets as fit; of one at least.
    pub(crate) fn new<'a>(from: u64, epoch: u64, packets: impl Iterator<Item = &'a Bytes> + Clone) -> Self {
        let mut ends = Vec::new();
        let mut total = 0_usize;
        for packet in packets.clone() {
            let end = total.saturating_add(packet.len());
            if end > Self::BYTES_MAX && total > 0 {
                break;
            }
            total = end;
            ends.push(end);
        }
        let mut packets = packets.take(ends.len());
        let bytes = if ends.len() == 1 {
            packets.next().cloned().unwrap_or_default()
        } else {
            let mut bytes = BytesMut::with_capacity(total);
            packets.for_each(|packet| bytes.extend_from_slice(packet));
            bytes.freeze()
        };
        Self {
            from,
            to: from.saturating_add(ends.len() as u64),
            epoch,
            bytes,
            ends,
        }
    }

    /// Where the packet `next` begins; `None` for one that is in front of the batch. What is behind it begins at its end.
    pub(crate) fn offset(&self, next: u64) -> Option<usize> {
        let before = next.checked_sub(self.from)?;
        let Some(last) = before.checked_sub(1) else {
            return Some(0);
        };
        let end = usize::try_from(last).ok().and_then(|last| self.ends.get(last));
        Some(end.copied().unwrap_or(self.bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(packets: &[&'static [u8]]) -> Batch {
        let packets: Vec<Bytes> = packets.iter().map(|p| Bytes::from_static(p)).collect();
        Batch::new(7, 1, packets.iter())
    }

    #[test]
    fn packets_stand_behind_each_other_and_each_is_found() {
        let batch = batch(&[b"ab", b"c", b"def"]);
        assert_eq!((&batch.bytes[..], batch.to), (&b"abcdef"[..], 10));
        let at = [6, 7, 8, 9, 10, 11].map(|next| batch.offset(next));
        assert_eq!(at, [None, Some(0), Some(2), Some(3), Some(6), Some(6)]);
    }

    #[test]
    fn one_packet_is_not_copied_and_a_large_one_goes_alone() {
        let large = Bytes::from(vec![0; Batch::BYTES_MAX]);
        let batch = Batch::new(0, 1, [large.clone(), Bytes::from_static(b"x")].iter());
        assert_eq!((batch.to, batch.bytes.as_ptr()), (1, large.as_ptr()));
    }
}
