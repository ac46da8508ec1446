//! A fragment: a `moof` that describes samples, and the `mdat` that holds them (§8.8).

use crate::boxes::{patch, put_box, put_full};
use bytes::{BufMut, BytesMut};
use headgate_codec::{Frame, Timestamp, TrackKind};

/// Samples of one track that follow each other.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    /// The track's id on the wire.
    pub(crate) id: u32,
    /// When the first is decoded, in ticks.
    pub(crate) base: u64,
    pub(crate) samples: Vec<Sample<'a>>,
}

/// A frame as a fragment says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample<'a> {
    /// Ticks to the next one.
    pub(crate) duration: u32,
    pub(crate) flags: u32,
    /// Ticks from decoding to showing.
    pub(crate) composition: i32,
    pub(crate) payload: &'a [u8],
}

/// `tfhd`: `moof` counts from its own start; what holds for every sample that says nothing else.
pub(crate) const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;
pub(crate) const DEFAULT_DURATION: u32 = 0x08;
pub(crate) const DEFAULT_FLAGS: u32 = 0x20;
/// `trun`: what stands once, and for each sample.
pub(crate) const DATA_OFFSET: u32 = 0x001;
pub(crate) const FIRST_FLAGS: u32 = 0x004;
pub(crate) const DURATIONS: u32 = 0x100;
pub(crate) const SIZES: u32 = 0x200;
pub(crate) const FLAGS: u32 = 0x400;
pub(crate) const COMPOSITIONS: u32 = 0x800;
/// Depends on no other sample.
const SYNC: u32 = 0x0200_0000;
/// Depends on others, and decoding cannot start here.
const NO_SYNC: u32 = 0x0101_0000;
/// Of a fragment, without its samples.
const HEAD_BYTES: usize = 32;
const RUN_BYTES: usize = 72;
const SAMPLE_BYTES: usize = 16;

impl<'a> Sample<'a> {
    pub(crate) fn of(frame: &'a Frame, duration: u32) -> Self {
        Self {
            duration,
            flags: if frame.key { SYNC } else { NO_SYNC },
            composition: composition(frame),
            payload: &frame.payload,
        }
    }
}

impl Run<'_> {
    fn bytes(&self) -> usize {
        self.samples
            .iter()
            .fold(0, |sum, sample| sum.saturating_add(sample.payload.len()))
    }
}

/// Appends a fragment. The payload is copied once.
pub(crate) fn put(out: &mut BytesMut, sequence: u32, runs: &[Run<'_>]) {
    let payload = runs.iter().fold(0_usize, |sum, run| sum.saturating_add(run.bytes()));
    let heads = runs.iter().fold(HEAD_BYTES, |sum, run| {
        sum.saturating_add(RUN_BYTES)
            .saturating_add(run.samples.len().saturating_mul(SAMPLE_BYTES))
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
        for sample in runs.iter().flat_map(|run| &run.samples) {
            out.put_slice(sample.payload);
        }
    });
}

/// Says where the offset of the run's data stands.
fn put_run(out: &mut BytesMut, run: &Run<'_>) -> usize {
    let shape = Shape::of(&run.samples);
    put_full(out, *b"tfhd", 0, shape.of_head(), |out| {
        out.put_u32(run.id);
        shape.duration.inspect(|duration| out.put_u32(*duration));
        shape.flags.inspect(|flags| out.put_u32(*flags));
    });
    put_full(out, *b"tfdt", 1, 0, |out| out.put_u64(run.base));
    let mut offset = 0;
    // Version 1: composition offsets have a sign.
    put_full(out, *b"trun", 1, shape.of_run(), |out| {
        out.put_u32(u32::try_from(run.samples.len()).unwrap_or(u32::MAX));
        offset = out.len();
        out.put_u32(0);
        shape.first.inspect(|flags| out.put_u32(*flags));
        for sample in &run.samples {
            shape.put_sample(out, sample);
        }
    });
    offset
}

/// What is said once for all samples of a run.
struct Shape {
    duration: Option<u32>,
    flags: Option<u32>,
    /// Flags of the first, where it alone has others.
    first: Option<u32>,
    composes: bool,
}

impl Shape {
    fn of(samples: &[Sample<'_>]) -> Self {
        let same = |samples: &[Sample<'_>], of: fn(&Sample<'_>) -> u32| {
            let one = samples.last().map(of);
            one.filter(|one| samples.iter().all(|sample| of(sample) == *one))
        };
        let (first, later) = samples.split_first().map_or((None, samples), |(f, l)| (Some(f), l));
        let of_all = same(samples, |sample| sample.flags);
        let of_later = same(later, |sample| sample.flags);
        Self {
            duration: same(samples, |sample| sample.duration),
            flags: of_all.or(of_later),
            first: first
                .map(|first| first.flags)
                .filter(|_| of_all.is_none() && of_later.is_some()),
            composes: samples.iter().any(|sample| sample.composition != 0),
        }
    }

    fn of_head(&self) -> u32 {
        DEFAULT_BASE_IS_MOOF
            | flag(self.duration.is_some(), DEFAULT_DURATION)
            | flag(self.flags.is_some(), DEFAULT_FLAGS)
    }

    fn of_run(&self) -> u32 {
        DATA_OFFSET
            | SIZES
            | flag(self.first.is_some(), FIRST_FLAGS)
            | flag(self.duration.is_none(), DURATIONS)
            | flag(self.flags.is_none(), FLAGS)
            | flag(self.composes, COMPOSITIONS)
    }

    fn put_sample(&self, out: &mut BytesMut, sample: &Sample<'_>) {
        if self.duration.is_none() {
            out.put_u32(sample.duration);
        }
        out.put_u32(u32::try_from(sample.payload.len()).unwrap_or(u32::MAX));
        if self.flags.is_none() {
            out.put_u32(sample.flags);
        }
        if self.composes {
            out.put_i32(sample.composition);
        }
    }
}

fn flag(is_set: bool, flag: u32) -> u32 {
    if is_set { flag } else { 0 }
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
