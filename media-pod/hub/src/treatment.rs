//! [`Treatment`]: how one publisher's stream is to be treated, by whoever let it in; and the clock that its time stamps are put on.

use crate::Protocol;
use headgate_codec::{Frame, Timestamp, Track, TrackId, TrackKind};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// What a stream is made into. The default leaves all as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Treatment {
    /// Sound is dropped.
    pub silent: bool,
    /// Tracks that are kept, the first that come.
    pub tracks_max: Option<usize>,
    /// What time stamps become.
    pub stamps: Stamps,
    /// Over these it is not to be had.
    pub not_over: Vec<Protocol>,
    /// The name of the stream, in the place of the one that its publisher asked for.
    pub played_as: Option<Arc<str>>,
    /// How long viewers wait when this publisher has gone, in the place of [`crate::Settings::linger`].
    pub linger: Option<Duration>,
}

/// What time stamps become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stamps {
    /// They stay.
    #[default]
    AsSent,
    /// The time at which a frame came, from 0.
    Arrival,
    /// They begin at 0 and go on evenly: a jump, or a step back, becomes the step before it.
    Even,
}

impl Treatment {
    /// Whether the stream is to be had over a protocol.
    pub fn offers(&self, protocol: Protocol) -> bool {
        !self.not_over.contains(&protocol)
    }

    /// Whether a new track is kept beside so many.
    pub(crate) fn keeps(&self, track: &Track, others: usize) -> bool {
        let silenced = self.silent && track.kind() == TrackKind::Audio;
        !silenced && self.tracks_max.is_none_or(|max| others < max)
    }
}

/// Puts the frames of one publisher on its clock.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// The first time stamp of all.
    base: Option<Timestamp>,
    tracks: HashMap<TrackId, Last>,
}

/// The last frame of a track.
#[derive(Clone, Copy, Debug)]
struct Last {
    came: Timestamp,
    went: Timestamp,
    step: i64,
}

/// A step of more is a jump, as in ZLMediaKit.
const STEP_MAX: i64 = 300 * 90;

impl Clock {
    /// The frame as it goes out; `since` is how long ago its publisher came.
    pub(crate) fn stamp(&mut self, frame: Frame, stamps: Stamps, since: Duration) -> Frame {
        let went = match stamps {
            Stamps::AsSent => return frame,
            Stamps::Arrival => {
                let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
                Timestamp::from_millis(millis)
            }
            Stamps::Even => self.even(&frame),
        };
        let offset = frame.pts.ticks().saturating_sub(frame.dts.ticks());
        let pts = Timestamp::from_ticks(went.ticks().saturating_add(offset));
        Frame {
            dts: went,
            pts,
            ..frame
        }
    }

    fn even(&mut self, frame: &Frame) -> Timestamp {
        let (came, base) = (frame.dts, *self.base.get_or_insert(frame.dts));
        let next = match self.tracks.get(&frame.track) {
            None => Last {
                came,
                went: Timestamp::from_ticks(came.ticks().saturating_sub(base.ticks()).clamp(0, STEP_MAX)),
                step: 0,
            },
            Some(last) => {
                let step = came.ticks().saturating_sub(last.came.ticks());
                let step = if (0..=STEP_MAX).contains(&step) {
                    step
                } else {
                    last.step
                };
                let went = Timestamp::from_ticks(last.went.ticks().saturating_add(step));
                Last { came, went, step }
            }
        };
        self.tracks.insert(frame.track, next);
        next.went
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn frame(track: u8, dts: i64, offset: i64) -> Frame {
        Frame {
            track: TrackId(track),
            kind: TrackKind::Video,
            dts: Timestamp::from_millis(dts),
            pts: Timestamp::from_millis(dts).plus_millis(offset),
            key: true,
            payload: Bytes::new(),
        }
    }

    fn even(times: &[(u8, i64)]) -> Vec<i64> {
        let mut clock = Clock::default();
        let stamp = |(track, dts): &(u8, i64)| {
            let out = clock.stamp(frame(*track, *dts, 80), Stamps::Even, Duration::ZERO);
            assert_eq!(out.pts, out.dts.plus_millis(80));
            out.dts.as_millis()
        };
        times.iter().map(stamp).collect()
    }

    #[test]
    fn time_stamps_begin_at_nothing_and_keep_their_steps_over_jumps() {
        assert_eq!(even(&[(0, 5000), (0, 5040), (0, 5080)]), [0, 40, 80]);
        assert_eq!(even(&[(0, 0), (0, 40), (0, 90_000), (0, 90_040)]), [0, 40, 80, 120]);
        assert_eq!(even(&[(0, 9000), (0, 9040), (0, 10), (0, 50)]), [0, 40, 80, 120]);
        assert_eq!(even(&[(0, 100), (1, 110), (0, 140), (1, 133)]), [0, 10, 40, 33]);
    }

    #[test]
    fn a_frame_has_the_time_at_which_it_came_or_keeps_its_own() {
        let mut clock = Clock::default();
        let since = Duration::from_millis(1500);
        let out = clock.stamp(frame(0, 7, 40), Stamps::Arrival, since);
        assert_eq!((out.dts.as_millis(), out.pts.as_millis()), (1500, 1540));
        assert_eq!(clock.stamp(frame(0, 7, 40), Stamps::AsSent, since), frame(0, 7, 40));
    }

    #[test]
    fn what_is_not_offered_is_not_offered() {
        let treatment = Treatment {
            not_over: vec![Protocol::Hls],
            ..Treatment::default()
        };
        assert!(treatment.offers(Protocol::Rtmp) && !treatment.offers(Protocol::Hls));
    }
}
