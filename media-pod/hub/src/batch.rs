//! Several packets as one piece: what a pass writes to all viewers that stand at the same place. Copied once, however many they are.

use crate::{Format, Packet};
use bytes::{Bytes, BytesMut};

/// Packets `from..to` of one publisher.
pub(crate) struct Batch {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) epoch: u64,
    pub(crate) bytes: Bytes,
    parts: Parts,
}

/// What there is for one who has some of the packets already.
enum Parts {
    /// They stand in the bytes as they are: where each ends.
    Ends(Vec<usize>),
    /// The bytes say the same in another way.
    Packets(Vec<Bytes>),
}

impl Batch {
    /// One system call takes no more of it in any case.
    pub(crate) const BYTES_MAX: usize = 1 << 20;

    /// Of as many packets as fit; of one at least.
    pub(crate) fn new<'a>(
        from: u64,
        epoch: u64,
        packets: impl Iterator<Item = &'a Packet> + Clone,
        format: &dyn Format,
    ) -> Self {
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
        let to = from.saturating_add(ends.len() as u64);
        let packets = packets.take(ends.len());
        let (bytes, parts) = match gathered(packets.clone(), format) {
            Some((bytes, packets)) => (bytes, Parts::Packets(packets)),
            None => (joined(packets, total), Parts::Ends(ends)),
        };
        Self {
            from,
            to,
            epoch,
            bytes,
            parts,
        }
    }

    /// What there is from the packet `next` on; `None` for one that is in front of the batch. Of what is behind it there is nothing.
    pub(crate) fn rest(&self, next: u64) -> Option<Bytes> {
        let had = usize::try_from(next.checked_sub(self.from)?).unwrap_or(usize::MAX);
        let Some(last) = had.checked_sub(1) else {
            return Some(self.bytes.clone());
        };
        Some(match &self.parts {
            Parts::Ends(ends) => self.bytes.slice(ends.get(last).copied().unwrap_or(self.bytes.len())..),
            Parts::Packets(packets) => {
                let left = packets.get(had..).unwrap_or_default();
                left.concat().into()
            }
        })
    }
}

/// What says the same as all of them, and they, where they are several and there is such a thing.
fn gathered<'a>(mut packets: impl Iterator<Item = &'a Packet>, format: &dyn Format) -> Option<(Bytes, Vec<Bytes>)> {
    let (first, second) = (packets.next()?, packets.next()?);
    let all = [first, second].into_iter().chain(packets);
    let all: Vec<Bytes> = all.map(|packet| packet.whole().cloned()).collect::<Option<_>>()?;
    Some((format.gather(&all)?, all))
}

fn joined<'a>(packets: impl Iterator<Item = &'a Packet> + Clone, total: usize) -> Bytes {
    let mut rest = packets.clone();
    if let (Some(one), None) = (rest.next(), rest.next()) {
        return one.to_bytes();
    }
    let mut bytes = BytesMut::with_capacity(total);
    packets.for_each(|packet| packet.put(&mut bytes));
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FormatId, Start};
    use headgate_codec::{Frame, Timestamp, Track};

    /// Says the letters of packets once, where it is to.
    struct Letters(bool);

    impl Format for Letters {
        fn id(&self) -> FormatId {
            FormatId("letters")
        }

        fn start(&self, _: &Start<'_>) -> Bytes {
            Bytes::new()
        }

        fn config(&self, _: &Track, _: Timestamp) -> Bytes {
            Bytes::new()
        }

        fn frame(&self, _: &Track, _: &Frame) -> Packet {
            Packet::default()
        }

        fn gather(&self, packets: &[Bytes]) -> Option<Bytes> {
            self.0
                .then(|| packets.iter().filter_map(|packet| packet.first().copied()).collect())
        }
    }

    fn batch(packets: &[&'static [u8]], gathers: bool) -> Batch {
        let packets: Vec<Packet> = packets.iter().map(|p| Bytes::from_static(p).into()).collect();
        Batch::new(7, 1, packets.iter(), &Letters(gathers))
    }

    fn rests(batch: &Batch) -> [Option<Bytes>; 6] {
        [6, 7, 8, 9, 10, 11].map(|next| batch.rest(next))
    }

    #[test]
    fn packets_stand_behind_each_other_and_each_is_found() {
        let batch = batch(&[b"ab", b"c", b"def"], false);
        assert_eq!((&batch.bytes[..], batch.to), (&b"abcdef"[..], 10));
        let expected = [None, Some("abcdef"), Some("cdef"), Some("def"), Some(""), Some("")];
        assert_eq!(rests(&batch), expected.map(|rest| rest.map(Bytes::from)));
    }

    #[test]
    fn who_has_some_packets_of_a_batch_that_says_them_otherwise_gets_the_others_as_they_are() {
        let batch = batch(&[b"aa", b"bb", b"cc"], true);
        assert_eq!((&batch.bytes[..], batch.to), (&b"abc"[..], 10));
        let expected = [None, Some("abc"), Some("bbcc"), Some("cc"), Some(""), Some("")];
        assert_eq!(rests(&batch), expected.map(|rest| rest.map(Bytes::from)));
    }

    #[test]
    fn one_packet_is_not_copied_and_a_large_one_goes_alone() {
        let large = Bytes::from(vec![0; Batch::BYTES_MAX]);
        let packets = [large.clone().into(), Bytes::from_static(b"x").into()];
        let batch = Batch::new(0, 1, packets.iter(), &Letters(true));
        assert_eq!((batch.to, batch.bytes.as_ptr()), (1, large.as_ptr()));
    }
}
