//! A pod on its way out, as a process: what publishers, viewers, newcomers and the back end see of SIGTERM.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    dead_code,
    reason = "a test may fail by panic, and shares what it does not use"
)]

#[path = "../standalone/back_end.rs"]
mod back_end;
#[path = "../standalone/client.rs"]
mod client;
mod process;

use back_end::BackEnd;
use client::RtmpClient;
use headgate_rtmp::client::Event;
use process::{Process, SOON};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const UNPUBLISHED: &str = "NetStream.Play.UnpublishNotify";
const RECONNECT: &str = "NetConnection.Connect.ReconnectRequest";

/// What a client hears until the server closes: statuses and refusals.
async fn last_words(mut client: RtmpClient) -> Vec<String> {
    let mut words = Vec::new();
    while let Some(event) = client.event().await {
        match event {
            Event::Status(code) | Event::Refused { code, .. } => words.push(code),
            _ => {}
        }
    }
    words
}

/// The next event of a publisher that sends meanwhile.
async fn event_of(publisher: &mut RtmpClient) -> Option<Event> {
    loop {
        publisher.send_audio().await;
        if let Ok(event) = tokio::time::timeout(Duration::from_millis(50), publisher.event()).await {
            return event;
        }
    }
}

/// Sends as an encoder does for a while; false when the server ends it.
async fn is_live_for(publisher: &mut RtmpClient, time: Duration) -> bool {
    let start = Instant::now();
    while start.elapsed() < time {
        if !publisher.is_live().await {
            return false;
        }
    }
    true
}

