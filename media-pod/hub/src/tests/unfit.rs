//! Viewers whose format carries nothing of the stream are told, and do not wait.

use super::pass::Pipe;
use super::support::*;
use crate::*;
use bytes::Bytes;
use headgate_codec::{Frame, Timestamp, Track, TrackKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Carries sound alone.
struct Blind;

impl Format for Blind {
    fn id(&self) -> FormatId {
        FormatId("blind")
    }

    fn carries(&self, track: &Track) -> bool {
        track.kind() == TrackKind::Audio
    }

    fn start(&self, _: &Start<'_>) -> Bytes {
        Bytes::from_static(b"start ")
    }

    fn config(&self, _: &Track, _: Timestamp) -> Bytes {
        Bytes::new()
    }

    fn frame(&self, track: &Track, frame: &Frame) -> Packet {
        if self.carries(track) {
            Bytes::from(format!("a{} ", frame.dts.as_millis())).into()
        } else {
            Packet::default()
        }
    }
}

async fn listen(w: &World) -> Result<Player, Refusal> {
    let client = w.hub.open(connection(""));
    client.play(name("x"), String::new(), Arc::new(Blind)).await
}

/// Pictures alone, twenty-five a second, for so many seconds.
async fn pictures(publisher: &mut Publisher, from: i64, seconds: i64) {
    publisher.track(video_track());
    for n in 0..seconds * 25 {
        let word = if n % 25 == 0 { "V" } else { "v" };
        publisher.frame(frame(word, from + n * 40, 100));
        millis(40).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_to_a_stream_of_pictures_alone_is_refused_before_any_back_end_is_asked() {
    let w = world();
    let mut publisher = publish(&w.hub, "x", "").await.unwrap();
    pictures(&mut publisher, 0, 4).await;
    w.diary.take();
    let refusal = listen(&w).await.err().unwrap();
    assert_eq!(refusal.reason, Reason::CodecsNotCarried);
    assert_eq!(refusal.message, "RTMP carries none of the codecs of this stream: VP9");
    assert_eq!(w.diary.take(), Vec::<String>::new());
    drop(publisher);
    w.hub.idle().await;
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn who_waited_for_the_stream_is_told_when_no_sound_comes_with_it() {
    let w = world();
    let mut waiting = listen(&w).await.unwrap();
    let seated = listen(&w)
        .await
        .unwrap()
        .seat(Pipe::with_room(1000), Vec::new(), Duration::MAX);
    millis(2_000).await;
    let mut publisher = publish(&w.hub, "x", "").await.unwrap();
    let came = Instant::now();
    let told = async {
        let told = (waiting.begun().await, seated.over().await);
        (told, came.elapsed())
    };
    let ((begun, over), took) = tokio::select! {
        told = told => told,
        () = pictures(&mut publisher, 0, 20) => panic!("nobody was told"),
    };
    assert_eq!(
        (begun, over),
        (Err(EndReason::CodecsNotCarried), EndReason::CodecsNotCarried)
    );
    assert!((3_000..3_700).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn sound_that_comes_a_little_later_is_waited_for() {
    let w = world();
    let mut player = listen(&w).await.unwrap();
    let mut publisher = publish(&w.hub, "x", "").await.unwrap();
    pictures(&mut publisher, 0, 2).await;
    publisher.track(audio_track());
    send(&mut publisher, "V2000 a2010");
    assert!(read(&mut player).await.unwrap().contains("a2010"));
    pictures(&mut publisher, 2_040, 10).await;
    drop(publisher);
    assert_eq!(read(&mut player).await, Err(EndReason::StreamEnded));
}

#[tokio::test(start_paused = true)]
async fn who_had_sound_until_another_publisher_came_without_it_is_told() {
    let w = world();
    let mut publisher = publish(&w.hub, "x", "").await.unwrap();
    publisher.track(audio_track());
    send(&mut publisher, "a0 a20");
    let seated = listen(&w)
        .await
        .unwrap()
        .seat(Pipe::with_room(1000), Vec::new(), Duration::MAX);
    millis(100).await;
    drop(publisher);
    let mut publisher = publish(&w.hub, "x", "").await.unwrap();
    let over = tokio::select! {
        over = seated.over() => over,
        () = pictures(&mut publisher, 0, 20) => panic!("nobody was told"),
    };
    assert_eq!(over, EndReason::CodecsNotCarried);
}
