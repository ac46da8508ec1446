//! How streams are cut for HLS.

use headgate_hls::{Container, Cut};
use std::time::Duration;

/// What `spec.hls` says, in force at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HlsSettings {
    /// How long segments should be.
    pub segment: Duration,
    /// Segments that a playlist names.
    pub window: usize,
    /// Playlists name every segment from a stream's beginning on, whatever the window, as long as there is room.
    pub event: bool,
    /// Bytes that the segments of all streams take in memory, about: a stream gets its share of them.
    pub memory: usize,
    /// `STREAM.m3u8` leads to fragmented MP4 and not to MPEG-TS.
    pub fmp4: bool,
    /// How long parts may be in playlists of fragmented MP4; `None` for no parts.
    pub part: Option<Duration>,
}

/// Bytes that one stream's window takes in memory, in one container, at most. An event takes all of its share.
const WINDOW_MAX: usize = 128 << 20;

impl Default for HlsSettings {
    fn default() -> Self {
        Self {
            segment: Duration::from_secs(2),
            window: 6,
            event: false,
            memory: 1 << 30,
            fmp4: false,
            part: Some(Duration::from_millis(500)),
        }
    }
}

impl HlsSettings {
    pub(crate) fn container(&self) -> Container {
        if self.fmp4 { Container::Fmp4 } else { Container::Ts }
    }

    /// For one of so many streams. Parts need fragmented MP4: few players take them in MPEG-TS.
    pub(crate) fn cut(&self, container: Container, streams: usize) -> Cut {
        let share = self.memory.checked_div(streams).unwrap_or(self.memory);
        Cut {
            segment: self.segment,
            window: self.window,
            event: self.event,
            part: self.part.filter(|_| container == Container::Fmp4),
            bytes_max: if self.event { share } else { share.min(WINDOW_MAX) },
        }
    }
}
