//! What stays: the window that the playlist names, and what may still be asked for.

use super::Segmenter;
use crate::EVENT_MAX;
use std::time::Duration;

impl Segmenter {
    /// The target duration that the length of a segment asks for.
    pub(super) fn wanted_target(&self) -> u64 {
        rounded(self.config.segment)
    }

    /// Segments that the playlist may name.
    fn window(&self) -> usize {
        if self.config.event {
            EVENT_MAX
        } else {
            self.config.window
        }
    }

    /// Whether the playlist is an event's that still has its beginning.
    pub(super) fn names_all(&self) -> bool {
        let first = self.segments.get(self.gone).map_or(self.next, |segment| segment.number);
        self.config.event && first == self.config.first
    }

    /// Takes out of the window and of memory what is beyond them.
    pub(super) fn slide(&mut self) {
        let window = self.window();
        while self.segments.len().saturating_sub(self.gone) > window {
            self.leave_window();
        }
        // Of an event nothing leaves the window before it must leave memory.
        let kept_max = if self.config.event {
            window
        } else {
            window.saturating_mul(2).saturating_add(1)
        };
        while self.segments.len() > kept_max || (self.bytes() > self.config.bytes_max && self.segments.len() > 1) {
            if self.gone == 0 {
                self.leave_window();
            }
            self.segments.pop_front();
            self.gone = self.gone.saturating_sub(1);
        }
        let oldest = self.segments.front().map(|segment| segment.init);
        while self.inits.len() > 1 && self.inits.front().is_some_and(|(number, _)| Some(*number) < oldest) {
            self.inits.pop_front();
        }
    }

    fn leave_window(&mut self) {
        let discontinuity = self
            .segments
            .get(self.gone)
            .is_some_and(|segment| segment.discontinuity);
        self.discontinuities_gone = self.discontinuities_gone.saturating_add(u64::from(discontinuity));
        self.gone = self.gone.saturating_add(1);
    }

    /// The playlist is not what it was.
    pub(super) fn changed(&mut self) {
        self.texts = [None, None];
        self.version = self.version.wrapping_add(1);
    }
}

/// To whole seconds, as the standard compares durations.
pub(super) fn rounded(duration: Duration) -> u64 {
    duration.saturating_add(Duration::from_millis(500)).as_secs().max(1)
}
