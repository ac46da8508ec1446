//! Segments and their parts.

use bytes::Bytes;
use headgate_codec::Timestamp;
use std::time::Duration;

/// A run of frames that is whole.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) bytes: Bytes,
    pub(crate) duration: Duration,
    /// Begins with a key frame.
    pub(crate) independent: bool,
}

/// A segment, whole or growing.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// Media sequence number.
    pub(crate) number: u64,
    /// What came before cannot be decoded on into it.
    pub(crate) discontinuity: bool,
    /// When its first frame was, on the wall.
    pub(crate) date: jiff::Timestamp,
    /// In the stream's own time.
    pub(crate) start: Timestamp,
    /// The initialisation segment it needs.
    pub(crate) init: u64,
    /// How long its parts may be; `None` when they are not to be had one by one.
    pub(crate) parted: Option<Duration>,
    pub(crate) parts: Vec<Part>,
}

/// A segment that is whole, as others may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Media sequence number.
    pub number: u64,
    /// How long it plays.
    pub duration: Duration,
    /// Its size.
    pub bytes: usize,
    /// When its first frame was, on the wall.
    pub date: jiff::Timestamp,
    /// As it stands in the playlist.
    pub name: String,
}

impl Segment {
    pub(crate) fn duration(&self) -> Duration {
        self.parts.iter().map(|part| part.duration).sum()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.parts
            .iter()
            .fold(0, |sum, part| sum.saturating_add(part.bytes.len()))
    }

    /// Decoding can start at its first frame.
    pub(crate) fn independent(&self) -> bool {
        self.parts.first().is_some_and(|part| part.independent)
    }
}
