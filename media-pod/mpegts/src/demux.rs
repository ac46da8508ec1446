//! Packets to frames.

use crate::packet::Packet;
use crate::pes::{Head, TIME_MASK};
use crate::sections::{self, Entry, SECTION_MAX};
pub use crate::split::Demuxed;
use crate::split::{Kind, Splitter};
use crate::{Error, PACKET_BYTES, TRACKS_MAX};
use bytes::BytesMut;
use headgate_codec::{Timestamp, TrackId};

/// Bytes of one frame.
const FRAME_MAX: usize = 16 << 20;
/// Bytes of all frames that are not whole yet.
const PENDING_MAX: usize = 32 << 20;

/// Reads the first program of a stream. A video PES packet is taken for one picture, as every muxer of today writes it; sound may be cut anyhow.
#[derive(Debug, Default)]
pub struct Demuxer {
    /// The start of a packet whose rest has not come.
    rest: BytesMut,
    tables: Sections,
    map_pid: Option<u16>,
    map: Sections,
    map_version: Option<u8>,
    lanes: Vec<Lane>,
    clock: Option<i64>,
}

#[derive(Debug)]
struct Lane {
    pid: u16,
    counter: Option<u8>,
    /// The PES packet that is being read.
    pending: BytesMut,
    splitter: Splitter,
}

impl Demuxer {
    /// Takes bytes as they come, of any number, and appends what they came to. Bytes that are no packets are passed over. After an error, which
    /// tells of one bad frame, table or packet, the next bytes can be fed.
    pub fn push(&mut self, data: &[u8], out: &mut Vec<Demuxed>) -> Result<(), Error> {
        self.rest.extend_from_slice(data);
        let rest = std::mem::take(&mut self.rest);
        let (mut at, mut result) = (0_usize, Ok(()));
        while let Some(packet) = rest.get(at..).filter(|left| left.len() >= PACKET_BYTES) {
            if packet.first() != Some(&0x47) {
                at = at.saturating_add(1);
                continue;
            }
            let packet = packet.get(..PACKET_BYTES).unwrap_or_default();
            result = result.and(Packet::parse(packet).and_then(|packet| self.packet(packet, out)));
            at = at.saturating_add(PACKET_BYTES);
        }
        self.rest = BytesMut::from(rest.get(at..).unwrap_or_default());
        result
    }

    /// The end of the stream: what is still unfinished is taken for whole.
    pub fn finish(&mut self, out: &mut Vec<Demuxed>) -> Result<(), Error> {
        let mut result = Ok(());
        for index in 0..self.lanes.len() {
            result = result.and(self.complete(index, out));
        }
        result
    }

    fn packet(&mut self, packet: Packet<'_>, out: &mut Vec<Demuxed>) -> Result<(), Error> {
        if packet.pid == 0 {
            if let Some(section) = self.tables.push(packet)
                && let Some(pid) = sections::read_pat(&section)?
            {
                self.map_pid = Some(pid);
            }
        } else if self.map_pid == Some(packet.pid) {
            if let Some(section) = self.map.push(packet)
                && let Some((version, entries)) = sections::read_pmt(&section)?
                && self.map_version != Some(version)
            {
                self.map_version = Some(version);
                self.follow(&entries);
            }
        } else if let Some(index) = self.lanes.iter().position(|lane| lane.pid == packet.pid) {
            return self.media(index, packet, out);
        }
        Ok(())
    }

    /// Lanes as the map says; those that are the same go on.
    fn follow(&mut self, entries: &[Entry<'_>]) {
        let mut before = std::mem::take(&mut self.lanes);
        for entry in entries {
            let Some(kind) = kind(entry) else { continue };
            if self.lanes.len() >= TRACKS_MAX {
                return;
            }
            let same = before
                .iter()
                .position(|lane| lane.pid == entry.pid && lane.splitter.kind() == kind);
            let lane = if let Some(index) = same {
                before.swap_remove(index)
            } else {
                let taken: Vec<TrackId> = self.lanes.iter().chain(&before).map(|l| l.splitter.id()).collect();
                Lane::new(entry.pid, Splitter::new(free_id(kind, &taken), kind))
            };
            self.lanes.push(lane);
        }
    }

    fn media(&mut self, index: usize, packet: Packet<'_>, out: &mut Vec<Demuxed>) -> Result<(), Error> {
        let mut result = Ok(());
        if packet.start {
            result = self.complete(index, out);
        }
        let pending = self
            .lanes
            .iter()
            .fold(0_usize, |sum, lane| sum.saturating_add(lane.pending.len()));
        let Some(lane) = self.lanes.get_mut(index) else {
            return result;
        };
        if !lane.follows(packet) {
            lane.pending.clear();
            lane.splitter.reset();
        }
        // The middle of a frame whose start was not seen.
        if packet.payload.is_empty() || (lane.pending.is_empty() && !packet.start) {
            return result;
        }
        if lane.pending.len() > FRAME_MAX || pending > PENDING_MAX {
            let bytes = lane.pending.len();
            lane.pending = BytesMut::new();
            return Err(Error::TooLarge(bytes));
        }
        lane.pending.extend_from_slice(packet.payload);
        if lane.is_whole() {
            result = result.and(self.complete(index, out));
        }
        result
    }

    /// Passes on what a lane has read, if anything.
    fn complete(&mut self, index: usize, out: &mut Vec<Demuxed>) -> Result<(), Error> {
        let Some(lane) = self.lanes.get_mut(index).filter(|lane| !lane.pending.is_empty()) else {
            return Ok(());
        };
        let pes = lane.pending.split();
        let Some(head) = Head::parse(&pes)? else {
            return Err(Error::Malformed { what: "PES head" });
        };
        let end = head.payload_bytes.and_then(|bytes| head.payload_at.checked_add(bytes));
        let payload = pes.get(head.payload_at..end.unwrap_or(pes.len()).min(pes.len()));
        let (Some(payload), Some(pts)) = (payload, head.pts) else {
            return Err(Error::Malformed { what: "PES packet" });
        };
        let dts = unwrapped(&mut self.clock, head.dts.unwrap_or(pts));
        let pts = near(dts, pts);
        lane.splitter
            .push(payload, Timestamp::from_ticks(pts), Timestamp::from_ticks(dts), out)
    }
}

impl Lane {
    fn new(pid: u16, splitter: Splitter) -> Self {
        Self {
            pid,
            counter: None,
            pending: BytesMut::new(),
            splitter,
        }
    }

