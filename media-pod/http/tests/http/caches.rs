//! What caches and browsers ask of playlists and segments: tags, ranges, heads, compression.

use crate::support::*;
use std::time::Duration;

/// A stream with segments, its playlist's path, and the path of its newest segment.
async fn playing(server: &Server, path: &str) -> (Sound, String, String) {
    let mut sound = Sound::new(server.publisher("__defaultVhost__", "x").await);
    let media = watch(server, path, &mut sound).await;
    let (_, playlist) = get(server, &media).await;
    let playlist = String::from_utf8(playlist).unwrap();
    let name = playlist.lines().rfind(|line| !line.starts_with('#')).unwrap();
    let segment = format!("/live/x/{name}");
    (sound, media, segment)
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let mut lines = head.lines();
    lines
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .unwrap_or_default()
}

#[tokio::test]
async fn a_segment_is_kept_by_caches_and_had_in_parts() {
    let server = server().await;
    let (_sound, _, segment) = playing(&server, "/live/x/hls.fmp4.m3u8").await;
    let (head, whole) = get(&server, &segment).await;
    assert!(header(&head, "cache-control").starts_with("public, max-age="), "{head}");
    assert_eq!(header(&head, "content-length"), whole.len().to_string());
    assert_eq!(header(&head, "accept-ranges"), "bytes");
    let tag = header(&head, "etag").to_owned();
    let (none, body) = ask(&server, "GET", &segment, &format!("If-None-Match: {tag}\r\n")).await;
    assert!(none.starts_with("HTTP/1.1 304 ") && body.is_empty(), "{none}");
    let (head, body) = ask(&server, "HEAD", &segment, "").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body.is_empty(), "{head}");
    assert_eq!(header(&head, "content-length"), whole.len().to_string());
    let (head, body) = ask(&server, "GET", &segment, "Range: bytes=100-299\r\n").await;
    assert!(head.starts_with("HTTP/1.1 206 "), "{head}");
    assert_eq!(header(&head, "content-range"), format!("bytes 100-299/{}", whole.len()));
    assert_eq!(body, whole[100..300]);
    let beyond = format!("Range: bytes={}-\r\n", whole.len());
    let (head, _) = ask(&server, "GET", &segment, &beyond).await;
    assert!(head.starts_with("HTTP/1.1 416 "), "{head}");
    assert_eq!(header(&head, "content-range"), format!("bytes */{}", whole.len()));
    let (head, _) = get(&server, &segment.replace("hls/", "hls/0")).await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
}

#[tokio::test]
async fn a_playlist_is_sent_again_only_when_it_has_changed_and_packed_to_who_takes_that() {
    let server = server().await;
    let (mut sound, media, _) = playing(&server, "/live/x.m3u8").await;
    let (head, plain) = get(&server, &media).await;
    assert_eq!(header(&head, "content-type"), "application/vnd.apple.mpegurl");
    assert_eq!(header(&head, "vary"), "accept-encoding");
    let tag = format!("If-None-Match: {}\r\n", header(&head, "etag"));
    let (head, body) = ask(&server, "GET", &media, &tag).await;
    assert!(head.starts_with("HTTP/1.1 304 ") && body.is_empty(), "{head}");
    let (head, packed) = ask(&server, "GET", &media, "Accept-Encoding: gzip\r\n").await;
    assert_eq!(header(&head, "content-encoding"), "gzip");
    assert!(packed.len() < plain.len() && packed.starts_with(&[0x1f, 0x8b]));
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*packed), &mut unpacked).unwrap();
    assert_eq!(unpacked, plain);
    sound.play(100);
    let (head, _) = ask(&server, "GET", &media, &tag).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}

#[tokio::test]
async fn asking_for_a_head_begins_no_session() {
    let server = server().await;
    let (head, body) = ask(&server, "HEAD", "/live/x.m3u8", "").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body.is_empty(), "{head}");
    assert!(
        !head.contains("\r\ncontent-length:"),
        "not the length of the GET: {head}"
    );
    assert!(server.rules.seen.lock().is_none());
}

#[tokio::test]
async fn a_stream_that_has_ended_says_so_to_who_watched_it() {
    let server = server().await;
    server.hub.configure(headgate_hub::Settings {
        linger: Duration::from_millis(200),
        ..headgate_hub::Settings::default()
    });
    let (sound, media, _) = playing(&server, "/live/x.m3u8").await;
    drop(sound);
    server.until_viewers(0).await;
    let (head, body) = get(&server, &media).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(String::from_utf8(body).unwrap().ends_with("#EXT-X-ENDLIST\n"));
}