fn count(lines: &[String], wanted: &str) -> usize {
    lines.iter().filter(|line| line.starts_with(wanted)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_goes_on_after_sigterm_and_its_end_is_told_once() {
    let back_end = BackEnd::start().await;
    let pod = Process::standalone(&back_end.url).await;
    let mut publisher = RtmpClient::publish(pod.rtmp, "x").await.unwrap();
    let viewer = RtmpClient::play(pod.rtmp, "x").await.unwrap();
    pod.signal("TERM").await;
    pod.until_draining().await;
    assert!(is_live_for(&mut publisher, Duration::from_secs(3)).await);
    for refused in [
        RtmpClient::publish(pod.rtmp, "y").await,
        RtmpClient::play(pod.rtmp, "x").await,
    ] {
        let why = refused.err().unwrap();
        assert!(why.starts_with("Draining: "), "{why}");
    }
    let (status, close, body) = pod.get("/live/x.flv").await;
    assert_eq!((status, close.as_deref()), (503, Some("close")), "{body}");
    assert!(body.contains("\"Draining\""), "{body}");
    publisher.unpublish().await;
    // There is no other pod, so this viewer stayed to the end.
    assert_eq!(count(&last_words(viewer).await, UNPUBLISHED), 1);
    let log = pod.ends(SOON).await;
    let heard = back_end.heard();
    let told = ["on_publish x", "on_unpublish x", "on_play x", "on_stop x"].map(|line| count(&heard, line));
    assert_eq!(told, [1; 4], "{heard:?}\n{log}");
    assert_eq!(count(&heard, "on_connect"), count(&heard, "on_close"), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_leave_one_after_the_other_and_the_publisher_does_not_notice() {
    let pod = Process::one_of_two(8).await;
    let mut publisher = RtmpClient::publish(pod.rtmp, "x").await.unwrap();
    let (mut rtmp, mut http) = (JoinSet::new(), JoinSet::new());
    for reconnects in [false, true, true] {
        let viewer = RtmpClient::play_with(pod.rtmp, "x", reconnects).await.unwrap();
        rtmp.spawn(async move { (reconnects, last_words(viewer).await, Instant::now()) });
    }
    for _ in 0..3 {
        let url = format!("http://127.0.0.1:{}/live/x.flv", pod.http);
        let answer = reqwest::get(url).await.unwrap();
        assert_eq!(answer.status(), 200);
        http.spawn(async move { (answer.bytes().await.map(|b| b.len()), Instant::now()) });
    }
    let start = Instant::now();
    pod.signal("TERM").await;
    assert!(is_live_for(&mut publisher, Duration::from_millis(6_500)).await);
    let mut ends = Vec::new();
    while let Some(ended) = rtmp.try_join_next() {
        let (reconnects, words, at) = ended.unwrap();
        assert_eq!(
            (count(&words, UNPUBLISHED), count(&words, RECONNECT)),
            (1, usize::from(reconnects)),
            "{words:?}"
        );
        ends.push(at - start);
    }
    while let Some(ended) = http.try_join_next() {
        let (body, at) = ended.unwrap();
        assert!(body.unwrap() > 13, "a whole body with media in it");
        ends.push(at - start);
    }
    ends.sort();
    assert_eq!(ends.len(), 6, "all have left: {ends:?}");
    assert!(
        ends[0] >= Duration::from_secs(2),
        "the Service leads elsewhere first: {ends:?}"
    );
    assert!(
        ends[5] > ends[0] + Duration::from_millis(200),
        "not all at once: {ends:?}"
    );
    publisher.unpublish().await;
    pod.ends(SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_cuts_a_publisher_that_was_asked_to_come_back_elsewhere_before() {
    let pod = Process::one_of_two(4).await;
    let start = Instant::now();
    let mut publisher = RtmpClient::publish_with(pod.rtmp, "x", true).await.unwrap();
    pod.signal("TERM").await;
    let mut words = Vec::new();
    while let Some(event) = event_of(&mut publisher).await {
        if let Event::Status(code) | Event::Refused { code, .. } = event {
            words.push((code, start.elapsed().as_secs()));
        }
    }
    assert_eq!(words[0].0, RECONNECT, "{words:?}");
    assert_eq!(words[1].0, "NetStream.Publish.Denied", "{words:?}");
    assert!((4..=5).contains(&words[1].1) && words[0].1 < words[1].1, "{words:?}");
    pod.ends(SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sigterm_and_a_sigint_wait_for_nobody() {
    for signals in [&["TERM", "TERM"][..], &["INT"]] {
        let back_end = BackEnd::start().await;
        let pod = Process::standalone(&back_end.url).await;
        let publisher = RtmpClient::publish(pod.rtmp, "x").await.unwrap();
        for signal in signals {
            pod.signal(signal).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        assert_eq!(last_words(publisher).await, ["NetStream.Publish.Denied"]);
        pod.ends(SOON).await;
        assert_eq!(count(&back_end.heard(), "on_unpublish"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_killed_tells_the_ends_of_its_sessions_once_when_it_is_back() {
    let back_end = BackEnd::start().await;
    let mut pod = Process::standalone(&back_end.url).await;
    let _publisher = RtmpClient::publish(pod.rtmp, "x").await.unwrap();
    let _viewer = RtmpClient::play(pod.rtmp, "x").await.unwrap();
    pod.kill_and_start_again().await;
    let start = Instant::now();
    while count(&back_end.heard(), "on_close") < 2 {
        assert!(start.elapsed() < SOON, "{:?}", back_end.heard());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What was taken is noted a moment later; killed before that, it would be told again under its id.
    tokio::time::sleep(Duration::from_secs(1)).await;
    pod.kill_and_start_again().await;
    pod.signal("TERM").await;
    pod.ends(SOON).await;
    let heard = back_end.heard();
    let told = [
        "on_connect",
        "on_publish x",
        "on_play x",
        "on_unpublish x",
        "on_stop x",
        "on_close",
    ];
    assert_eq!(told.map(|line| count(&heard, line)), [2, 1, 1, 1, 1, 2], "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_that_cannot_be_used_is_said_at_the_start() {
    let log = Process::without_state().await;
    assert!(log.contains("cannot keep state in") && log.contains("--state"), "{log}");
}
