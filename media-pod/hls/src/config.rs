//! How a stream is cut.

use std::time::Duration;

/// What segments are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    /// MPEG-TS: every player reads it.
    Ts,
    /// Fragmented MP4: needed for codecs other than H.264, H.265 and AAC, and for low latency on Apple's players.
    Fmp4,
}

/// See the module. Values beyond the bounds are brought to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What segments are made of.
    pub container: Container,
    /// How long segments should be: one ends at the first key frame from then on. 1 s to 60 s.
    pub segment: Duration,
    /// Segments that the playlist names; 3 to 1,000.
    pub window: usize,
    /// The playlist names every segment from the first on, whatever the window: an EVENT, as long as the bounds on bytes and [`EVENT_MAX`] allow.
    pub event: bool,
    /// How long parts may be, for low latency: 100 ms to the length of a segment. `None` for no parts.
    pub part: Option<Duration>,
    /// Bytes of all segments that are kept, those that are not in the playlist any more too.
    pub bytes_max: usize,
    /// Stands before each name in the playlist, such as `alice/`.
    pub prefix: String,
    /// Stands in each name, so that what a cache holds of an earlier run is not taken for this one's: letters and digits.
    pub run: String,
    /// Media sequence number of the first segment. One that follows the clock lets a player go on with a run that another server began.
    pub first: u64,
    /// What the names of segments are made from, so that only who has a playlist knows them.
    pub secret: [u8; 16],
}

/// Segments that a playlist names at most which names all.
pub const EVENT_MAX: usize = 5_000;

/// What may change while a stream is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// As [`Config::segment`], from the next segment on.
    pub segment: Duration,
    /// As [`Config::window`].
    pub window: usize,
    /// As [`Config::event`].
    pub event: bool,
    /// As [`Config::part`], from the next segment on.
    pub part: Option<Duration>,
    /// As [`Config::bytes_max`].
    pub bytes_max: usize,
}

impl Config {
    /// The usual: two seconds, six segments, 128 MiB, no parts.
    pub fn new(container: Container, prefix: &str, run: &str) -> Self {
        Self {
            container,
            segment: Duration::from_secs(2),
            window: 6,
            event: false,
            part: None,
            bytes_max: 128 << 20,
            prefix: prefix.to_owned(),
            run: run.to_owned(),
            first: 0,
            secret: [0; 16],
        }
    }

    /// What of it may change.
    pub fn cut(&self) -> Cut {
        Cut {
            segment: self.segment,
            window: self.window,
            event: self.event,
            part: self.part,
            bytes_max: self.bytes_max,
        }
    }

    pub(crate) fn bounded(self) -> Self {
        let Cut {
            segment, window, part, ..
        } = self.cut().bounded();
        Self {
            segment,
            window,
            part,
            ..self
        }
    }
}

impl Cut {
    pub(crate) fn bounded(mut self) -> Self {
        self.segment = self.segment.clamp(Duration::from_secs(1), Duration::from_mins(1));
        self.window = self.window.clamp(3, 1000);
        let shortest = Duration::from_millis(100);
        self.part = self.part.map(|part| part.clamp(shortest, self.segment));
        self
    }
}
