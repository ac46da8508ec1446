//! The heads of PES packets (§2.4.3.6).

use crate::Error;
use headgate_codec::Timestamp;
use smallvec::SmallVec;

/// Times have 33 bits.
pub(crate) const TIME_MASK: u64 = (1 << 33) - 1;

/// A point in time as it stands on the wire.
pub(crate) fn wire(at: Timestamp) -> u64 {
    at.ticks().cast_unsigned() & TIME_MASK
}

/// The head of a packet with `payload` bytes behind it.
pub(crate) fn head(stream_id: u8, pts: Timestamp, dts: Timestamp, payload: usize) -> SmallVec<[u8; 19]> {
    let (pts, dts) = (wire(pts), wire(dts));
    let times: u8 = if pts == dts { 5 } else { 10 };
    // 0 is for pictures that are too long to say.
    let length = u16::try_from(payload.saturating_add(3).saturating_add(usize::from(times))).unwrap_or(0);
    let [high, low] = length.to_be_bytes();
    // data_alignment_indicator: each packet holds one whole frame.
    let flags = if pts == dts { 0x80 } else { 0xc0 };
    let mut head = SmallVec::from_slice(&[0, 0, 1, stream_id, high, low, 0x84, flags, times]);
    if pts == dts {
        head.extend(time(2, pts));
    } else {
        head.extend(time(3, pts));
        head.extend(time(1, dts));
    }
    head
}

fn time(mark: u64, time: u64) -> [u8; 5] {
    let bits = (mark << 36)
        | ((time >> 30 & 7) << 33)
        | (1 << 32)
        | ((time >> 15 & 0x7fff) << 17)
        | (1 << 16)
        | ((time & 0x7fff) << 1)
        | 1;
    let [_, _, _, rest @ ..] = bits.to_be_bytes();
    rest
}

/// What the head of a PES packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) pts: Option<u64>,
    pub(crate) dts: Option<u64>,
    /// Where the payload starts.
    pub(crate) payload_at: usize,
    /// Bytes of the payload, where the head says so.
    pub(crate) payload_bytes: Option<usize>,
}

impl Head {
    /// `None` while there is too little to tell.
    pub(crate) fn parse(data: &[u8]) -> Result<Option<Self>, Error> {
        const BAD: Error = Error::Malformed { what: "PES head" };
        let Some((&[a, b, c, _, high, low, marker, flags, extra], rest)) = data.split_first_chunk::<9>() else {
            return Ok(None);
        };
        if [a, b, c] != [0, 0, 1] || marker & 0xc0 != 0x80 {
            return Err(BAD);
        }
        let extra = usize::from(extra);
        let Some(times) = rest.get(..extra) else {
            return Ok(None);
        };
        let pts = if flags & 0x80 == 0 {
            None
        } else {
            Some(read_time(times).ok_or(BAD)?)
        };
        let dts = if flags & 0xc0 == 0xc0 {
            Some(times.get(5..).and_then(read_time).ok_or(BAD)?)
        } else {
            None
        };
        let payload_bytes = match usize::from(u16::from_be_bytes([high, low])) {
            0 => None,
            length => Some(length.checked_sub(extra.saturating_add(3)).ok_or(BAD)?),
        };
        Ok(Some(Self {
            pts,
            dts,
            payload_at: extra.saturating_add(9),
            payload_bytes,
        }))
    }
}

fn read_time(data: &[u8]) -> Option<u64> {
    let bytes: [u8; 5] = data.get(..5)?.try_into().ok()?;
    let bits = bytes.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    Some((bits >> 33 & 7) << 30 | (bits >> 17 & 0x7fff) << 15 | (bits >> 1 & 0x7fff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_lengths_are_read_back() {
        for (pts, dts) in [
            (0, 0),
            (1, 0),
            ((1 << 33) - 1, 1 << 32),
            (90_000, -90_000),
            (1 << 33, 5),
        ] {
            let (pts, dts) = (Timestamp::from_ticks(pts), Timestamp::from_ticks(dts));
            for payload in [0, 100, 70_000] {
                let head = head(0xe0, pts, dts, payload);
                let read = Head::parse(&head).unwrap().unwrap();
                assert_eq!(read.pts, Some(wire(pts)));
                assert_eq!(read.dts.or(read.pts), Some(wire(dts)));
                assert_eq!(read.payload_at, head.len());
                assert_eq!(read.payload_bytes, (payload < 65_000).then_some(payload));
            }
        }
    }
}
