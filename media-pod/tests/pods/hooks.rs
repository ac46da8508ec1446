//! Hooks fire where the session is, and tell of one stream.

use crate::back_end::{BackEnd, text};
use crate::client::RtmpClient;
use crate::place::Server;
use crate::watch::{Viewer, announce, pictures};
use axum::http::StatusCode;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Two pods that ask and tell one back end, each below a path of its own.
async fn two(dialect: &str, events: &[&str]) -> (Server, BackEnd) {
    let (server, back_end) = (Server::start(2, "Reject").await, BackEnd::start().await);
    for pod in &server.0 {
        pod.hook_of(dialect, events, &back_end.url);
        pod.pod.watch();
    }
    (server, back_end)
}

/// Waits until it is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(10), "not {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewers_hooks_fire_in_its_own_pod_with_the_origins_stream() {
    let (server, back_end) = two("SRS", &["Publish", "Unpublish", "Play", "Stop"]).await;
    let pods = &server.0;
    let mut sender = RtmpClient::publish(pods[0].rtmp, "cam").await.unwrap();
    announce(&mut sender).await;
    pictures(&mut sender, 0, 3).await;
    let mut viewer = Viewer::rtmp(pods[1].rtmp, "cam").await;
    assert_eq!(viewer.numbers(3).await, [0, 1, 2]);
    drop(viewer);
    until("heard", || back_end.calls().len() >= 3).await;
    let events = |pod: usize| -> Vec<String> {
        let calls = back_end.calls_at(pods[pod].rtmp);
        calls.iter().map(|call| text(call, "action").to_owned()).collect()
    };
    assert_eq!(events(0), ["on_publish"]);
    assert_eq!(events(1), ["on_play", "on_stop"]);
    let calls = back_end.calls();
    assert!(
        calls.iter().all(|call| call["stream_id"] == calls[0]["stream_id"]),
        "{calls:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_is_told_once_by_the_publishers_pod_whoever_else_cuts_the_stream() {
    let (server, back_end) = two("SRS", &["Hls", "Unpublish"]).await;
    let pods = &server.0;
    let mut sender = RtmpClient::publish(pods[0].rtmp, "cam").await.unwrap();
    announce(&mut sender).await;
    pictures(&mut sender, 0, 1).await;
    // A viewer of the other pod, which has the stream from the first one and cuts it too.
    let url = format!("http://127.0.0.1:{}/live/cam.m3u8", pods[1].http);
    let watching = tokio::spawn(reqwest::get(url));
    let mut second = 0;
    let start = Instant::now();
    let told = || back_end.calls_at(pods[0].rtmp).len();
    while told() < 3 || !watching.is_finished() {
        assert!(start.elapsed() < Duration::from_secs(15), "nothing is cut");
        pictures(&mut sender, second * 25, 25).await;
        tokio::time::sleep(Duration::from_millis(60)).await;
        second += 1;
    }
    assert_eq!(watching.await.unwrap().unwrap().status(), 200);
    sender.unpublish().await;
    back_end.hears("on_unpublish cam").await;
    let calls = back_end.calls_at(pods[0].rtmp);
    let numbers: Vec<u64> = calls.iter().filter_map(|call| call["seq_no"].as_u64()).collect();
    assert!(numbers.windows(2).all(|two| two[0] + 1 == two[1]), "{numbers:?}");
    assert_eq!(numbers.len() + 1, calls.len());
    assert_eq!(text(calls.last().unwrap(), "action"), "on_unpublish");
    assert!(
        back_end.calls_at(pods[1].rtmp).is_empty(),
        "the edge tells of a stream that is not its own"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_stream_is_there_is_told_by_the_publishers_pod_and_that_it_is_missed_by_the_pod_where_it_is() {
    let (server, back_end) = two("ZLMediaKit", &["StreamChanged", "StreamNotFound", "FlowReport"]).await;
    let pods = &server.0;
    let here = |pod: usize, is: fn(&Value) -> bool| {
        let calls = back_end.calls_at(pods[pod].rtmp);
        calls.iter().filter(|call| is(call)).count()
    };
    let changed = |call: &Value| call.get("regist").is_some();
    let missed = |call: &Value| call.get("regist").is_none() && call.get("player").is_none();
    let early = RtmpClient::play(pods[1].rtmp, "cam").await.unwrap();
    until("missed", || here(1, missed) == 1).await;
    let mut sender = RtmpClient::publish(pods[0].rtmp, "cam").await.unwrap();
    announce(&mut sender).await;
    pictures(&mut sender, 0, 3).await;
    until("there", || here(0, changed) == 4).await;
    let mut late = Viewer::rtmp(pods[1].rtmp, "cam").await;
    assert_eq!(late.numbers(3).await, [0, 1, 2]);
    drop((early, late));
    sender.unpublish().await;
    until("gone", || here(0, changed) == 8).await;
    until("counted", || here(1, |call| call["player"] == true) == 2).await;
    assert_eq!((here(1, changed), here(0, missed), here(1, missed)), (0, 0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_ends_in_peace_hands_its_dead_letters_on() {
    let (server, back_end) = two("SRS", &["Publish", "Unpublish"]).await;
    let pods = &server.0;
    let mut sender = RtmpClient::publish(pods[0].rtmp, "cam").await.unwrap();
    announce(&mut sender).await;
    back_end.answer(StatusCode::BAD_REQUEST, "0");
    sender.unpublish().await;
    let letters = |pod: usize| pods[pod].metric("headgate_hook_deadletters");
    until("given up", || letters(0) >= 1.0).await;
    pods[0].pod.stop().await;
    assert_eq!((letters(0), letters(1)), (0.0, 1.0));
}
