//! What clients really write, as it comes to back ends: other letters, escapes, long queries, IPv6; and a stream that is given another name.

use crate::back_end::{BackEnd, text};
use crate::client::RtmpClient;
use crate::place::{Place, hook, key, manifest};
use axum::http::StatusCode;
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

const KEY: &str = "s3cr3t-of-alice";

#[tokio::test]
async fn names_and_queries_of_any_letters_come_as_they_were_meant() {
    let back_end = BackEnd::start().await;
    let place = Place::start(&[("key", key("alice", KEY)), ("hook", hook("backend", &back_end.url))]).await;
    let long = "x".repeat(4000);
    let query = format!("token=a%20b+c%2B&bad=%E6&empty=&flag&twice=1&twice=2&long={long}");
    let socket = TcpStream::connect(("::1", place.rtmp)).await.unwrap();
    let stream = format!("直播%20\"é?secret={KEY}&{query}");
    // A space is no part of a name, whichever way it is written.
    assert!(RtmpClient::publish_over(socket, &stream).await.is_err());
    let socket = TcpStream::connect(("::1", place.rtmp)).await.unwrap();
    let stream = format!("直播-\"%C3%A9?secret={KEY}&{query}");
    let publisher = RtmpClient::publish_over(socket, &stream).await.unwrap();
    publisher.unpublish().await;
    back_end.hears("on_unpublish 直播-\"é").await;
    let calls = back_end.calls();
    for action in ["on_connect", "on_publish", "on_unpublish"] {
        let call = calls.iter().find(|call| text(call, "action") == action).unwrap();
        assert_eq!(text(call, "ip"), "::1", "{action}");
        assert_eq!(text(call, "stream"), "直播-\"é", "{action}");
        assert_eq!(text(call, "param"), format!("?{query}"), "{action}");
    }
    let published = calls.iter().find(|call| text(call, "action") == "on_publish").unwrap();
    assert_eq!(text(published, "stream_url"), "/live/直播-\"é");
}

/// What ZLMediaKit's back end is told of, as one word and the name of the stream.
fn word(call: &Value) -> String {
    let has = |key: &str| call.get(key).is_some();
    let what = match () {
        () if call["regist"] == true => "there",
        () if call["regist"] == false => "gone",
        () if has("player") => "flow",
        () if has("originType") => "publish",
        () if has("file_name") => "segment",
        () => "other",
    };
    format!("{what} {}", text(call, "stream"))
}

#[tokio::test]
async fn a_stream_that_is_given_another_name_has_it_for_all_but_its_publisher() {
    let zlm = BackEnd::start().await;
    zlm.answer(StatusCode::OK, r#"{"code":0,"stream_replace":"room"}"#);
    let srs = BackEnd::start().await;
    let spec = format!(
        "serverRefs: [{{name: live}}], dialect: ZLMediaKit, urls: ['{}'], events: [Publish, StreamChanged, FlowReport, RecordTs]",
        zlm.url
    );
    let place = Place::start(&[
        ("key", key("alice", KEY)),
        ("zlm", manifest("HookEndpoint", "zlm", &spec)),
        ("srs", hook("srs", &srs.url)),
    ])
    .await;
    let mut publisher = RtmpClient::publish(place.rtmp, &format!("secret-name?secret={KEY}"))
        .await
        .unwrap();
    let url = format!("http://127.0.0.1:{}/live/room.flv", place.http);
    let playing = tokio::spawn(reqwest::get(url));
    let start = Instant::now();
    let told = |wanted: &str| zlm.calls().iter().filter(|call| word(call) == wanted).count();
    while told("there room") < 4 || told("segment room") < 1 || !playing.is_finished() {
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", zlm.calls());
        publisher.send_audio().await;
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    assert_eq!(playing.await.unwrap().unwrap().status(), 200);
    let streams: Vec<String> = place
        .pod
        .report()
        .streams
        .iter()
        .map(|stream| stream.stream.clone())
        .collect();
    assert_eq!(streams, ["room"]);
    publisher.unpublish().await;
    srs.hears("on_unpublish secret-name").await;
    while told("gone room") < 4 || told("flow secret-name") < 1 {
        assert!(start.elapsed() < Duration::from_secs(25), "{:?}", zlm.calls());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let names: Vec<String> = zlm.calls().iter().map(word).collect();
    assert_eq!(
        names.iter().filter(|name| name.ends_with("secret-name")).count(),
        2,
        "{names:?}"
    );
    assert!(
        srs.heard()
            .iter()
            .all(|line| !line.ends_with("room") || line.starts_with("on_play") || line.starts_with("on_stop"))
    );
}
