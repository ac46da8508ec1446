//! Every frame of every output against what was published: how many, when, and which bytes. ffmpeg reads both.

use super::place::Place;
use super::source::{Clip, kind_of};
use crate::ensure;
use crate::error::{Context as _, Error, Result};
use crate::tools::paths::{Paths, read};
use headgate_codec::TrackKind;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// Outputs that ffmpeg reads, and what it must be told for each.
const OUTPUTS: [(&str, &[&str]); 7] = [
    (".flv", &[]),
    (".live.ts", &[]),
    (".mp4", &[]),
    (".m3u8", &["-live_start_index", "0"]),
    ("/hls.m3u8", &["-live_start_index", "0"]),
    ("/hls.fmp4.m3u8", &["-live_start_index", "0"]),
    ("", &[]),
];
/// A sound's time in MP4 is counted in samples: a tick of that and one of MPEG-TS.
const SOUND: f64 = 0.000_05;

/// One frame, as `-f framehash` prints it.
#[derive(Clone, Debug, PartialEq)]
struct Frame {
    kind: TrackKind,
    /// Seconds.
    dts: f64,
    pts: f64,
    bytes: u64,
    hash: String,
}

/// Publishes the clip once, takes all outputs, and compares.
pub async fn compare(paths: &Paths, place: &Place, clip: &Clip) -> Result<Vec<String>> {
    let file = clip.file(paths).await?;
    let folder = place.dir().join(clip.name);
    std::fs::create_dir_all(&folder).context("making a directory for frames")?;
    let source = folder.join("source");
    let source_url = file.display().to_string();
    ended("source", hashes(clip, &source_url, &[], &source)?).await?;
    let expected = frames(&read(&source)?)?;
    // ffmpeg 5 reads H.265 over RTMP in no form that is on the air today.
    let taken = OUTPUTS
        .iter()
        .filter(|(output, _)| clip.name == "h264" || !matches!(*output, "" | ".flv"));
    let mut players = Vec::new();
    for (index, (output, arguments)) in taken.enumerate() {
        let url = match *output {
            "" => format!("rtmp://{}/live/{}", place.rtmp(), clip.name),
            path => format!("http://{}/live/{}{path}", place.http(), clip.name),
        };
        let into = folder.join(index.to_string());
        players.push((*output, hashes(clip, &url, arguments, &into)?, into));
    }
    place.viewers(players.len() as u64).await?;
    clip.publish(paths, place).await?;
    let (mut lines, mut wrong) = (Vec::new(), Vec::new());
    for (output, player, into) in players {
        let outcome = match ended(output, player).await {
            Ok(()) => frames(&read(&into)?).and_then(|got| same(clip, &expected, &got)),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(line) => lines.push(format!("{}{output}: {line}", clip.name)),
            Err(error) => wrong.push(format!("{}{output}: {error}", clip.name)),
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n    "));
    Ok(lines)
}

fn hashes(clip: &Clip, url: &str, arguments: &[&str], into: &Path) -> Result<Child> {
    Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y", "-copyts"])
        .args(arguments)
        .args([
            "-i",
            url,
            "-map",
            "0:v",
            "-map",
            "0:a",
            "-c",
            "copy",
            "-bsf:v",
            clip.normal,
        ])
        .args(["-bsf:a", "aac_adtstoasc", "-f", "framehash", "-hash", "md5"])
        .arg(into)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting ffmpeg")
}

async fn ended(what: &str, player: Child) -> Result<()> {
    let ended = tokio::time::timeout(Duration::from_mins(1), player.wait_with_output()).await;
    let output = ended
        .map_err(|_| Error::new(format!("ffmpeg did not come to the end of {what}")))?
        .context("waiting for ffmpeg")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "ffmpeg failed: {said}");
    Ok(())
}

fn frames(text: &str) -> Result<Vec<Frame>> {
    let mut bases = [0.001, 0.001];
    let mut frames = Vec::new();
    for line in text.lines() {
        if let Some(base) = line.strip_prefix("#tb ") {
            let parsed = base_of(base).context(format_args!("no time base: {line}"))?;
            if let Some(base) = bases.get_mut(parsed.0) {
                *base = parsed.1;
            }
        } else if !line.starts_with('#') {
            frames.push(frame_of(line, bases).context(format_args!("no frame: {line}"))?);
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
fn frame_of(line: &str, bases: [f64; 2]) -> Option<Frame> {
    let mut fields = line.split(',').map(str::trim);
    let index: usize = fields.next()?.parse().ok()?;
    let base = bases.get(index)?;
    let mut time = || Some(fields.next()?.parse::<f64>().ok()? * base);
    let (dts, pts) = (time()?, time()?);
    Some(Frame {
        kind: kind_of(index),
        dts,
        pts,
        bytes: fields.nth(1)?.parse().ok()?,
        hash: fields.next()?.to_owned(),
    })
}

/// Whether all frames are there, in their order, with their bytes, and as far from the first picture as they were. Sound from before the first picture
/// may be missing: where a stream begins for a viewer is its first key frame.
fn same(clip: &Clip, expected: &[Frame], got: &[Frame]) -> Result<String> {
    let start = |frames: &[Frame]| {
        let first = frames.iter().find(|frame| frame.kind == TrackKind::Video);
        first.map(|frame| frame.dts).context("there is no picture")
    };
    let (from, to) = (start(expected)?, start(got)?);
    let mut furthest = 0.0_f64;
    let mut counts = [0_usize; 2];
    for (kind, count) in [TrackKind::Video, TrackKind::Audio].into_iter().zip(&mut counts) {
        let of_kind = |frames: &[Frame]| frames.iter().filter(|f| f.kind == kind).cloned().collect::<Vec<_>>();
        let (mut wanted, got) = (of_kind(expected), of_kind(got));
        let early = wanted.len().saturating_sub(got.len());
        let is_early = |frame: &Frame| kind == TrackKind::Audio && frame.pts <= from + 0.1;
        ensure!(
            wanted.iter().take(early).all(is_early),
            "{} of {} frames of {kind:?}",
            got.len(),
            wanted.len()
        );
        wanted.drain(..early);
        let rounding = if kind == TrackKind::Video {
            clip.rounding
        } else {
            clip.rounding + SOUND
        };
        for (at, (wanted, got)) in wanted.iter().zip(&got).enumerate() {
            ensure!(
                (wanted.bytes, &wanted.hash) == (got.bytes, &got.hash),
                "{kind:?} {at}: {} bytes, not {}, or others",
                got.bytes,
                wanted.bytes
            );
            for (wanted, got) in [(wanted.dts, got.dts), (wanted.pts, got.pts)] {
                let off = ((got - to) - (wanted - from)).abs();
                let is_near = off <= rounding;
                ensure!(is_near, "{kind:?} {at} is {off:.6} s off");
                furthest = furthest.max(off);
            }
        }
        *count = got.len();
    }
    let [pictures, sounds] = counts;
    let micros = furthest * 1e6;
    Ok(format!(
        "{pictures} pictures, {sounds} of sound, byte for byte; times within {micros:.0} µs"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIP: &Clip = super::super::source::ALL[0];
    const TEXT: &str =
        "#tb 0: 1/1000\n#tb 1: 1/48000\n0, 0, 80, 40, 900, aa\n1, 48, 48, 1024, 20, bb\n0, 40, 40, 40, 100, cc\n";

    #[test]
    fn equal_frames_are_the_same_wherever_they_begin() {
        let expected = frames(TEXT).unwrap();
        let later = TEXT.replace("#tb 0: 1/1000", "#tb 0: 1/90000");
        let later = later
            .replace("0, 0, 80,", "0, 0, 7200,")
            .replace("0, 40, 40,", "0, 3600, 3600,");
        assert!(same(CLIP, &expected, &frames(&later).unwrap()).is_ok());
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
            assert!(same(CLIP, &expected, &got).is_err(), "{what:?} as {with:?}");
        }
    }
}
