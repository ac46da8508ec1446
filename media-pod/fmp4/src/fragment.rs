//! A fragment: a `moof` that describes samples, and the `mdat` that holds them (§8.8).

use crate::boxes::{patch, put_box, put_full};
use bytes::{BufMut, BytesMut};
use headgate_codec::{Frame, Timestamp, TrackKind};

/// Frames of one track that follow each other.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    /// The track's id on the wire.
    pub(crate) id: u32,
    pub(crate) frames: Vec<Sample<'a>>,
}

/// A frame with the time to the next one, in ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample<'a> {
    pub(crate) frame: &'a Frame,
    pub(crate) duration: u32,
}

/// `moof` counts from its own start.
const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;
/// Data offset, then for each sample duration, size, flags, composition offset.
const RUN_FIELDS: u32 = 0x001 | 0x100 | 0x200 | 0x400 | 0x800;
/// Depends on no other sample.
const SYNC: u32 = 0x0200_0000;
/// Depends on others, and decoding cannot start here.
const NO_SYNC: u32 = 0x0101_0000;
/// Of a fragment, without its samples.
const HEAD_BYTES: usize = 32;
const RUN_BYTES: usize = 64;
const SAMPLE_BYTES: usize = 16;

impl Run<'_> {
    fn bytes(&self) -> usize {
        self.frames
            .iter()
            .fold(0, |sum, sample| sum.saturating_add(sample.frame.payload.len()))
    }
}

/// Appends a fragment. The payload is copied once.
pub(crate) fn put(out: &mut BytesMut, sequence: u32, runs: &[Run<'_>]) {
    let payload = runs.iter().fold(0_usize, |sum, run| sum.saturating_add(run.bytes()));
    let heads = runs.iter().fold(HEAD_BYTES, |sum, run| {
        sum.saturating_add(RUN_BYTES)
            .saturating_add(run.frames.len().saturating_mul(SAMPLE_BYTES))
    });
    out.reserve(heads.saturating_add(payload).saturating_add(32));
    let start = out.len();
    let mut offsets = Vec::with_capacity(runs.len());
    put_box(out, *b"moof", |out| {
        put_full(out, *b"mfhd", 0, 0, |out| out.put_u32(sequence));
        for run in runs {
            put_box(out, *b"traf", |out| offsets.push(put_run(out, run)));
        }
    });
    let mut at = out.len().saturating_sub(start).saturating_add(8);
    for (run, offset) in runs.iter().zip(offsets) {
        patch(out, offset, u32::try_from(at).unwrap_or(u32::MAX));
        at = at.saturating_add(run.bytes());
    }
    put_box(out, *b"mdat", |out| {
        for sample in runs.iter().flat_map(|run| &run.frames) {
            out.put_slice(&sample.frame.payload);
        }
    });
}

/// Says where the offset of the run's data stands.
fn put_run(out: &mut BytesMut, run: &Run<'_>) -> usize {
    put_full(out, *b"tfhd", 0, DEFAULT_BASE_IS_MOOF, |out| out.put_u32(run.id));
    let base = run.frames.first().map_or(0, |sample| time(sample.frame.dts));
    put_full(out, *b"tfdt", 1, 0, |out| out.put_u64(base));
    let mut offset = 0;
    // Version 1: composition offsets have a sign.
    put_full(out, *b"trun", 1, RUN_FIELDS, |out| {
        out.put_u32(u32::try_from(run.frames.len()).unwrap_or(u32::MAX));
        offset = out.len();
        out.put_u32(0);
        for Sample { frame, duration } in &run.frames {
            out.put_u32(*duration);
            out.put_u32(u32::try_from(frame.payload.len()).unwrap_or(u32::MAX));
            out.put_u32(if frame.key { SYNC } else { NO_SYNC });
            out.put_i32(composition(frame));
        }
    });
    offset
}

/// Time has no sign on the wire.
pub(crate) fn time(at: Timestamp) -> u64 {
    u64::try_from(at.ticks()).unwrap_or(0)
}

fn composition(frame: &Frame) -> i32 {
    if frame.kind == TrackKind::Audio {
        return 0;
    }
    let ticks = frame.pts.ticks().saturating_sub(frame.dts.ticks());
    i32::try_from(ticks).unwrap_or(0)
}
