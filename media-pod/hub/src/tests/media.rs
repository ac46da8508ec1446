//! What viewers get.

use super::support::*;
use crate::*;
use std::time::Duration;

async fn live(w: &World) -> Publisher {
    let mut publisher = publish(&w.hub, "x", "").await.unwrap();
    publisher.track(video_track());
    publisher.track(audio_track());
    publisher
}

#[tokio::test(start_paused = true)]
async fn a_viewer_starts_at_the_newest_key_frame_and_gets_all_from_there() {
    let w = world();
    let mut publisher = live(&w).await;
    send(&mut publisher, "V0 a10 v40 V80 a90");
    let mut viewer = play(&w.hub, "x", "").await.unwrap();
    assert_eq!(read(&mut viewer).await.unwrap(), "start(2 at 80) V80 a90");
    send(&mut publisher, "v120 V160");
    assert_eq!(read(&mut viewer).await.unwrap(), "v120 V160");
    let mut second = play(&w.hub, "x", "").await.unwrap();
    assert_eq!(read(&mut second).await.unwrap(), "start(2 at 160) V160");
    assert_eq!(w.hub.0.registry.lock().streams()[0].outputs(), 1, "made once for both");
    drop((viewer, second));
    assert_eq!(
        w.hub.0.registry.lock().streams()[0].outputs(),
        0,
        "gone with the last viewer"
    );
}

#[tokio::test(start_paused = true)]
async fn without_the_gop_cache_a_viewer_waits_for_the_next_key_frame() {
    let w = world();
    w.hub.configure(Settings {
        gop_cache: false,
        ..Settings::default()
    });
    let mut publisher = live(&w).await;
    let mut first = play(&w.hub, "x", "").await.unwrap();
    send(&mut publisher, "V0 v40");
    assert_eq!(read(&mut first).await.unwrap(), "start(2 at 0) V0 v40");
    let mut second = play(&w.hub, "x", "").await.unwrap();
    send(&mut publisher, "v80 V120");
    assert_eq!(read(&mut second).await.unwrap(), "start(2 at 120) V120");
}

