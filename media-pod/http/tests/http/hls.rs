//! HLS from outside: sessions, playlists that wait, files that can be cached, and ffmpeg as a player.

use crate::support::*;
use headgate_flv::Demuxer;
use headgate_hub::{Protocol, Publisher};
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::process::Command;

async fn text(server: &Server, path: &str) -> String {
    let (head, body) = get(server, path).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
    assert!(head.contains("access-control-allow-origin: *"), "{head}");
    String::from_utf8(body).unwrap()
}

/// Publishes the clip twice as fast as it is: players that look once in a target duration still find every segment in the window.
async fn publish(mut publisher: Publisher, file: std::path::PathBuf) {
    let (mut demuxer, start) = (Demuxer::default(), tokio::time::Instant::now());
    for tag in tags(&file) {
        let at = Duration::from_millis(u64::from(tag.timestamp_millis) / 2);
        tokio::time::sleep_until(start + at).await;
        feed(&mut publisher, &mut demuxer, &tag);
    }
    std::future::pending::<()>().await;
}

/// Lines that are no tags.
fn names(playlist: &str) -> Vec<&str> {
    playlist.lines().filter(|line| !line.starts_with('#')).collect()
}

#[tokio::test]
async fn a_viewer_has_one_session_and_its_segments_can_be_cached() {
    if !has_ffmpeg() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let server = server().await;
    let publisher = server.publisher("__defaultVhost__", "x").await;
    let publishing = tokio::spawn(publish(publisher, long_clip(directory.path(), "aac", 120)));
    for (address, kind) in [
        ("/live/x.m3u8?k=v", "video/mp2t"),
        ("/live/x/hls.fmp4.m3u8?k=v", "video/mp4"),
    ] {
        let master = text(&server, address).await;
        let base = if kind == "video/mp2t" { "/live/" } else { "/live/x/" };
        let media = format!("{base}{}", names(&master)[0].trim_start_matches("./"));
        assert!(media.contains("hls_ctx=") && media.ends_with("&k=v"), "{master}");
        let playlist = text(&server, &media).await;
        assert_eq!(server.viewers(), 1);
        assert_eq!(server.hub.snapshot()[0].viewers.get(&Protocol::Hls), Some(&1));
        assert_eq!(server.rules.seen.lock().clone().unwrap().param, "?k=v");
        let segment = format!("/live/x/{}", names(&playlist).last().unwrap());
        let (head, body) = get(&server, &segment).await;
        assert!(
            head.contains(kind) && head.contains("cache-control: public, max-age="),
            "{head}"
        );
        assert!(body.len() > 1000);
        let next: u64 = segment
            .rsplit('-')
            .next()
            .unwrap()
            .split('.')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let waited = text(&server, &format!("{media}&_HLS_msn={}", next + 1)).await;
        assert!(waited.contains(&format!("-{}.", next + 1)), "{waited}");
        let (head, _) = get(&server, &format!("{media}&_HLS_msn={}", next + 1000)).await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
        // Nobody asks any more: the session ends.
        let ended = server.rules.ended.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(5)).await;
        server.until_viewers(0).await;
        assert_eq!(server.rules.ended.load(Ordering::SeqCst), ended + 1);
        // Who comes back with the same address is asked for again, and let in.
        text(&server, &media).await;
        assert_eq!(server.viewers(), 1);
        let id = server.rules.seen.lock().clone().unwrap().id;
        assert!(server.hub.kick(id, headgate_hub::EndReason::Kicked));
        server.until_viewers(0).await;
        // Who was sent away does not come back with the same address, however often it asks.
        for _ in 0..2 {
            let (head, body) = get(&server, &media).await;
            assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
            assert!(String::from_utf8_lossy(&body).contains("begin anew"));
            tokio::time::sleep(Duration::from_millis(1200)).await;
        }
        assert_eq!(server.viewers(), 0);
    }
    publishing.abort();
}

#[tokio::test]
async fn ffmpeg_decodes_both_kinds() {
    if !has_ffmpeg() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let server = server().await;
    let publisher = server.publisher("__defaultVhost__", "x").await;
    let publishing = tokio::spawn(publish(publisher, long_clip(directory.path(), "aac", 120)));
    for path in ["x.m3u8", "x/hls.fmp4.m3u8"] {
        let url = format!("http://{}/live/{path}", server.address);
        let arguments = ["-v", "error", "-xerror", "-i", &url, "-t", "6", "-f", "framecrc", "-"];
        let mut player = Command::new("ffmpeg");
        let player = player.args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
        let output = tokio::time::timeout(Duration::from_secs(40), player)
            .await
            .unwrap()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{path}: {said}");
        let frames = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter(|l| l.starts_with("0,"))
            .count();
        assert!(
            (140..=152).contains(&frames),
            "{path}: {frames} pictures in six seconds"
        );
    }
    publishing.abort();
}

#[tokio::test]
async fn who_is_refused_gets_no_playlist_and_a_strange_name_no_file() {
    let server = server().await;
    let cases = [
        ("GET /live/x.m3u8?refuse=KeyWrong", "403"),
        ("GET /live/x/hls.m3u8?hls_ctx=mine&refuse=KeyWrong", "403"),
        ("GET /live/x/hls/k-1.ts", "404"),
        ("POST /live/x.m3u8", "405"),
        ("OPTIONS /live/x/hls/k-1.ts", "204"),
    ];
    for (request, status) in cases {
        let answer = server.ask(request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {answer}"
        );
    }
    assert_eq!(server.viewers(), 0);
}
