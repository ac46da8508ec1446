//! Heads, refusals, and connections that come to an end in every way.

use crate::support::*;
use bytes::Bytes;
use headgate_codec::{AudioInfo, Codec, Frame, Timestamp, Track, TrackId, TrackKind};
use headgate_hub::{EndReason, Publisher, Settings};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const GET: &str = "GET /live/x.flv HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

fn sound(publisher: &mut Publisher, millis: i64, bytes: usize) {
    let dts = Timestamp::from_millis(millis);
    let payload = vec![7; bytes].into();
    publisher.frame(Frame {
        track: TrackId::AUDIO,
        kind: TrackKind::Audio,
        dts,
        pts: dts,
        key: true,
        payload,
    });
}

async fn live(server: &Server, vhost: &str) -> Publisher {
    let mut publisher = server.publisher(vhost, "x").await;
    publisher.track(Track::sound(
        TrackId::AUDIO,
        Codec::Mp3,
        AudioInfo {
            sample_rate: 44_100,
            channels: 2,
        },
    ));
    sound(&mut publisher, 0, 10);
    publisher
}

#[tokio::test]
async fn each_reason_has_its_status_and_is_named_in_the_body() {
    let server = server().await;
    let cases = [
        ("GET /live/x.flv?refuse=KeyMissing", "401", "KeyMissing"),
        ("GET /live/x.flv?refuse=KeyWrong", "403", "KeyWrong"),
        ("GET /live/x.flv?refuse=UnknownApp", "404", "UnknownApp"),
        ("GET /live/x.flv?refuse=LimitReached", "429", "LimitReached"),
        ("GET /live/x.flv?refuse=HookTimeout", "503", "HookTimeout"),
        ("GET /live/x.flv?refuse=Draining", "503", "Draining"),
        ("GET /live/%20.flv", "400", "BadRequest"),
        ("GET /", "404", "NotFound"),
        ("GET /live/x.mp3", "404", "NotFound"),
        ("POST /live/x.flv", "405", "MethodNotAllowed"),
    ];
    for (request, status, reason) in cases {
        let answer = server.ask(request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {answer}"
        );
        assert!(
            answer.contains(&format!("\"reason\":\"{reason}\"")),
            "{request}: {answer}"
        );
        assert!(answer.contains("access-control-allow-origin: *"), "{request}: {answer}");
    }
    assert_eq!(server.rules.ended.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn preflight_and_head_are_answered_without_a_session() {
    let server = server().await;
    let answer = server.ask("OPTIONS /live/x.flv").await;
    assert!(
        answer.starts_with("HTTP/1.1 204 ") && answer.contains("access-control-allow-methods: GET, HEAD, OPTIONS"),
        "{answer}"
    );
    for (path, kind) in [
        ("x.flv", "video/x-flv"),
        ("x.live.ts", "video/mp2t"),
        ("x.mp4", "video/mp4"),
    ] {
        let answer = server.ask(&format!("HEAD /live/{path}")).await;
        let expected = format!("content-type: {kind}\r\n");
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains(&expected),
            "{answer}"
        );
        assert!(!answer.contains("\r\ncontent-length:"), "the GET has no end: {answer}");
    }
    assert!(server.rules.seen.lock().is_none());
}

#[tokio::test]
async fn a_stream_that_nobody_publishes_is_not_found() {
    let server = server().await;
    server.hub.configure(Settings {
        linger: Duration::from_millis(200),
        ..Settings::default()
    });
    let answer = server.ask("GET /live/x.flv").await;
    assert!(
        answer.starts_with("HTTP/1.1 404 ") && answer.contains("StreamNotFound"),
        "{answer}"
    );
    assert_eq!(server.rules.ended.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn hooks_see_what_srs_would_tell_them() {
    let server = server().await;
    let _publisher = live(&server, "studio.example").await;
    let head = "GET /live/x.flv?vhost=studio.example&k=v HTTP/1.1\r\nHost: h:1\r\nReferer: http://page/\r\n\r\n";
    let _socket = server.open(head).await;
    server.until_viewers(1).await;
    let session = server.rules.seen.lock().clone().unwrap();
    let c = &session.connection;
    assert_eq!(
        (c.tc_url.as_str(), c.page_url.as_str()),
        ("rtmp://studio.example/live", "http://page/")
    );
    assert_eq!(
        (c.vhost.as_str(), c.app.as_str(), c.stream.as_str()),
        ("studio.example", "live", "x")
    );
    assert_eq!(session.param, "?vhost=studio.example&k=v");
}

#[tokio::test]
async fn a_viewer_that_leaves_a_silent_stream_ends_at_once() {
    let server = server().await;
    let _publisher = live(&server, "__defaultVhost__").await;
    let mut socket = server.open(GET).await;
    let mut head = [0; 16];
    socket.read_exact(&mut head).await.unwrap();
    server.until_viewers(1).await;
    let left = Instant::now();
    drop(socket);
    server.until_viewers(0).await;
    assert!(left.elapsed() < Duration::from_millis(500));
    assert_eq!(server.rules.ended.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_viewer_that_leaves_while_it_waits_for_the_stream_ends_at_once() {
    let server = server().await;
    let socket = server.open(GET).await;
    server.until_viewers(1).await;
    let left = Instant::now();
    drop(socket);
    server.until_viewers(0).await;
    assert!(left.elapsed() < Duration::from_millis(500));
}

#[tokio::test]
async fn a_kick_and_a_shutdown_end_the_body_cleanly() {
    let server = server().await;
    let _publisher = live(&server, "__defaultVhost__").await;
    let (mut a, mut b) = (server.open(GET).await, server.open(GET).await);
    let mut first = [0; 17];
    for socket in [&mut a, &mut b] {
        socket.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200 OK\r\n");
    }
    let id = server.rules.seen.lock().clone().unwrap().id;
    assert!(server.hub.kick(id, EndReason::Kicked));
    server.until_viewers(1).await;
    server.shutdown.cancel();
    for socket in [&mut a, &mut b] {
        let mut body = Vec::new();
        socket.read_to_end(&mut body).await.unwrap();
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("\r\n\r\nd\r\nFLV\u{1}"), "{text}");
        assert!(text.ends_with("\r\n0\r\n\r\n"), "the body is whole: {text}");
    }
    tokio::time::timeout(Duration::from_secs(5), server.served)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(server.rules.ended.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_viewer_that_does_not_read_is_cut_and_nobody_else_notices() {
    let server = server().await;
    server.hub.configure(Settings {
        stall_max: Duration::from_millis(300),
        ..Settings::default()
    });
    let mut publisher = live(&server, "__defaultVhost__").await;
    let _stuck = server.open(GET).await;
    let mut good = server.open(GET).await;
    server.until_viewers(2).await;
    let reading = tokio::spawn(async move {
        let mut body = Vec::new();
        good.read_to_end(&mut body).await.unwrap();
        body.len()
    });
    for n in 0..100 {
        sound(&mut publisher, n * 10, 200_000);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.until_viewers(1).await;
    drop(publisher);
    server.hub.end_all(EndReason::Shutdown);
    assert!(reading.await.unwrap() > 100 * 200_000);
}

#[tokio::test]
async fn a_head_that_is_slow_or_too_long_is_cut() {
    let server = server().await;
    let mut slow = server.open("GET /live/x.flv HTTP/1.1\r\nHost:").await;
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(3), slow.read_to_end(&mut answer))
        .await
        .expect("the connection is closed")
        .unwrap();
    let mut long = server.open("GET /live/x.flv HTTP/1.1\r\nX: ").await;
    let _ = long.write_all(&vec![b'x'; 100_000]).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(3), long.read_to_end(&mut answer))
        .await
        .expect("the connection is closed");
    assert!(!String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request_until_it_becomes_a_viewers() {
    let server = server().await;
    let _publisher = live(&server, "__defaultVhost__").await;
    let mut socket = server.open("OPTIONS /live/x.flv HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut answer = [0; 2048];
    let read = socket.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 204"));
    socket.write_all(GET.as_bytes()).await.unwrap();
    let mut head = [0; 17];
    socket.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK\r\n");
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_the_file_as_it_is() {
    let server = server().await;
    let publisher = live(&server, "__defaultVhost__").await;
    let mut socket = server.open("GET /live/x.flv HTTP/1.0\r\n\r\n").await;
    server.until_viewers(1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(publisher);
    server.hub.end_all(EndReason::Shutdown);
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let body = answer
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .map(|at| answer[at + 4..].to_vec())
        .unwrap();
    assert_eq!(headgate_flv::TagReader::new(body.into()).unwrap().flatten().count(), 1);
}

#[tokio::test]
async fn a_connection_without_a_next_request_is_closed() {
    let server = server().await;
    let mut socket = server.open("OPTIONS /live/x.flv HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(3), socket.read_to_end(&mut answer)).await;
    assert!(closed.is_ok(), "the connection is closed");
}

/// Pictures in a codec that MPEG-TS has no place for.
async fn pictures(publisher: &mut Publisher, from: i64, count: i64) {
    let track = Track::plain(
        TrackId::VIDEO,
        Codec::Vp9,
        Bytes::from_static(&[1, 0, 0, 0, 0, 20, 0x82, 2, 2, 2, 0, 0]),
    );
    publisher.track(track);
    for n in from..from + count {
        let dts = Timestamp::from_millis(n * 40);
        publisher.frame(Frame {
            track: TrackId::VIDEO,
            kind: TrackKind::Video,
            dts,
            pts: dts,
            key: n % 25 == 0,
            payload: Bytes::from_static(&[1; 50]),
        });
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

#[tokio::test]
async fn a_format_that_carries_nothing_of_the_stream_is_refused_with_what_it_is_coded_in() {
    let server = server().await;
    let mut publisher = server.publisher("__defaultVhost__", "x").await;
    // One who waits for it already, one who comes later.
    for path in ["/live/x.ts", "/live/x/hls.m3u8"] {
        let head = format!("GET {path}");
        let (early, ()) = tokio::join!(server.ask(&head), pictures(&mut publisher, 0, 100));
        let late = server.ask(&head).await;
        for answer in [early, late] {
            assert!(answer.starts_with("HTTP/1.1 406 "), "{path}: {answer}");
            assert!(answer.contains("\"reason\":\"CodecsNotCarried\""), "{path}: {answer}");
        }
        publisher = server.publisher_again(publisher, "__defaultVhost__", "x").await;
    }
    let (answer, ()) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(1), server.ask("GET /live/x.flv")),
        pictures(&mut publisher, 0, 50)
    );
    assert!(answer.is_err(), "what carries it goes on");
}
