//! The frames since the newest place where decoding can start, so that a format that is asked for late starts at once. Bounded.

use headgate_codec::Frame;

/// Frames since the newest join point.
#[derive(Debug, Default)]
pub(crate) struct Gop {
    frames: Vec<Frame>,
    bytes: usize,
    /// A bound was hit: nothing is kept until the next join point.
    full: bool,
}

impl Gop {
    const FRAMES_MAX: usize = 8_192;
    const BYTES_MAX: usize = 32 << 20;

    pub(crate) fn clear(&mut self) {
        *self = Self {
            full: true,
            ..Self::default()
        };
    }

    pub(crate) fn push(&mut self, frame: Frame, joins: bool) {
        if joins {
            self.frames.clear();
            (self.bytes, self.full) = (0, false);
        }
        if self.full {
            return;
        }
        self.bytes = self.bytes.saturating_add(frame.payload.len());
        if self.bytes > Self::BYTES_MAX || self.frames.len() >= Self::FRAMES_MAX {
            self.clear();
        } else {
            self.frames.push(frame);
        }
    }

    /// Oldest first; the first one is a join point.
    pub(crate) fn frames(&self) -> &[Frame] {
        &self.frames
    }
}
