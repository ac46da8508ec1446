//! ffmpeg reads what the muxer writes, and the reader reads what ffmpeg writes. Skipped, with a line that says so, where ffmpeg is missing.

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
use headgate_fmp4::{Demuxed, Muxer, Reader, init_segment};
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

/// One track, encoded once.
fn track(directory: &Path, source: &str, codec: &str) -> PathBuf {
    let name = format!("{}.mkv", codec.split(' ').nth(1).unwrap());
    run(
        &format!("-v error -y -f lavfi -i {source}:duration=2 {codec}"),
        &directory.join(name),
    )
}

/// Pictures and sound together, as ffmpeg muxes them.
fn pair(directory: &Path, name: &str, [video, audio]: [&Path; 2], how: &str) -> PathBuf {
    let inputs = format!(
        "-v error -y -i {} -i {} -c copy {how}",
        video.display(),
        audio.display()
    );
    run(&inputs, &directory.join(name))
}

fn run(arguments: &str, file: &Path) -> PathBuf {
    let output = Command::new("ffmpeg")
        .args(arguments.split_whitespace())
        .arg(file)
        .output();
    let output = output.unwrap();
    assert!(
        output.status.success(),
        "{arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    file.to_owned()
}

const PICTURES: &str = "testsrc=size=320x180:rate=25";
const SOUND: &str = "sine=sample_rate=48000";

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

fn mp4(file: &Path) -> (Vec<Track>, Vec<Frame>) {
    let (mut reader, mut out) = (Reader::default(), Vec::new());
    reader.push(&std::fs::read(file).unwrap(), &mut out).unwrap();
    let (mut tracks, mut frames) = (Vec::new(), Vec::new());
    for demuxed in out {
        match demuxed {
            Demuxed::Track(track) => tracks.push(track),
            Demuxed::Frame(frame) => frames.push(frame),
        }
    }
    (tracks, frames)
}

fn mux(tracks: &[Track], frames: &[Frame], at_once: usize) -> BytesMut {
    let (mut muxer, mut out) = (Muxer::default(), BytesMut::from(&init_segment(tracks)[..]));
    muxer.set_tracks(tracks);
    for (n, some) in frames.chunks(at_once).enumerate() {
        match some {
            [one] => muxer.put(one, &mut out),
            some => muxer.put_all(some, frames.get((n + 1) * at_once), &mut out),
        }
    }
    out
}

/// `kind,pts,dts,size,K or _` of every packet that ffprobe finds.
fn probe(file: &Path) -> Vec<String> {
    let arguments =
        "-v error -ignore_editlist 1 -show_entries packet=codec_type,pts_time,dts_time,size,flags -of csv=p=0";
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
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

fn expected(frames: &[Frame]) -> Vec<String> {
    let time = |t: headgate_codec::Timestamp| {
        #[allow(clippy::cast_precision_loss, reason = "a test's times are small")]
        let seconds = t.ticks() as f64 / 90_000.0;
        format!("{seconds:.6}")
    };
    let mut lines: Vec<String> = frames
        .iter()
        .map(|f| {
            let kind = if f.kind == TrackKind::Video { "video" } else { "audio" };
            let key = if f.key { "K_" } else { "__" };
            format!("{kind},{},{},{},{key}", time(f.pts), time(f.dts), f.payload.len())
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
        for at_once in [1, 5] {
            let file = directory.path().join(name).with_extension("mp4");
            std::fs::write(&file, mux(&tracks, &frames, at_once)).unwrap();
            assert!(frames.len() > 100);
            assert_eq!(probe(&file), expected(&frames), "{codecs}");
            decodes(&file);
        }
    }
}

#[test]
fn what_ffmpeg_fragments_is_read_and_muxed_again_with_the_same_frames() {
    if !ffmpeg_is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let fragments = "-movflags frag_keyframe+delay_moov+default_base_moof -use_editlist 0";
    let videos = [
        "-c:v libx264 -preset ultrafast -g 25 -bf 2 -pix_fmt yuv420p",
        "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25:bframes=2 -pix_fmt yuv420p",
        "-c:v libaom-av1 -cpu-used 8 -usage realtime -g 25 -pix_fmt yuv420p",
        "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25 -pix_fmt yuv420p",
    ]
    .map(|codec| track(directory.path(), PICTURES, codec));
    let audios = ["-c:a aac", "-c:a libmp3lame", "-c:a libopus", "-c:a flac"];
    let audios = audios.map(|codec| track(directory.path(), SOUND, codec));
    for (v, video) in videos.iter().enumerate() {
        for (a, audio) in audios.iter().enumerate() {
            let what = format!("{} with {}", video.display(), audio.display());
            let how = format!("{fragments} -strict -2");
            let file = pair(directory.path(), &format!("{v}-{a}.mp4"), [video, audio], &how);
            let (tracks, frames) = mp4(&file);
            assert_eq!(tracks.len(), 2, "{what}");
            assert!(frames.len() > 60, "{what}");
            assert_eq!(probe(&file).len(), frames.len(), "{what}");
            let again = directory.path().join(format!("{v}-{a}-again.mp4"));
            std::fs::write(&again, mux(&tracks, &frames, 7)).unwrap();
            assert_eq!(probe(&again), expected(&frames), "{what}");
            decodes(&again);
        }
    }
}