    /// Whether no packet was lost before this one.
    fn follows(&mut self, packet: Packet<'_>) -> bool {
        if packet.payload.is_empty() {
            return true;
        }
        let expected = self.counter.map(|counter| counter.wrapping_add(1) & 15);
        self.counter = Some(packet.counter);
        packet.discontinuity || expected.is_none_or(|expected| expected == packet.counter)
    }

    /// All of it is there, as far as its head says how much that is.
    fn is_whole(&self) -> bool {
        let head = Head::parse(&self.pending).ok().flatten();
        head.and_then(|head| head.payload_at.checked_add(head.payload_bytes?))
            .is_some_and(|end| self.pending.len() >= end)
    }
}

/// Sections of one table, put together from packets.
#[derive(Debug, Default)]
struct Sections {
    pending: BytesMut,
    started: bool,
}

impl Sections {
    /// The section that a packet completes. Of several in one packet the first is taken: no program map has more.
    fn push(&mut self, packet: Packet<'_>) -> Option<BytesMut> {
        let mut payload = packet.payload;
        if packet.start {
            let (pointer, rest) = payload.split_first()?;
            payload = rest.get(usize::from(*pointer)..)?;
            self.pending.clear();
            self.started = true;
        }
        if !self.started {
            return None;
        }
        self.pending.extend_from_slice(payload);
        let bytes = sections::section_bytes(&self.pending)?;
        if bytes > SECTION_MAX.saturating_add(3) {
            self.started = false;
            return None;
        }
        if self.pending.len() < bytes {
            return None;
        }
        self.started = false;
        Some(self.pending.split_to(bytes))
    }
}

fn kind(entry: &Entry<'_>) -> Option<Kind> {
    match entry.stream_type {
        0x1b => Some(Kind::H264),
        0x24 => Some(Kind::H265),
        0x0f => Some(Kind::Aac),
        0x03 | 0x04 => Some(Kind::Mp3),
        0x06 if sections::registered(entry.descriptors, *b"Opus") => Some(Kind::Opus {
            channels: entry
                .descriptors
                .windows(4)
                .find_map(|w| match w {
                    [0x7f, 2, 0x80, channels @ 1..=8] => Some(*channels),
                    _ => None,
                })
                .unwrap_or(2),
        }),
        _ => None,
    }
}

/// The usual id of a stream's one track of a kind, or else the next that is free.
fn free_id(kind: Kind, taken: &[TrackId]) -> TrackId {
    let usual = if kind.is_video() {
        TrackId::VIDEO
    } else {
        TrackId::AUDIO
    };
    let others = (2..=u8::MAX).map(TrackId);
    [usual]
        .into_iter()
        .chain(others)
        .find(|id| !taken.contains(id))
        .unwrap_or(usual)
}

/// Makes 33-bit times run on past their end (after 26.5 hours).
fn unwrapped(clock: &mut Option<i64>, wire: u64) -> i64 {
    let time = match *clock {
        None => wire.cast_signed(),
        Some(last) => near(last, wire),
    };
    *clock = Some(time);
    time
}

/// The time with these low 33 bits that is nearest to `to`.
fn near(to: i64, wire: u64) -> i64 {
    let ahead = wire.wrapping_sub(to.cast_unsigned()) & TIME_MASK;
    let ahead = if ahead > TIME_MASK >> 1 {
        ahead.cast_signed().saturating_sub(1 << 33)
    } else {
        ahead.cast_signed()
    };
    to.saturating_add(ahead)
}
