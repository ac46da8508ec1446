//! What a master playlist says of a stream (RFC 8216bis §4.4.6.2).

use crate::segment::Segment;
use headgate_codec::Track;
use std::fmt::Write;
use std::time::Duration;

/// The attributes of one variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Bits a second of the largest segment.
    pub peak: u64,
    /// Bits a second over all segments.
    pub average: u64,
    /// As RFC 6381 writes them, by commas; `None` when one has no such name.
    pub codecs: Option<String>,
    /// Width and height in pixels.
    pub size: Option<(u32, u32)>,
}

impl Variant {
    pub(crate) fn of<'a>(
        tracks: impl Iterator<Item = &'a Track>,
        segments: impl Iterator<Item = &'a Segment>,
    ) -> Option<Self> {
        let (mut bytes, mut duration, mut peak) = (0_usize, Duration::ZERO, 0);
        for segment in segments {
            peak = peak.max(rate(segment.bytes(), segment.duration()));
            bytes = bytes.saturating_add(segment.bytes());
            duration = duration.saturating_add(segment.duration());
        }
        if bytes == 0 {
            return None;
        }
        let (mut names, mut size) = (Vec::new(), None);
        for track in tracks {
            names.push(track.rfc6381());
            size = size.or(track.video.map(|video| (video.width, video.height)));
        }
        Some(Self {
            peak,
            average: rate(bytes, duration),
            codecs: names
                .into_iter()
                .collect::<Option<Vec<_>>>()
                .map(|names| names.join(",")),
            size,
        })
    }

    /// The line before the address.
    pub fn line(&self) -> String {
        let mut line = format!(
            "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={}",
            self.peak, self.average
        );
        // Writing to memory does not fail.
        if let Some(codecs) = self.codecs.as_ref().filter(|codecs| !codecs.is_empty()) {
            let _ = write!(line, ",CODECS=\"{codecs}\"");
        }
        if let Some((width, height)) = self.size {
            let _ = write!(line, ",RESOLUTION={width}x{height}");
        }
        line
    }
}

/// Bits a second; at least one, since the standard wants a number that says something.
fn rate(bytes: usize, duration: Duration) -> u64 {
    let bits = (bytes as u128).saturating_mul(8).saturating_mul(1_000_000);
    let rate = bits.checked_div(duration.as_micros()).unwrap_or(0);
    u64::try_from(rate).unwrap_or(u64::MAX).max(1)
}
