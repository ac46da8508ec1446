//! Where segments and parts begin and end.

use super::Segmenter;
use super::muxer::Muxer;
use super::window::rounded;
use crate::Cut;
use crate::segment::{Part, Segment};
use headgate_codec::{Frame, TrackKind};
use std::time::Duration;

/// Key frames are not to the millisecond where they should be.
const EARLY: Duration = Duration::from_millis(100);
/// Without a key frame the first segment ends after so many times its length.
const FIRST_MAX: u32 = 3;
/// What a segment may be longer than its target duration: just not rounded up.
const ROUNDING: Duration = Duration::from_millis(490);
/// A jump of the stream's time, ahead and back.
const JUMP: [Duration; 2] = [Duration::from_secs(10), Duration::from_millis(500)];
/// Frames of one part.
pub(super) const FRAMES_MAX: usize = 16_384;

impl Segmenter {
    /// Whether a frame's time has nothing to do with those before. Pictures do not go back; other tracks may be a little behind.
    pub(super) fn jumps(&self, frame: &Frame) -> bool {
        let [ahead, back] = JUMP;
        let back = if self.lead == Some(frame.track) { back } else { ahead };
        self.newest
            .is_some_and(|newest| frame.dts.since(newest) > ahead || newest.since(frame.dts) > back)
    }

    /// Ends segment and part where this frame of the lead track says so.
    pub(super) fn follow(&mut self, frame: &Frame) {
        let lasts = self
            .newest
            .map(|newest| frame.dts.since(newest))
            .filter(|d| !d.is_zero());
        self.frame_lasts = lasts.unwrap_or(self.frame_lasts);
        self.newest = Some(frame.dts);
        if frame.key && frame.kind == TrackKind::Video {
            self.key_distance = self.newest_key.map_or(Duration::ZERO, |key| frame.dts.since(key));
            self.newest_key = Some(frame.dts);
        }
        let Some(start) = self.growing.as_ref().map(|segment| segment.start) else {
            return;
        };
        if self.ends_segment(frame, frame.dts.since(start)) {
            self.close_segment(Some(frame));
        } else if self.ends_part(frame) {
            self.close_part(Some(frame));
        }
    }

    fn ends_segment(&self, frame: &Frame, elapsed: Duration) -> bool {
        let longest = match self.target {
            Some(target) => Duration::from_secs(target).saturating_add(ROUNDING),
            None => self.config.segment.saturating_mul(FIRST_MAX),
        };
        let too_long = |more: Duration| elapsed.saturating_add(more) > longest;
        let is_due = elapsed.saturating_add(EARLY) >= self.config.segment;
        (frame.key && (is_due || too_long(self.key_distance)))
            || too_long(self.frame_lasts)
            || self.frames.len() >= FRAMES_MAX
            || self
                .growing
                .as_ref()
                .is_some_and(|s| s.bytes() > self.config.bytes_max / 4)
    }

    fn ends_part(&self, frame: &Frame) -> bool {
        let end = frame.dts.since(self.part_start).saturating_add(self.frame_lasts);
        self.config.part.is_some_and(|part| end > part) && !self.frames.is_empty()
    }

    /// Begins a segment with this frame, unless nothing can begin with it.
    pub(super) fn open(&mut self, frame: &Frame, now: jiff::Timestamp) -> bool {
        let starts = self.lead == Some(frame.track) && (frame.key || self.newest_key.is_some());
        if !starts {
            return false;
        }
        if let Some(Cut { segment, part, .. }) = self.coming.take() {
            (self.config.segment, self.config.part) = (segment, part);
            let wanted = self.wanted_target();
            self.target = self.target.map(|target| target.max(wanted));
        }
        let (from, date) = *self.anchor.get_or_insert((frame.dts, now));
        let date = jiff::SignedDuration::try_from(frame.dts.since(from))
            .ok()
            .and_then(|since| date.checked_add(since).ok())
            .unwrap_or(now);
        self.growing = Some(Segment {
            number: self.next,
            discontinuity: std::mem::take(&mut self.discontinuity),
            date,
            start: frame.dts,
            init: self.inits.back().map_or(0, |(number, _)| *number),
            parted: self.config.part,
            parts: Vec::new(),
        });
        self.part_start = frame.dts;
        if let Muxer::Ts(muxer) = &mut self.muxer {
            muxer.start_anew();
        }
        true
    }

    pub(super) fn close_part(&mut self, next: Option<&Frame>) {
        let Some(segment) = self.growing.as_mut().filter(|_| !self.frames.is_empty()) else {
            return;
        };
        let end = match (next, self.newest) {
            (Some(next), _) if Some(next.track) == self.lead => next.dts.since(self.part_start),
            (_, Some(newest)) => newest.since(self.part_start).saturating_add(self.frame_lasts),
            (_, None) => Duration::ZERO,
        };
        let lead = self.lead;
        let independent = self
            .frames
            .iter()
            .find(|f| Some(f.track) == lead)
            .is_some_and(|f| f.key);
        segment.parts.push(Part {
            bytes: self.muxer.put(&self.frames, next),
            duration: end,
            independent,
        });
        self.frames.clear();
        self.part_start = next.map_or(self.part_start, |next| next.dts);
        if self.config.part.is_some() {
            self.changed();
        }
    }

    pub(super) fn close_segment(&mut self, next: Option<&Frame>) {
        self.close_part(next);
        let Some(segment) = self.growing.take_if(|segment| !segment.parts.is_empty()) else {
            return;
        };
        let wanted = self.wanted_target();
        self.target
            .get_or_insert_with(|| wanted.max(rounded(segment.duration())));
        self.next = segment.number.saturating_add(1);
        self.segments.push_back(segment);
        self.slide();
        self.changed();
    }
}
