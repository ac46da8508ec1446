//! The reader reads what ffmpeg writes, and ffmpeg reads what is written of it again, for every codec that Debian's ffmpeg puts into FLV; those of enhanced
//! RTMP are tried by `cargo e2e players`. Skipped, with a line that says so, where ffmpeg is missing.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may fail by panic, and says when it is skipped"
)]

use bytes::{Bytes, BytesMut};
use headgate_codec::{Codec, Frame, Track, TrackKind};
use headgate_flv::{Demuxed, Demuxer, Form, TagKind, TagReader, file_header, put_tag};
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
fn clip(directory: &Path, name: &str, audio: &str) -> PathBuf {
    let file = directory.join(name);
    let arguments = format!(
        "-v error -y -f lavfi -i testsrc=size=320x180:rate=25:duration=2 -f lavfi -i sine=sample_rate=44100:duration=2 \
         -c:v libx264 -preset ultrafast -g 25 -pix_fmt yuv420p -bf 2 {audio}"
    );
    let output = Command::new("ffmpeg")
        .args(arguments.split_whitespace())
        .arg(&file)
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    file
}

/// What is found, in its order.
fn read(file: &Path) -> Vec<Demuxed> {
    let (mut found, mut demuxer) = (Vec::new(), Demuxer::default());
    for tag in TagReader::new(Bytes::from(std::fs::read(file).unwrap())).unwrap() {
        let tag = tag.unwrap();
        found.extend(demuxer.push_tag(tag.kind, tag.timestamp_millis, tag.body).unwrap());
    }
    found
}

/// The same, written anew.
fn written(found: &[Demuxed]) -> BytesMut {
    let (mut out, mut tracks) = (BytesMut::from(&file_header(true, true)[..]), Vec::<Track>::new());
    let form = Form::default();
    for one in found {
        match one {
            Demuxed::Track(track) => {
                let config = form.config(track);
                if !config.is_empty() {
                    put_tag(&mut out, track.kind().into(), 0, &[&config]).unwrap();
                }
                tracks.push(track.clone());
            }
            Demuxed::Frame(frame) => {
                let track = tracks.iter().rfind(|track| track.id == frame.track).unwrap();
                let (kind, prefix): (TagKind, _) = (frame.kind.into(), form.prefix(track, frame));
                put_tag(
                    &mut out,
                    kind,
                    frame.dts.as_wrapped_millis(),
                    &[&prefix, &frame.payload],
                )
                .unwrap();
            }
            Demuxed::Nothing(_) => {}
        }
    }
    out
}

/// `kind,pts,dts,size,K or _` of every packet that ffprobe finds, in milliseconds.
fn probe(file: &Path) -> Vec<String> {
    let arguments = "-v error -show_entries packet=codec_type,pts,dts,size,flags -of csv=p=0";
    let output = Command::new("ffprobe")
        .args(arguments.split_whitespace())
        .arg(file)
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<String> = text.lines().filter(|l| !l.is_empty()).map(str::to_owned).collect();
    lines.sort();
    lines
}

fn expected(found: &[Demuxed]) -> Vec<String> {
    let line = |frame: &Frame| {
        let kind = if frame.kind == TrackKind::Video {
            "video"
        } else {
            "audio"
        };
        let key = if frame.key { "K_" } else { "__" };
        let (pts, dts) = (frame.pts.as_millis(), frame.dts.as_millis());
        format!("{kind},{pts},{dts},{},{key}", frame.payload.len())
    };
    let frames = found.iter().filter_map(|one| match one {
        Demuxed::Frame(frame) => Some(line(frame)),
        Demuxed::Track(_) | Demuxed::Nothing(_) => None,
    });
    let mut lines: Vec<String> = frames.collect();
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
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn every_frame_of_ffmpegs_is_read_at_its_time_and_read_by_ffmpeg_as_it_is_written_again() {
    if !ffmpeg_is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for (name, audio, codec) in [
        ("aac.flv", "-c:a aac", Codec::Aac),
        ("mp3.flv", "-c:a libmp3lame", Codec::Mp3),
        ("alaw.flv", "-ar 8000 -c:a pcm_alaw", Codec::G711a),
        ("mulaw.flv", "-ar 8000 -c:a pcm_mulaw", Codec::G711u),
        ("speex.flv", "-ar 16000 -ac 1 -c:a libspeex", Codec::Speex),
    ] {
        let file = clip(directory.path(), name, audio);
        let found = read(&file);
        let has = |wanted| {
            found
                .iter()
                .any(|one| matches!(one, Demuxed::Track(track) if track.codec == wanted))
        };
        assert!(has(Codec::H264) && has(codec), "{name}");
        assert_eq!(probe(&file), expected(&found), "{name}");
        let again = directory.path().join(format!("again-{name}"));
        std::fs::write(&again, written(&found)).unwrap();
        assert_eq!(probe(&again), expected(&found), "{name}");
        decodes(&again);
    }
}
