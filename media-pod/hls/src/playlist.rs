//! The text of a media playlist (RFC 8216bis §4.4).

use crate::segment::{Part, Segment};
use crate::{Config, Container, File};
use std::collections::VecDeque;
use std::fmt::Write;
use std::time::Duration;

/// Everything that a playlist says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) config: &'a Config,
    /// Seconds: no segment's rounded duration is more.
    pub(crate) target: u64,
    /// Discontinuities that have left the window.
    pub(crate) discontinuities: u64,
    /// There is no segment that is not in it.
    pub(crate) names_all: bool,
    /// Those in the window, oldest first.
    pub(crate) segments: &'a VecDeque<Segment>,
    /// How many at the front of them are not in the window any more.
    pub(crate) gone: usize,
    pub(crate) growing: Option<&'a Segment>,
    /// The segment that grows, or comes.
    pub(crate) next: u64,
    pub(crate) ended: bool,
}

/// Parts stand in the playlist less than so many target durations from its end (§4.4.4.9).
const PARTS_FOR: u64 = 3;
/// Segments further from the end than so many target durations may be skipped (§4.4.3.8: at least six).
const SKIP_UNTIL: u64 = 6;
/// A player keeps so many parts' time from the end (§4.4.3.8: at least twice, better three times).
const PART_HOLD_BACK: u32 = 3;

impl View<'_> {
    /// The text; with `skip` as a delta update where there is something to skip.
    pub(crate) fn text(&self, skip: bool) -> String {
        let mut out = String::with_capacity(4096);
        // Writing to memory does not fail.
        let _ = self.put(&mut out, skip);
        out
    }

    fn put(&self, out: &mut String, skip: bool) -> std::fmt::Result {
        let skipped = if skip { self.skippable() } else { 0 };
        self.put_head(out, skipped)?;
        let mut init = None;
        let parts_from = self.first_within(PARTS_FOR, |start, _| start);
        for (index, segment) in self.segments.iter().enumerate().skip(self.gone) {
            let is_skipped = index < self.gone.saturating_add(skipped);
            if is_skipped {
                init = Some(segment.init);
                continue;
            }
            self.put_before(out, segment, &mut init)?;
            if index >= parts_from && self.shows_parts(segment) {
                self.put_parts(out, segment)?;
            }
            writeln!(out, "#EXTINF:{},", seconds(segment.duration()))?;
            File::Segment(segment.number).put(out, self.config);
            out.push('\n');
        }
        self.put_growing(out, &mut init)?;
        if self.ended {
            writeln!(out, "#EXT-X-ENDLIST")?;
        }
        Ok(())
    }

    fn put_head(&self, out: &mut String, skipped: usize) -> std::fmt::Result {
        let first = self.segments.get(self.gone).map_or(self.next, |segment| segment.number);
        let version = match (self.config.part, self.config.container) {
            _ if skipped > 0 => 9,
            (Some(_), _) | (None, Container::Fmp4) => 6,
            (None, Container::Ts) => 3,
        };
        writeln!(
            out,
            "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{}",
            self.target
        )?;
        if self.names_all {
            writeln!(out, "#EXT-X-PLAYLIST-TYPE:EVENT")?;
        }
        write!(out, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES")?;
        write!(out, ",CAN-SKIP-UNTIL={}.000", self.target.saturating_mul(SKIP_UNTIL))?;
        match self.config.part {
            Some(part) => {
                let hold_back = seconds(part.saturating_mul(PART_HOLD_BACK));
                writeln!(out, ",PART-HOLD-BACK={hold_back}")?;
                writeln!(out, "#EXT-X-PART-INF:PART-TARGET={}", seconds(part))?;
            }
            None => out.push('\n'),
        }
        writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{first}")?;
        if self.discontinuities > 0 {
            writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{}", self.discontinuities)?;
        }
        let mut shown = self.segments.iter().skip(self.gone);
        if shown.all(Segment::independent) {
            writeln!(out, "#EXT-X-INDEPENDENT-SEGMENTS")?;
        }
        if skipped > 0 {
            writeln!(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}")?;
        }
        Ok(())
    }

    /// What stands before a segment's parts and name.
    fn put_before(&self, out: &mut String, segment: &Segment, init: &mut Option<u64>) -> std::fmt::Result {
        if segment.discontinuity {
            writeln!(out, "#EXT-X-DISCONTINUITY")?;
        }
        if self.config.container == Container::Fmp4 && *init != Some(segment.init) {
            *init = Some(segment.init);
            out.push_str("#EXT-X-MAP:URI=\"");
            File::Init(segment.init).put(out, self.config);
            out.push_str("\"\n");
        }
        writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{:.3}", segment.date)
    }

    fn put_parts(&self, out: &mut String, segment: &Segment) -> std::fmt::Result {
        for (
            index,
            Part {
                duration, independent, ..
            },
        ) in (0..).zip(&segment.parts)
        {
            write!(out, "#EXT-X-PART:DURATION={},URI=\"", seconds(*duration))?;
            File::Part(segment.number, index).put(out, self.config);
            writeln!(out, "\"{}", if *independent { ",INDEPENDENT=YES" } else { "" })?;
        }
        Ok(())
    }

    /// The parts of the segment that grows, and the one that a player may ask for now.
    fn put_growing(&self, out: &mut String, init: &mut Option<u64>) -> std::fmt::Result {
        if self.config.part.is_none() || self.ended {
            return Ok(());
        }
        let mut parts = 0;
        if let Some(segment) = self.growing.filter(|segment| !segment.parts.is_empty()) {
            self.put_before(out, segment, init)?;
            self.put_parts(out, segment)?;
            parts = segment.parts.len();
        }
        out.push_str("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"");
        File::Part(self.next, parts as u64).put(out, self.config);
        out.push_str("\"\n");
        Ok(())
    }

    /// Parts of another length than is stated now are not named any more.
    fn shows_parts(&self, segment: &Segment) -> bool {
        segment.parted.is_some() && segment.parted == self.config.part
    }

    /// Segments at the front that a delta update leaves out.
    fn skippable(&self) -> usize {
        let first = self.first_within(SKIP_UNTIL, |_, end| end);
        first.saturating_sub(self.gone)
    }

    /// The first segment that is less than so many target durations from the end of the playlist, by the distance of its start or of its end. Looks at
    /// no more segments than that.
    fn first_within(&self, targets: u64, by: fn(Duration, Duration) -> Duration) -> usize {
        let until = Duration::from_secs(self.target.saturating_mul(targets));
        let mut end = self.growing.map_or(Duration::ZERO, Segment::duration);
        let mut first = self.segments.len();
        while let Some(before) = first.checked_sub(1)
            && let Some(segment) = self.segments.get(before)
        {
            let start = end.saturating_add(segment.duration());
            if by(start, end) >= until {
                break;
            }
            (first, end) = (before, start);
        }
        first
    }
}

/// With thousandths and more where there is more, so that no sum of them drifts.
fn seconds(duration: Duration) -> String {
    format!("{}.{:05}", duration.as_secs(), duration.subsec_nanos() / 10_000)
}
