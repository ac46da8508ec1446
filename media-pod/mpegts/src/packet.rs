//! Packets (§2.4.3.2): cutting a payload into them, and reading their heads.

use crate::{Error, PACKET_BYTES};
use bytes::{BufMut, BytesMut};

const SYNC: u8 = 0x47;
const HEAD_BYTES: usize = 4;
/// What a packet has room for behind its head.
const ROOM: usize = PACKET_BYTES - HEAD_BYTES;
const PCR_BYTES: usize = 6;

/// What the adaptation field of a payload's first packet says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Adaptation {
    /// The clock in ticks of 90 kHz, modulo 2^33.
    pub(crate) clock: Option<u64>,
    /// Decoding can start here.
    pub(crate) random_access: bool,
    /// The clock does not go on from where it was.
    pub(crate) discontinuity: bool,
}

impl Adaptation {
    fn bytes(self) -> usize {
        match self.clock {
            Some(_) => 2 + PCR_BYTES,
            None if self.random_access || self.discontinuity => 2,
            None => 0,
        }
    }

    fn flags(self) -> u8 {
        (u8::from(self.discontinuity) << 7)
            | (u8::from(self.random_access) << 6)
            | (u8::from(self.clock.is_some()) << 4)
    }

    /// The field in `bytes` bytes, filled up.
    fn put(self, out: &mut BytesMut, bytes: usize) {
        let Some(length) = bytes.checked_sub(1) else { return };
        out.put_u8(u8::try_from(length).unwrap_or(u8::MAX));
        if length == 0 {
            return;
        }
        out.put_u8(self.flags());
        let mut used = 2;
        if let Some(clock) = self.clock {
            // 33 bits of base, 6 reserved, 9 of extension.
            out.put_uint(((clock & crate::pes::TIME_MASK) << 15) | (0x3f << 9), PCR_BYTES);
            used = 2 + PCR_BYTES;
        }
        out.put_bytes(0xff, bytes.saturating_sub(used));
    }
}

/// Cuts a payload that lies in several parts, the first of them `head`, into packets.
pub(crate) fn put_packets(
    out: &mut BytesMut,
    pid: u16,
    counter: &mut u8,
    first: Adaptation,
    head: &[u8],
    parts: &[&[u8]],
) {
    let mut left = parts
        .iter()
        .fold(head.len(), |sum, part| sum.saturating_add(part.len()));
    out.reserve(left.div_ceil(ROOM).saturating_add(1).saturating_mul(PACKET_BYTES));
    let mut source = Source { parts, part: head };
    let (mut adaptation, mut start) = (first, true);
    while left > 0 {
        let wanted = adaptation.bytes();
        let taken = ROOM.saturating_sub(wanted).min(left);
        let field = ROOM.saturating_sub(taken);
        put_head(out, pid, start, field > 0, *counter);
        *counter = counter.wrapping_add(1) & 15;
        adaptation.put(out, field);
        source.take(taken, out);
        left = left.saturating_sub(taken);
        (adaptation, start) = (Adaptation::default(), false);
    }
}

/// A section in a packet of its own; it must fit, which [`crate::TRACKS_MAX`] sees to.
pub(crate) fn put_section(out: &mut BytesMut, pid: u16, counter: &mut u8, section: &[u8]) {
    put_head(out, pid, true, false, *counter);
    *counter = counter.wrapping_add(1) & 15;
    let section = section.get(..ROOM.saturating_sub(1)).unwrap_or(section);
    out.put_u8(0);
    out.put_slice(section);
    out.put_bytes(0xff, ROOM.saturating_sub(1).saturating_sub(section.len()));
}

fn put_head(out: &mut BytesMut, pid: u16, start: bool, has_adaptation: bool, counter: u8) {
    let [high, low] = ((u16::from(start) << 14) | (pid & 0x1fff)).to_be_bytes();
    let control = if has_adaptation { 0x30 } else { 0x10 };
    out.put_slice(&[SYNC, high, low, control | counter]);
}

/// Parts, read one behind the other.
struct Source<'a> {
    parts: &'a [&'a [u8]],
    part: &'a [u8],
}

impl Source<'_> {
    fn take(&mut self, mut count: usize, out: &mut BytesMut) {
        while count > 0 {
            if self.part.is_empty() {
                let Some((next, rest)) = self.parts.split_first() else {
                    return;
                };
                (self.part, self.parts) = (next, rest);
                continue;
            }
            let (now, rest) = self.part.split_at(count.min(self.part.len()));
            out.put_slice(now);
            count = count.saturating_sub(now.len());
            self.part = rest;
        }
    }
}

/// A packet that was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) pid: u16,
    /// A PES packet or a section starts in it.
    pub(crate) start: bool,
    pub(crate) counter: u8,
    /// The adaptation field announces a break.
    pub(crate) discontinuity: bool,
    pub(crate) payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads the head of 188 bytes.
    pub(crate) fn parse(packet: &'a [u8]) -> Result<Self, Error> {
        const BAD: Error = Error::Malformed { what: "packet" };
        let (&[sync, high, low, control], rest) = packet.split_first_chunk::<HEAD_BYTES>().ok_or(BAD)?;
        // A transport error, or something scrambled.
        if sync != SYNC || high & 0x80 != 0 || control & 0xc0 != 0 {
            return Err(BAD);
        }
        let (field, payload) = if control & 0x20 == 0 {
            (&[][..], rest)
        } else {
            let (length, rest) = rest.split_first().ok_or(BAD)?;
            rest.split_at_checked(usize::from(*length)).ok_or(BAD)?
        };
        Ok(Self {
            pid: u16::from_be_bytes([high & 0x1f, low]),
            start: high & 0x40 != 0,
            counter: control & 15,
            discontinuity: field.first().is_some_and(|flags| flags & 0x80 != 0),
            payload: if control & 0x10 == 0 { &[] } else { payload },
        })
    }
}
