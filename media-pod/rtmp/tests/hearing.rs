//! Publishers that are read now and then.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail by panic"
)]

mod support;

use bytes::Bytes;
use headgate_hub::Settings;
use headgate_rtmp::client::Purpose;
use headgate_rtmp::serve::Options;
use std::time::{Duration, Instant};
use support::{Peer, SEQUENCE_HEADER, Server, frame, video_of};
use tokio::time::sleep;

/// What is sent every 10 ms.
const FRAMES: u32 = 40;

/// A server whose publishers are read about three times a second, where nobody watches.
async fn server() -> Server {
    let server = Server::start(Options::default()).await;
    server.hub.configure(Settings {
        merge_window: Duration::from_secs(1),
        ..Settings::default()
    });
    server
}

async fn publisher(server: &Server) -> Peer {
    let mut publisher = Peer::started(server, Purpose::Publish, "alice").await;
    publisher.session.video(0, Bytes::from_static(SEQUENCE_HEADER));
    publisher.send().await;
    publisher
}

/// Sends a key frame and what follows it, and calls `meanwhile` after each.
async fn send(publisher: &mut Peer, mut meanwhile: impl FnMut()) {
    for n in 0..FRAMES {
        publisher.session.video(n * 10, frame(n == 0, 1000));
        publisher.send().await;
        meanwhile();
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_nobody_watches_is_taken_in_now_and_then() {
    let server = server().await;
    let (mut publisher, mut seen) = (publisher(&server).await, Vec::new());
    send(&mut publisher, || {
        seen.push(server.ingested());
    })
    .await;
    seen.dedup();
    assert!(seen.len() < 10, "{FRAMES} frames came in so many steps: {seen:?}");
    server
        .until("all of it is in", |s| s.ingested() >= f64::from(FRAMES) * 995.0)
        .await;
}

#[tokio::test]
async fn the_end_of_a_publisher_that_is_not_being_read_is_heard_at_once() {
    let server = server().await;
    // How much is left of the time in which it is not read is chance.
    for _ in 0..6 {
        let mut publisher = publisher(&server).await;
        send(&mut publisher, || ()).await;
        drop(publisher);
        let ended = Instant::now();
        server.until("its session is over", |s| s.publishers().is_empty()).await;
        assert!(ended.elapsed() < Duration::from_millis(150), "{:?}", ended.elapsed());
    }
}

#[tokio::test]
async fn who_comes_while_a_publisher_is_not_being_read_misses_nothing() {
    let server = server().await;
    let mut publisher = publisher(&server).await;
    send(&mut publisher, || ()).await;
    let mut player = Peer::started(&server, Purpose::Play, "alice").await;
    let mut times = Vec::new();
    while times.len() < FRAMES as usize {
        let (time, body) = player.next_of(video_of).await;
        if body.len() >= 1000 {
            times.push(time);
        }
    }
    assert_eq!(times, (0..FRAMES).map(|n| n * 10).collect::<Vec<_>>());
}
