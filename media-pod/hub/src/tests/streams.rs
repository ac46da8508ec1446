//! What the gate hears of streams: that they can be played, and that somebody waits for one.

use super::support::*;
use crate::*;
use bytes::Bytes;
use headgate_codec::{Frame, Timestamp, Track};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn notes(w: &World) -> Vec<String> {
    std::mem::take(&mut w.diary.notes.lock())
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_playable_with_its_first_picture_and_once() {
    let w = world();
    let mut publisher = publish(&w.hub, "x", "").await.unwrap();
    publisher.track(audio_track());
    send(&mut publisher, "a0 a20");
    assert!(notes(&w).is_empty(), "pictures may still come");
    publisher.track(video_track());
    send(&mut publisher, "v0 a40 V80");
    assert_eq!(notes(&w), ["playable live/x 2"]);
    send(&mut publisher, "V120 V160");
    publisher.finish(EndReason::Unpublished);
    let mut again = publish(&w.hub, "x", "").await.unwrap();
    again.track(video_track());
    send(&mut again, "V0");
    assert_eq!(notes(&w), ["playable live/x 1"]);
    drop(again);
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn sound_alone_is_playable_after_a_second_of_it() {
    let w = world();
    let mut publisher = publish(&w.hub, "x", "").await.unwrap();
    publisher.track(audio_track());
    send(&mut publisher, "a0 a500 a990");
    assert!(notes(&w).is_empty());
    send(&mut publisher, "a1000 a2000 a3000");
    assert_eq!(notes(&w), ["playable live/x 1"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_publisher_sends_behind_its_end_makes_nothing_playable() {
    let w = world();
    let mut publisher = publish(&w.hub, "x", "").await.unwrap();
    publisher.track(video_track());
    w.hub.end_all(EndReason::Kicked);
    send(&mut publisher, "V0 V40");
    assert!(notes(&w).is_empty());
    drop(publisher);
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn a_missing_stream_is_asked_about_once_for_all_who_wait() {
    let w = world();
    let first = play(&w.hub, "x", "").await.unwrap();
    let second = play(&w.hub, "x", "").await.unwrap();
    millis(1).await;
    assert_eq!(notes(&w), ["missing live/x"]);
    let publisher = publish(&w.hub, "x", "").await.unwrap();
    let third = play(&w.hub, "x", "").await.unwrap();
    millis(1).await;
    assert!(notes(&w).is_empty(), "it is there");
    drop(publisher);
    let fourth = play(&w.hub, "x", "").await.unwrap();
    millis(1).await;
    assert_eq!(notes(&w), ["missing live/x"], "it was there and is gone");
    drop((first, second, third, fourth));
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_sent_away_at_once_when_the_gate_says_so() {
    let w = world();
    let mut first = play(&w.hub, "x", "?away&slow=100").await.unwrap();
    let mut second = play(&w.hub, "x", "").await.unwrap();
    let started = tokio::time::Instant::now();
    assert_eq!(read(&mut first).await, Err(EndReason::StreamNotFound));
    assert_eq!(read(&mut second).await, Err(EndReason::StreamNotFound));
    assert!(started.elapsed() < Duration::from_millis(200));
    drop((first, second));
    w.hub.idle().await;
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_came_meanwhile_keeps_them() {
    let w = world();
    let mut viewer = play(&w.hub, "x", "?away&slow=100").await.unwrap();
    let mut publisher = publish(&w.hub, "x", "").await.unwrap();
    publisher.track(video_track());
    millis(500).await;
    send(&mut publisher, "V0");
    assert_eq!(read(&mut viewer).await.unwrap(), "start(1 at 0) V0");
}

/// Hears of the end of publishers.
#[derive(Default)]
struct Paused(AtomicUsize);

impl Format for Paused {
    fn id(&self) -> FormatId {
        FormatId("paused")
    }

    fn pause(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn start(&self, _: &Start<'_>) -> Bytes {
        Bytes::new()
    }

    fn config(&self, _: &Track, _: Timestamp) -> Bytes {
        Bytes::new()
    }

    fn frame(&self, _: &Track, _: &Frame) -> Packet {
        Packet::default()
    }
}

#[tokio::test(start_paused = true)]
async fn who_only_looks_on_is_no_player_and_hears_when_the_publisher_has_gone() {
    let w = world();
    let format = Arc::new(Paused::default());
    let shared: Arc<dyn Format> = format.clone();
    assert!(w.hub.look_on(&name("x"), &shared).is_none(), "nobody is there");
    let publisher = publish(&w.hub, "x", "").await.unwrap();
    let tap = w.hub.look_on(&name("x"), &shared).unwrap();
    let is_taken = || w.hub.snapshot()[0].taken;
    assert!(!is_taken() && !tap.is_over());
    let viewer = w.hub.tap(&name("x"), &shared).unwrap();
    assert!(is_taken(), "another one takes it");
    drop(viewer);
    assert!(!is_taken());
    drop(publisher);
    assert!(tap.is_over());
    assert_eq!(format.0.load(Ordering::Relaxed), 1);
    drop(tap);
    w.assert_nothing_is_left();
}
