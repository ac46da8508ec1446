//! Frames as `ffmpeg -f framehash` prints them, and whether two such lists say the same.

use crate::ensure;
use crate::error::{Context as _, Result};
use headgate_codec::TrackKind;
use std::fmt::Write as _;

/// A sound's time in MP4 is counted in samples: a tick of that and one of MPEG-TS.
const SOUND: f64 = 0.000_05;

/// One frame.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frame {
    /// Index of its track.
    track: usize,
    /// Seconds.
    dts: f64,
    pts: f64,
    bytes: u64,
    hash: String,
}

/// What must be the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure<'a> {
    /// Of the tracks, by their index.
    pub(super) kinds: &'a [TrackKind],
    /// What a time may differ by.
    pub(super) rounding: f64,
}

pub(super) fn frames(text: &str) -> Result<Vec<Frame>> {
    let mut bases = Vec::new();
    let mut frames = Vec::new();
    for line in text.lines() {
        if let Some(base) = line.strip_prefix("#tb ") {
            bases.push(base_of(base).context(format_args!("no time base: {line}"))?);
        } else if !line.starts_with('#') {
            frames.push(frame_of(line, &bases).context(format_args!("no frame: {line}"))?);
        }
    }
    Ok(frames)
}

/// `0: 1/90000`.
fn base_of(text: &str) -> Option<(usize, f64)> {
    let (index, base) = text.split_once(": ")?;
    let (over, under) = base.split_once('/')?;
    Some((
        index.parse().ok()?,
        over.parse::<f64>().ok()? / under.parse::<f64>().ok()?,
    ))
}

/// `stream, dts, pts, duration, size, hash`.
fn frame_of(line: &str, bases: &[(usize, f64)]) -> Option<Frame> {
    let mut fields = line.split(',').map(str::trim);
    let track: usize = fields.next()?.parse().ok()?;
    let (_, base) = bases.iter().find(|(index, _)| *index == track)?;
    let mut time = || Some(fields.next()?.parse::<f64>().ok()? * base);
    let (dts, pts) = (time()?, time()?);
    Some(Frame {
        track,
        dts,
        pts,
        bytes: fields.nth(1)?.parse().ok()?,
        hash: fields.next()?.to_owned(),
    })
}

/// Whether all frames are there, in their order, with their bytes, and as far from the first picture as they were. Sound from before the first picture
/// may be missing: where a stream begins for a viewer is its first key frame.
pub(super) fn same(measure: Measure<'_>, expected: &[Frame], got: &[Frame]) -> Result<String> {
    let (from, to) = (start(measure, expected)?, start(measure, got)?);
    let mut furthest = 0.0_f64;
    let mut counts = String::new();
    for (track, kind) in measure.kinds.iter().enumerate() {
        let of_track = |frames: &[Frame]| frames.iter().filter(|f| f.track == track).cloned().collect::<Vec<_>>();
        let (mut wanted, got) = (of_track(expected), of_track(got));
        let early = wanted.len().saturating_sub(got.len());
        let is_early = |frame: &Frame| *kind == TrackKind::Audio && frame.pts <= from + 0.1;
        ensure!(
            !got.is_empty() && got.len() <= wanted.len() && wanted.iter().take(early).all(is_early),
            "{} of {} frames of track {track}, {kind:?}",
            got.len(),
            wanted.len()
        );
        wanted.drain(..early);
        let rounding = match kind {
            TrackKind::Video => measure.rounding,
            TrackKind::Audio => measure.rounding + SOUND,
        };
        for (at, (wanted, got)) in wanted.iter().zip(&got).enumerate() {
            ensure!(
                (wanted.bytes, &wanted.hash) == (got.bytes, &got.hash),
                "track {track}, {kind:?} {at}: {} bytes, not {}, or others",
                got.bytes,
                wanted.bytes
            );
            for (wanted, got) in [(wanted.dts, got.dts), (wanted.pts, got.pts)] {
                let off = ((got - to) - (wanted - from)).abs();
                let is_near = off <= rounding;
                ensure!(is_near, "track {track}, {kind:?} {at} is {off:.6} s off");
                furthest = furthest.max(off);
            }
        }
        let what = if *kind == TrackKind::Video {
            "pictures"
        } else {
            "of sound"
        };
        // Writing to memory does not fail.
        let _ = write!(counts, "{} {what}, ", got.len());
    }
    Ok(format!("{counts}byte for byte; times within {:.0} µs", furthest * 1e6))
}

/// When the first picture is.
fn start(measure: Measure<'_>, frames: &[Frame]) -> Result<f64> {
    let is_picture = |frame: &&Frame| measure.kinds.get(frame.track) == Some(&TrackKind::Video);
    let first = frames.iter().find(is_picture);
    first.map(|frame| frame.dts).context("there is no picture")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURE: Measure<'static> = Measure {
        kinds: &[TrackKind::Video, TrackKind::Audio],
        rounding: 0.000_03,
    };
    const TEXT: &str =
        "#tb 0: 1/1000\n#tb 1: 1/48000\n0, 0, 80, 40, 900, aa\n1, 48, 48, 1024, 20, bb\n0, 40, 40, 40, 100, cc\n";

    #[test]
    fn equal_frames_are_the_same_wherever_they_begin() {
        let expected = frames(TEXT).unwrap();
        let later = TEXT.replace("#tb 0: 1/1000", "#tb 0: 1/90000");
        let later = later
            .replace("0, 0, 80,", "0, 0, 7200,")
            .replace("0, 40, 40,", "0, 3600, 3600,");
        assert!(same(MEASURE, &expected, &frames(&later).unwrap()).is_ok());
    }

    #[test]
    fn a_frame_too_few_one_byte_more_and_another_time_are_seen() {
        let expected = frames(TEXT).unwrap();
        for (what, with) in [
            ("0, 40, 40, 40, 100, cc\n", ""),
            ("100, cc", "101, cc"),
            ("100, cc", "100, dd"),
            ("0, 40, 40,", "0, 41, 41,"),
            ("1, 48, 48,", "1, 4848, 4848,"),
        ] {
            let got = frames(&TEXT.replace(what, with)).unwrap();
            assert!(same(MEASURE, &expected, &got).is_err(), "{what:?} as {with:?}");
        }
    }
}
