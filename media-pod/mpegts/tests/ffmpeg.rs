//! ffmpeg reads what the muxer writes, and the demuxer reads what ffmpeg writes. Skipped, with a line that says so, where ffmpeg is missing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test may fail by panic, and says when it is skipped"
)]

use bytes::{Bytes, BytesMut};
use headgate_codec::{Frame, Track, TrackKind};
use headgate_mpegts::{Demuxed, Demuxer, Muxer};
use std::path::{Path, PathBuf};
use std::process::Command;

fn ffmpeg_is_there() -> bool {
    let there = Command::new("ffprobe").arg("-version").output().is_ok();
    if !there {
        eprintln!("skipped: ffmpeg is not installed");
    }
    there
}

/// Two seconds of moving pictures with frames out of order, and a tone.
fn clip(directory: &Path, name: &str, codecs: &str) -> PathBuf {
    let file = directory.join(name);
    let arguments = "-v error -y -f lavfi -i testsrc=size=320x180:rate=25:duration=2 -f lavfi -i sine=sample_rate=48000:duration=2 \
                     -preset ultrafast -g 25 -pix_fmt yuv420p -bf 2";
    let output = Command::new("ffmpeg")
        .args(arguments.split_whitespace())
        .args(codecs.split_whitespace())
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    file
}

fn flv(file: &Path) -> (Vec<Track>, Vec<Frame>) {
    let (mut tracks, mut frames, mut demuxer) = (Vec::new(), Vec::new(), headgate_flv::Demuxer::default());
    let file = Bytes::from(std::fs::read(file).unwrap());
    for tag in headgate_flv::TagReader::new(file).unwrap() {
        let tag = tag.unwrap();
        for found in demuxer.push_tag(tag.kind, tag.timestamp_millis, tag.body).unwrap() {
            match found {
                headgate_flv::Demuxed::Track(track) => tracks.push(track),
                headgate_flv::Demuxed::Frame(frame) => frames.push(frame),
                headgate_flv::Demuxed::Nothing(_) => {}
            }
        }
    }
    (tracks, frames)
}

fn ts(file: &Path) -> (Vec<Track>, Vec<Frame>) {
    let (mut demuxer, mut out) = (Demuxer::default(), Vec::new());
    demuxer.push(&std::fs::read(file).unwrap(), &mut out).unwrap();
    demuxer.finish(&mut out).unwrap();
    let (mut tracks, mut frames) = (Vec::new(), Vec::new());
    for demuxed in out {
        match demuxed {
            Demuxed::Track(track) => tracks.push(track),
            Demuxed::Frame(frame) => frames.push(frame),
        }
    }
    (tracks, frames)
}

fn mux(tracks: &[Track], frames: &[Frame]) -> BytesMut {
    let (mut muxer, mut out) = (Muxer::default(), BytesMut::new());
    muxer.set_tracks(tracks);
    for frame in frames {
        muxer.put(frame, &mut out).unwrap();
    }
    out
}

/// `codec,pts,dts` of every packet that ffprobe finds, in ticks of 90 kHz.
fn probe(file: &Path) -> Vec<String> {
    let arguments = "-v error -show_entries packet=codec_type,pts,dts -of csv=p=0";
    let output = Command::new("ffprobe")
        .args(arguments.split_whitespace())
        .arg(file)
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| line.trim_end_matches(',').to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    lines.sort();
    lines
}

fn expected(frames: &[Frame]) -> Vec<String> {
    let mut lines: Vec<String> = frames
        .iter()
        .map(|f| {
            let kind = if f.kind == TrackKind::Video { "video" } else { "audio" };
            format!("{kind},{},{}", f.pts.ticks(), f.dts.ticks())
        })
        .collect();
    lines.sort();
    lines
}

/// Decodes everything; nothing may be wrong with it.
fn decodes(file: &Path) {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i"])
        .arg(file)
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn ffprobe_sees_every_frame_of_ours_at_its_time_and_ffmpeg_decodes_it() {
    if !ffmpeg_is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for (name, codecs) in [
        ("a.flv", "-c:v libx264 -c:a aac"),
        ("b.flv", "-c:v libx264 -ar 44100 -c:a libmp3lame"),
    ] {
        let (tracks, frames) = flv(&clip(directory.path(), name, codecs));
        let file = directory.path().join(name).with_extension("ts");
        std::fs::write(&file, mux(&tracks, &frames)).unwrap();
        assert!(frames.len() > 100);
        assert_eq!(probe(&file), expected(&frames), "{codecs}");
        decodes(&file);
        assert_eq!(ts(&file).1.len(), frames.len());
    }
}

#[test]
fn what_ffmpeg_muxes_is_read_and_muxed_again_with_the_same_frames() {
    if !ffmpeg_is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let cases = [
        "-c:v libx264 -c:a aac",
        "-c:v libx264 -c:a libmp3lame",
        "-c:v libx264 -c:a libopus",
        "-c:v libx265 -x265-params log-level=none -c:a aac",
        "-c:v libx265 -x265-params log-level=none -c:a libmp3lame",
        "-c:v libx265 -x265-params log-level=none -c:a libopus",
    ];
    for (n, codecs) in cases.into_iter().enumerate() {
        let file = clip(directory.path(), &format!("{n}.ts"), codecs);
        let (tracks, frames) = ts(&file);
        assert_eq!(tracks.len(), 2, "{codecs}");
        let theirs = probe(&file);
        let mut ours = expected(&frames);
        // Sound that ffmpeg packs by the handful has times of its own reckoning.
        let pictures = |lines: &[String]| {
            lines
                .iter()
                .filter(|l| l.starts_with("video"))
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(pictures(&ours), pictures(&theirs), "{codecs}");
        assert_eq!(ours.len(), theirs.len(), "{codecs}");
        let again = directory.path().join(format!("{n}-again.ts"));
        std::fs::write(&again, mux(&tracks, &frames)).unwrap();
        ours.sort();
        assert_eq!(probe(&again), ours, "{codecs}");
        decodes(&again);
    }
}
