//! Fragments of one frame, as [`crate::Muxer::put`] makes them, behind each other as few of several frames: players take less apart, and there is less to send.

use crate::boxes::Boxes;
use crate::fragment::{self, DATA_OFFSET, Run, Sample};
use crate::mux::DURATION_MAX;
use crate::samples::Fields;
use bytes::{BufMut, BytesMut};

/// A fragment of one frame.
#[derive(Clone, Copy)]
struct Piece<'a> {
    sequence: u32,
    /// The track's id on the wire.
    id: u32,
    base: u64,
    sample: Sample<'a>,
}

/// Fragments that can be one.
#[derive(Default)]
struct Group<'a> {
    sequence: u32,
    runs: Vec<Growing<'a>>,
    /// The first of them as it came.
    first: &'a [u8],
    count: usize,
}

/// A run that may go on.
struct Growing<'a> {
    run: Run<'a>,
    /// When its last sample is decoded.
    last: u64,
}

/// Appends what `packets` say together: all times and frames are those that they have one by one. What is no fragment of one frame stays as it is,
/// in its place.
pub fn gather<'a>(packets: impl IntoIterator<Item = &'a [u8]>, out: &mut BytesMut) {
    let mut group = Group::default();
    for packet in packets {
        let Some(piece) = Piece::parse(packet) else {
            std::mem::take(&mut group).put(out);
            out.put_slice(packet);
            continue;
        };
        if !group.follows(&piece) {
            std::mem::take(&mut group).put(out);
        }
        group.add(piece, packet);
    }
    group.put(out);
}

impl<'a> Piece<'a> {
    /// `None` for anything else.
    fn parse(packet: &'a [u8]) -> Option<Self> {
        let mut boxes = Boxes::of(packet).map_while(Result::ok);
        let (Some((head, moof)), Some((body, payload)), None) = (boxes.next(), boxes.next(), boxes.next()) else {
            return None;
        };
        if &head != b"moof" || &body != b"mdat" {
            return None;
        }
        let mut parts = Boxes::of(moof).map_while(Result::ok);
        let ((head, mfhd), (body, traf)) = (parts.next()?, parts.next()?);
        if &head != b"mfhd" || &body != b"traf" || parts.next().is_some() {
            return None;
        }
        let (_, mut count) = Fields::of(mfhd).ok()?;
        Self::of(count.next().ok()?, traf, payload)
    }

    fn of(sequence: u32, traf: &'a [u8], payload: &'a [u8]) -> Option<Self> {
        let (_, mut head) = Fields::of(Boxes::find(traf, *b"tfhd")?).ok()?;
        let id = head.next().ok()?;
        let duration = head.next_if(fragment::DEFAULT_DURATION).ok()?;
        let flags = head.next_if(fragment::DEFAULT_FLAGS).ok()?;
        let (_, mut time) = Fields::of(Boxes::find(traf, *b"tfdt")?).ok()?;
        let (high, low) = (time.next().ok()?, time.next().ok()?);
        let (_, mut run) = Fields::of(Boxes::find(traf, *b"trun")?).ok()?;
        if run.next().ok()? != 1 {
            return None;
        }
        run.next_if(DATA_OFFSET).ok()?;
        run.next_if(fragment::SIZES).ok()?;
        let composition = run.next_if(fragment::COMPOSITIONS).ok()?.unwrap_or(0);
        Some(Self {
            sequence,
            id,
            base: (u64::from(high) << 32) | u64::from(low),
            sample: Sample {
                duration: duration?,
                flags: flags?,
                composition: composition.cast_signed(),
                payload,
            },
        })
    }
}

impl<'a> Group<'a> {
    fn run(&mut self, id: u32) -> Option<&mut Growing<'a>> {
        self.runs.iter_mut().find(|growing| growing.run.id == id)
    }

    /// Within a run there is no time but that from sample to sample: a gap, or a step back, needs a fragment of its own.
    fn follows(&mut self, piece: &Piece<'_>) -> bool {
        let Some(growing) = self.run(piece.id) else { return true };
        step(growing.last, piece.base).is_some()
    }

    fn add(&mut self, piece: Piece<'a>, packet: &'a [u8]) {
        if self.count == 0 {
            (self.sequence, self.first) = (piece.sequence, packet);
        }
        self.count = self.count.saturating_add(1);
        let Some(growing) = self.run(piece.id) else {
            self.runs.push(Growing::new(piece));
            return;
        };
        if let (Some(before), Some(step)) = (growing.run.samples.last_mut(), step(growing.last, piece.base)) {
            before.duration = step;
        }
        growing.last = piece.base;
        growing.run.samples.push(piece.sample);
    }

    fn put(self, out: &mut BytesMut) {
        match self.count {
            0 => {}
            1 => out.put_slice(self.first),
            _ => {
                let runs: Vec<Run<'_>> = self.runs.into_iter().map(|growing| growing.run).collect();
                fragment::put(out, self.sequence, &runs);
            }
        }
    }
}

impl<'a> Growing<'a> {
    fn new(piece: Piece<'a>) -> Self {
        Self {
            run: Run {
                id: piece.id,
                base: piece.base,
                samples: vec![piece.sample],
            },
            last: piece.base,
        }
    }
}

/// From one sample to the next, where it is such a step.
fn step(from: u64, to: u64) -> Option<u32> {
    let ticks = to.checked_sub(from)?;
    u32::try_from(ticks)
        .ok()
        .filter(|ticks| (1..DURATION_MAX).contains(&i64::from(*ticks)))
}
