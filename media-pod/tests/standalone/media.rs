//! Real media: ffmpeg in, ffprobe out. Skipped, with a line that says so, where ffmpeg is missing.

use crate::back_end::BackEnd;
use crate::place::{Place, hook, key};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

fn ffmpeg_is_missing() -> bool {
    let found = std::process::Command::new("ffprobe")
        .arg("-version")
        .stdout(Stdio::null())
        .status();
    if found.is_err() {
        #[allow(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: ffmpeg is not installed");
        }
    }
    found.is_err()
}

pub fn publish(url: &str) -> Child {
    let source = "-re -f lavfi -i testsrc=size=320x240:rate=25 -f lavfi -i sine=frequency=440";
    let coding = "-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 25 -c:a aac -t 60 -f flv";
    let mut command = Command::new("ffmpeg");
    command
        .args("-hide_banner -loglevel error".split(' '))
        .args(source.split(' '))
        .args(coding.split(' '))
        .arg(url);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// `h264,320,240` and `aac`, as ffprobe sees them.
pub async fn probe(url: &str) -> String {
    let mut command = Command::new("ffprobe");
    command
        .args("-v error -rw_timeout 10000000 -show_entries stream=codec_name,width,height -of csv=p=0".split(' '))
        .arg(url);
    let output = tokio::time::timeout(Duration::from_secs(20), command.kill_on_drop(true).output())
        .await
        .unwrap()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ffmpeg_publishes_ffprobe_plays_over_rtmp_and_http() {
    if ffmpeg_is_missing() {
        return;
    }
    let back_end = BackEnd::start().await;
    let place = Place::start(&[
        ("key", key("alice", "s3cr3t-of-alice")),
        ("hook", hook("backend", &back_end.url)),
    ])
    .await;
    let (rtmp, http) = (
        format!("rtmp://127.0.0.1:{}/live/test", place.rtmp),
        format!("http://127.0.0.1:{}/live/test", place.http),
    );
    let _publisher = publish(&format!("{rtmp}?secret=s3cr3t-of-alice"));
    place.shows("size: 320x240").await;
    place.shows("codecs: H264/AAC").await;
    for url in [rtmp, format!("{http}.flv"), format!("{http}.live.flv")] {
        let start = Instant::now();
        let seen = probe(&url).await;
        assert!(
            seen.contains("h264,320,240") && seen.contains("aac"),
            "{url}: {seen:?} after {:?}",
            start.elapsed()
        );
    }
    let plays = back_end.heard().iter().filter(|line| *line == "on_play test").count();
    assert!(plays >= 3, "{:?}", back_end.heard());
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_is_told_why_it_is_refused() {
    if ffmpeg_is_missing() {
        return;
    }
    let place = Place::start(&[("key", key("alice", "s3cr3t-of-alice"))]).await;
    let publisher = publish(&format!("rtmp://127.0.0.1:{}/live/test?secret=guess", place.rtmp));
    let output = tokio::time::timeout(Duration::from_secs(20), publisher.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("KeyWrong"), "{said}");
}
