//! Real players read what was published: the same frames at the same times. Skipped, with a word, where ffmpeg is missing.

use crate::support::*;
use headgate_flv::{Demuxer, TagReader};
use headgate_hub::Settings;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// `stream,pts_time,dts_time,size,flags` of every packet that ffprobe finds.
async fn probe(input: &str) -> Vec<String> {
    let arguments = "-v error -show_entries packet=stream_index,pts_time,dts_time,size,flags -of csv=p=0";
    let mut command = Command::new("ffprobe");
    command
        .args(arguments.split_whitespace())
        .arg(input)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(30), command.output())
        .await
        .expect("ffprobe ends")
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

/// The same without the sizes, which a transport stream adds to, and the flags, of which it has others for sound.
fn times(packets: Vec<String>) -> Vec<String> {
    let first_three = |line: String| line.split(',').take(3).collect::<Vec<_>>().join(",");
    packets.into_iter().map(first_three).collect()
}

async fn plays_as_published(audio: &str, path: &str) {
    if !has_ffmpeg() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = clip(directory.path(), audio);
    let tags = tags(&file);
    let server = server().await;
    server.hub.configure(Settings {
        linger: Duration::from_secs(2),
        ..Settings::default()
    });
    let url = format!("http://{}{path}", server.address);
    let probing = tokio::spawn(async move { probe(&url).await });
    server.until_viewers(1).await;
    let mut publisher = server.publisher("__defaultVhost__", "x").await;
    let mut demuxer = Demuxer::default();
    for tag in &tags {
        feed(&mut publisher, &mut demuxer, tag);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    publisher.finish(headgate_hub::EndReason::Unpublished);
    let seen = probing.await.unwrap();
    let expected = probe(file.to_str().unwrap()).await;
    assert!(expected.len() > 100, "{} packets", expected.len());
    if path.contains(".ts") {
        assert_eq!(times(seen), times(expected));
    } else {
        assert_eq!(seen, expected);
    }
    server.until_viewers(0).await;
    assert!(server.hub.snapshot().is_empty());
}

#[tokio::test]
async fn ffprobe_sees_every_frame_at_its_time() {
    plays_as_published("aac", "/live/x.flv").await;
}

#[tokio::test]
async fn mp3_under_the_other_familys_url_as_well() {
    plays_as_published("libmp3lame", "/live/x.live.flv?token=a").await;
}

#[tokio::test]
async fn a_transport_stream_has_every_frame_at_its_time() {
    plays_as_published("aac", "/live/x.ts").await;
    plays_as_published("libmp3lame", "/live/x.live.ts").await;
}

#[tokio::test]
async fn fragmented_mp4_has_every_frame_at_its_time() {
    plays_as_published("aac", "/live/x.mp4").await;
    plays_as_published("aac", "/live/x.live.mp4").await;
}

#[tokio::test]
async fn a_late_viewer_decodes_from_the_newest_key_frame() {
    if has_ffmpeg() {
        for container in ["flv", "ts", "mp4"] {
            a_late_viewer_decodes(container).await;
        }
    }
}

async fn a_late_viewer_decodes(container: &str) {
    let directory = tempfile::tempdir().unwrap();
    let tags = tags(&clip(directory.path(), "aac"));
    let server = server().await;
    let mut publisher = server.publisher("__defaultVhost__", "x").await;
    let mut demuxer = Demuxer::default();
    for tag in &tags {
        feed(&mut publisher, &mut demuxer, tag);
    }
    let saved = directory.path().join("saved.flv");
    let mut player = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-xerror",
            "-i",
            &format!("http://{}/live/x.{container}", server.address),
            "-c",
            "copy",
        ])
        .arg(&saved)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    server.until_viewers(1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.hub.end_all(headgate_hub::EndReason::Shutdown);
    assert!(
        tokio::time::timeout(Duration::from_secs(20), player.wait())
            .await
            .unwrap()
            .unwrap()
            .success()
    );
    let decoded = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-xerror",
            "-i",
            saved.to_str().unwrap(),
            "-f",
            "null",
            "-",
        ])
        .output()
        .await
        .unwrap();
    assert!(
        decoded.status.success() && decoded.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&decoded.stderr)
    );
    let saved = TagReader::new(std::fs::read(saved).unwrap().into()).unwrap().flatten();
    let pictures = saved.filter(|t| t.kind == headgate_flv::TagKind::Video).count();
    assert!(
        (20..=30).contains(&pictures),
        "{pictures} of the last second's 25 pictures, headers and all"
    );
}
