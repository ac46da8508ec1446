//! A viewer that is sent elsewhere.

use crate::support::*;
use bytes::Bytes;
use headgate_codec::{Codec, Frame, Timestamp, Track, TrackId, TrackKind};
use headgate_hub::{EndReason, SessionKind};
use std::time::Duration;
use tokio::io::AsyncReadExt;

fn picture(n: i64) -> Frame {
    let dts = Timestamp::from_millis(n * 40);
    Frame {
        track: TrackId::VIDEO,
        kind: TrackKind::Video,
        dts,
        pts: dts,
        key: true,
        payload: vec![7; 200_000].into(),
    }
}

/// A body that ends in the middle of a chunk is a broken one, and players say so.
#[tokio::test]
async fn in_the_middle_of_a_write_it_still_gets_a_whole_body() {
    let server = server().await;
    let mut publisher = server.publisher("__defaultVhost__", "x").await;
    publisher.track(Track::plain(TrackId::VIDEO, Codec::Vp9, Bytes::from_static(b"vp9")));
    let mut viewer = server.open("GET /live/x.flv HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.until_viewers(1).await;
    (0..50).for_each(|n| publisher.frame(picture(n)));
    // By now more waits for the viewer than its socket holds.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let sessions = server.hub.sessions();
    let session = sessions.iter().find(|s| s.kind == SessionKind::Play).unwrap();
    assert!(server.hub.kick(session.id, EndReason::Draining));
    let mut answer = Vec::new();
    let read = viewer.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(5), read)
        .await
        .unwrap()
        .unwrap();
    assert!(answer.len() > 400_000, "{} bytes", answer.len());
    assert!(answer.ends_with(b"\r\n0\r\n\r\n"), "the body has its end");
}

#[tokio::test]
async fn before_there_is_anything_to_see_it_is_told_to_come_again_on_a_connection_of_its_own() {
    let server = server().await;
    let mut viewer = server.open("GET /live/x.flv HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.until_viewers(1).await;
    let session = server.hub.sessions()[0].id;
    assert!(server.hub.kick(session, EndReason::Draining));
    let mut answer = String::new();
    let read = viewer.read_to_string(&mut answer);
    tokio::time::timeout(Duration::from_secs(5), read)
        .await
        .unwrap()
        .unwrap();
    let answer = answer.to_ascii_lowercase();
    for wanted in ["http/1.1 503", "connection: close", "retry-after: 1", "\"draining\""] {
        assert!(answer.contains(wanted), "{wanted}: {answer}");
    }
}
