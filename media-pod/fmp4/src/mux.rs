//! Frames to fragments.

use crate::fragment::{self, Run, Sample};
use crate::init::wire_id;
use crate::{TIMESCALE, carries};
use bytes::BytesMut;
use headgate_codec::{Codec, Frame, Timestamp, Track, TrackId, TrackKind};

/// Makes fragments. How long a frame lasts is known when the next one is there; the last of a fragment is taken to last as long as the one
/// before it, or as the muxer is told, and the next fragment's time puts it right.
#[derive(Clone, Debug, Default)]
pub struct Muxer {
    lanes: Vec<Lane>,
    sequence: u32,
}

#[derive(Clone, Debug)]
struct Lane {
    id: TrackId,
    wire_id: u32,
    /// Of the newest frame.
    dts: Option<Timestamp>,
    duration: u32,
}

/// A frame that seems to last longer came after a gap.
pub(crate) const DURATION_MAX: i64 = 10 * Timestamp::TICKS_PER_SECOND;

impl Muxer {
    /// The tracks from now on.
    pub fn set_tracks(&mut self, tracks: &[Track]) {
        let before = std::mem::take(&mut self.lanes);
        let lane = |track: &Track| {
            let known = before.iter().find(|lane| lane.id == track.id).cloned();
            known.unwrap_or_else(|| Lane::new(track))
        };
        self.lanes = tracks.iter().filter(|track| carries(track)).map(lane).collect();
    }

    /// Adds a track.
    pub fn set_track(&mut self, track: &Track) {
        if carries(track) && !self.carries(track.id) {
            self.lanes.push(Lane::new(track));
        }
    }

    /// Whether frames of this track can be carried.
    pub fn carries(&self, track: TrackId) -> bool {
        self.lanes.iter().any(|lane| lane.id == track)
    }

    /// Appends a fragment of one frame; nothing for a track that is not carried.
    pub fn put(&mut self, frame: &Frame, out: &mut BytesMut) {
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.id == frame.track) else {
            return;
        };
        lane.keep_time(frame);
        let run = Run {
            id: lane.wire_id,
            base: fragment::time(frame.dts),
            samples: vec![Sample::of(frame, lane.duration)],
        };
        self.sequence = self.sequence.wrapping_add(1);
        fragment::put(out, self.sequence, &[run]);
    }

    /// Appends a fragment of frames that are in the order of their tracks' decoding; nothing when none can be carried. `next` is the frame that
    /// follows, where it is known.
    pub fn put_all(&mut self, frames: &[Frame], next: Option<&Frame>, out: &mut BytesMut) {
        let runs = self.lanes.iter_mut().filter_map(|lane| lane.run(frames, next));
        let runs: Vec<Run<'_>> = runs.collect();
        if !runs.is_empty() {
            self.sequence = self.sequence.wrapping_add(1);
            fragment::put(out, self.sequence, &runs);
        }
    }
}

impl Lane {
    fn new(track: &Track) -> Self {
        Self {
            id: track.id,
            wire_id: wire_id(track),
            dts: None,
            duration: usual_duration(track),
        }
    }

    fn keep_time(&mut self, frame: &Frame) {
        if let Some(duration) = self.dts.and_then(|before| distance(before, frame.dts)) {
            self.duration = duration;
        }
        self.dts = Some(frame.dts);
    }

    fn run<'a>(&mut self, frames: &'a [Frame], next: Option<&Frame>) -> Option<Run<'a>> {
        let (mut samples, mut before): (Vec<Sample<'a>>, Option<&Frame>) = (Vec::new(), None);
        let id = self.id;
        let own = |frame: &&Frame| frame.track == id;
        let first = frames.iter().find(own)?;
        for frame in frames.iter().filter(own) {
            lasts_until(samples.last_mut(), before, frame);
            self.keep_time(frame);
            samples.push(Sample::of(frame, self.duration));
            before = Some(frame);
        }
        if let Some(next) = next.filter(own) {
            lasts_until(samples.last_mut(), before, next);
        }
        Some(Run {
            id: self.wire_id,
            base: fragment::time(first.dts),
            samples,
        })
    }
}

/// The time to the frame that follows the one before, if it says anything.
fn lasts_until(sample: Option<&mut Sample<'_>>, before: Option<&Frame>, frame: &Frame) {
    let duration = before.and_then(|before| distance(before.dts, frame.dts));
    if let (Some(sample), Some(duration)) = (sample, duration) {
        sample.duration = duration;
    }
}

/// From one frame to the next; `None` where that says nothing of how long frames last.
fn distance(from: Timestamp, to: Timestamp) -> Option<u32> {
    let ticks = to.ticks().checked_sub(from.ticks())?;
    u32::try_from(ticks).ok().filter(|_| (1..DURATION_MAX).contains(&ticks))
}

/// Before the second frame of a track has come.
fn usual_duration(track: &Track) -> u32 {
    let rate = track.audio.map_or(48_000, |audio| audio.sample_rate);
    let of_samples = |samples: u32| {
        samples
            .saturating_mul(TIMESCALE)
            .checked_div(rate)
            .unwrap_or(TIMESCALE / 50)
    };
    match track.codec {
        Codec::Aac => of_samples(1024),
        Codec::Mp3 => of_samples(if rate < 32_000 { 576 } else { 1152 }),
        codec if codec.kind() == TrackKind::Audio => TIMESCALE / 50,
        _ => TIMESCALE / 25,
    }
}