#[tokio::test(start_paused = true)]
async fn who_waits_before_the_publisher_misses_nothing() {
    let w = world();
    let mut viewer = play(&w.hub, "x", "").await.unwrap();
    millis(9_000).await;
    let mut publisher = live(&w).await;
    send(&mut publisher, "v0 a0 v1 V10 a20 v50");
    assert_eq!(
        read(&mut viewer).await.unwrap(),
        "start(2 at 0) a0 V10 a20 v50",
        "but what cannot be decoded"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_comes_is_not_found_after_the_linger_time() {
    let w = world();
    let mut viewer = play(&w.hub, "x", "").await.unwrap();
    let started = tokio::time::Instant::now();
    assert_eq!(read(&mut viewer).await, Err(EndReason::StreamNotFound));
    assert_eq!(started.elapsed().as_secs(), 10);
    assert_eq!(w.diary.take(), ["Play live/x", "end Play live/x StreamNotFound"]);
    drop(viewer);
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn viewers_outlive_their_publisher_by_the_linger_time() {
    let w = world();
    let mut publisher = live(&w).await;
    send(&mut publisher, "V0 v40");
    let mut viewer = play(&w.hub, "x", "").await.unwrap();
    read(&mut viewer).await.unwrap();
    send(&mut publisher, "v80");
    drop(publisher);
    assert_eq!(read(&mut viewer).await.unwrap(), "v80");
    let mut late = play(&w.hub, "x", "").await.unwrap();
    millis(9_000).await;
    let mut publisher = live(&w).await;
    send(&mut publisher, "V5 v45");
    assert_eq!(read(&mut viewer).await.unwrap(), "resumed(2 at 5) V5 v45");
    assert_eq!(
        read(&mut late).await.unwrap(),
        "start(2 at 5) V5 v45",
        "nothing of the publisher before"
    );
    drop(publisher);
    assert_eq!(read(&mut viewer).await, Err(EndReason::StreamEnded));
}

#[tokio::test(start_paused = true)]
async fn sound_alone_starts_within_the_last_second() {
    let w = world();
    let mut publisher = publish(&w.hub, "x", "").await.unwrap();
    publisher.track(audio_track());
    for n in 0..50 {
        send(&mut publisher, &format!("a{}", n * 100));
    }
    let mut viewer = play(&w.hub, "x", "").await.unwrap();
    assert!(
        read(&mut viewer)
            .await
            .unwrap()
            .starts_with("start(1 at 4000) a4000 a4100")
    );
}

#[tokio::test(start_paused = true)]
async fn a_late_track_and_a_changed_one_come_in_their_place() {
    let w = world();
    let mut publisher = publish(&w.hub, "x", "").await.unwrap();
    publisher.track(video_track());
    send(&mut publisher, "V0 v40");
    let mut viewer = play(&w.hub, "x", "").await.unwrap();
    assert_eq!(read(&mut viewer).await.unwrap(), "start(1 at 0) V0 v40");
    publisher.track(audio_track());
    send(&mut publisher, "a60 v80");
    assert_eq!(read(&mut viewer).await.unwrap(), "config MP3 a60 v80");
    let mut second = play(&w.hub, "x", "").await.unwrap();
    assert_eq!(
        read(&mut second).await.unwrap(),
        "start(2 at 0) V0 v40 config MP3 a60 v80"
    );
    let changed = headgate_codec::Track {
        config: b"two"[..].into(),
        ..video_track()
    };
    publisher.track(changed);
    send(&mut publisher, "V120");
    assert_eq!(read(&mut viewer).await.unwrap(), "config VP9 V120");
}

#[tokio::test(start_paused = true)]
async fn a_slow_viewer_skips_to_the_newest_key_frame_and_is_counted() {
    let w = world();
    let mut publisher = live(&w).await;
    send(&mut publisher, "V0");
    let mut viewer = play(&w.hub, "x", "").await.unwrap();
    read(&mut viewer).await.unwrap();
    for n in 1..=100 {
        send(
            &mut publisher,
            &format!("{}{}", if n % 25 == 0 { "V" } else { "v" }, n * 100),
        );
        millis(100).await;
    }
    assert!(
        read(&mut viewer)
            .await
            .unwrap()
            .starts_with("resumed(2 at 10000) V10000")
    );
    assert!((w.metric("headgate_viewer_skips_total") - 1.0).abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_never_catches_up_is_cut() {
    let w = world();
    w.hub.configure(Settings {
        skips_max: 3,
        ..Settings::default()
    });
    let mut publisher = live(&w).await;
    send(&mut publisher, "V0");
    let mut viewer = play(&w.hub, "x", "").await.unwrap();
    let mut out = Vec::new();
    let mut ended = None;
    for n in 1..1000 {
        send(
            &mut publisher,
            &format!("V{} v{} v{}", n * 100, n * 100 + 30, n * 100 + 60),
        );
        millis(100).await;
        if n % 100 == 0 {
            ended = viewer.next(&mut out, 1).await.err();
            if ended.is_some() {
                break;
            }
        }
    }
    assert_eq!(ended, Some(EndReason::TooSlow));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_takes_too_long_ends_the_session() {
    let w = world();
    let viewer = play(&w.hub, "x", "").await.unwrap();
    assert_eq!(viewer.stalled().await, EndReason::TooSlow);
    assert_eq!(w.diary.take()[1], "end Play live/x TooSlow");
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_when_no_key_frame_comes_and_nobody_reads() {
    let w = world();
    let mut publisher = live(&w).await;
    send(&mut publisher, "V0");
    let mut viewer = play(&w.hub, "x", "").await.unwrap();
    for n in 0..30_000 {
        send(&mut publisher, &format!("v{n}"));
    }
    for n in 0..80 {
        publisher.frame(frame("v", 40_000 + n, 1 << 20));
    }
    let mut out = Vec::new();
    let waited = tokio::time::timeout(Duration::from_secs(1), viewer.next(&mut out, usize::MAX)).await;
    assert!(
        waited.is_err() && out.is_empty(),
        "its place is gone and there is no key frame to go on at"
    );
    send(&mut publisher, "V50000");
    assert_eq!(read(&mut viewer).await.unwrap(), "start(2 at 50000) V50000");
}

#[tokio::test(start_paused = true)]
async fn many_viewers_are_woken_once_a_window() {
    let w = world();
    let mut publisher = live(&w).await;
    send(&mut publisher, "V0");
    let mut viewers = Vec::new();
    for _ in 0..1_000 {
        viewers.push(play(&w.hub, "x", "").await.unwrap());
    }
    let mut viewer = viewers.pop().unwrap();
    let reading = tokio::spawn(async move {
        let mut out = Vec::new();
        let mut reads = 0_u32;
        while out.len() < 1 + 1 + 200 {
            viewer.next(&mut out, 1_000).await.unwrap();
            reads += 1;
        }
        (reads, out.len())
    });
    for n in 0..200 {
        millis(10).await;
        send(&mut publisher, &format!("v{}", n * 10));
    }
    let (reads, packets) = reading.await.unwrap();
    assert_eq!(packets, 202);
    assert!(
        (15..=25).contains(&reads),
        "{reads} reads in two seconds of a window of 100 ms"
    );
}
