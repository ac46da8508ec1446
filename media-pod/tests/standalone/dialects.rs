//! What a back end of ZLMediaKit hears of a real publisher and a player that came for nothing.

use crate::back_end::{BackEnd, text};
use crate::client::RtmpClient;
use crate::place::{Place, key, manifest};
use serde_json::Value;
use std::time::{Duration, Instant};

/// One word for each kind of body, which does not name itself.
fn word(body: &Value) -> String {
    let has = |key: &str| body.get(key).is_some();
    let what = match () {
        () if has("general.mediaServerId") => "started",
        () if body["regist"] == true => "registered",
        () if body["regist"] == false => "gone",
        () if has("player") => "flow",
        () if has("originType") => "publish",
        () if has("data") => "alive",
        () if text(body, "protocol") == "rtmp" => "play or not found",
        () => "exited",
    };
    format!("{what} {}", text(body, "schema")).trim_end().to_owned()
}

fn words(back_end: &BackEnd) -> Vec<String> {
    back_end
        .calls()
        .iter()
        .map(word)
        .filter(|word| word != "alive")
        .collect()
}

async fn heard(back_end: &BackEnd, count: usize) -> Vec<String> {
    let start = Instant::now();
    while words(back_end).len() < count && start.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    words(back_end)
}

#[tokio::test]
async fn zlmediakit_hears_of_the_server_of_streams_and_of_what_they_carried() {
    let back_end = BackEnd::start().await;
    let spec = format!(
        "serverRefs: [{{name: live}}], dialect: ZLMediaKit, urls: ['{}']",
        back_end.url
    );
    let place = Place::start(&[
        ("key", key("alice", "s3cr3t-of-alice")),
        ("hook", manifest("HookEndpoint", "zlm", &spec)),
    ])
    .await;
    assert_eq!(heard(&back_end, 1).await, ["started"]);
    assert_eq!(back_end.calls()[0]["rtmp.port"], place.rtmp.to_string());

    let player = RtmpClient::play(place.rtmp, "test").await.unwrap();
    assert_eq!(
        heard(&back_end, 3).await[1..],
        ["play or not found rtmp", "play or not found rtmp"]
    );
    drop(player);
    assert_eq!(heard(&back_end, 4).await[3..], ["flow rtmp"]);

    let mut publisher = RtmpClient::publish(place.rtmp, "test?secret=s3cr3t-of-alice&token=mine")
        .await
        .unwrap();
    for _ in 0..50 {
        publisher.send_audio().await;
    }
    let came = [
        "publish rtmp",
        "registered rtmp",
        "registered ts",
        "registered fmp4",
        "registered hls",
    ];
    assert_eq!(heard(&back_end, 9).await[4..], came);
    publisher.unpublish().await;
    let went = ["flow rtmp", "gone rtmp", "gone ts", "gone fmp4", "gone hls"];
    assert_eq!(heard(&back_end, 14).await[9..], went);

    let calls = back_end.calls();
    let flow = calls.iter().rfind(|call| word(call) == "flow rtmp").unwrap();
    assert_eq!(
        (&flow["player"], flow["totalBytes"].as_u64() > Some(0)),
        (&false.into(), true)
    );
    assert!(
        calls.iter().all(|call| !call.to_string().contains("s3cr3t")),
        "{calls:?}"
    );
    assert_eq!(text(&calls[4], "params"), "token=mine");
}

#[tokio::test]
async fn a_player_that_waits_for_nothing_is_sent_away_when_the_back_end_says_so() {
    let back_end = BackEnd::start().await;
    back_end.answer(axum::http::StatusCode::OK, r#"{"code":0,"close":true}"#);
    let spec = format!(
        "serverRefs: [{{name: live}}], dialect: ZLMediaKit, urls: ['{}'], events: [StreamNotFound]",
        back_end.url
    );
    let place = Place::start(&[("hook", manifest("HookEndpoint", "zlm", &spec))]).await;
    let start = Instant::now();
    let mut player = RtmpClient::play(place.rtmp, "nowhere").await.unwrap();
    while player.event().await.is_some() {}
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(back_end.calls().len(), 1);
}
