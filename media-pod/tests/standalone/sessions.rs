//! Who is let in, who is not, and what the back end hears of it.

use crate::back_end::{BackEnd, text};
use crate::client::RtmpClient;
use crate::place::{Place, hook, key};
use axum::http::StatusCode;
use headgate_rtmp::client::Event;

async fn place(back_end: &BackEnd) -> Place {
    Place::start(&[
        ("key", key("alice", "s3cr3t-of-alice")),
        ("hook", hook("backend", &back_end.url)),
    ])
    .await
}

#[tokio::test]
async fn a_publisher_and_a_player_pass_and_the_back_end_hears_all_in_order() {
    let back_end = BackEnd::start().await;
    let place = place(&back_end).await;
    let mut publisher = RtmpClient::publish(place.rtmp, "test?secret=s3cr3t-of-alice&token=mine")
        .await
        .unwrap();
    let mut player = RtmpClient::play(place.rtmp, "test").await.unwrap();
    publisher.send_audio().await;
    while !matches!(player.event().await.expect("the player is cut"), Event::Audio { .. }) {}
    drop(player);
    back_end.hears("on_stop test").await;
    publisher.unpublish().await;
    back_end.hears("on_unpublish test").await;
    let heard = back_end.heard();
    let sessions: Vec<&str> = heard
        .iter()
        .map(String::as_str)
        .filter(|l| !l.starts_with("on_connect") && !l.starts_with("on_close"))
        .collect();
    assert_eq!(
        sessions,
        ["on_publish test", "on_play test", "on_stop test", "on_unpublish test"]
    );
    assert_eq!(heard[0], "on_connect test", "{heard:?}");
    let calls = back_end.calls();
    let of = |action: &str| calls.iter().find(|c| text(c, "action") == action).unwrap();
    assert_eq!(
        text(of("on_publish"), "client_id"),
        text(of("on_unpublish"), "client_id")
    );
    assert_eq!(text(of("on_publish"), "param"), "?token=mine");
    assert!(
        calls.iter().all(|call| !call.to_string().contains("s3cr3t")),
        "a hook holds the key: {calls:?}"
    );
}

#[tokio::test]
async fn a_wrong_key_is_refused_with_its_reason_and_nobody_is_asked() {
    let back_end = BackEnd::start().await;
    let place = place(&back_end).await;
    let cases = [("test?secret=guess", "KeyWrong"), ("test", "KeyMissing")];
    for (stream, reason) in cases {
        let refusal = RtmpClient::publish(place.rtmp, stream).await.err().unwrap();
        assert!(refusal.starts_with(reason), "{stream}: {refusal}");
        assert!(!refusal.contains("guess"));
    }
    assert!(back_end.calls().is_empty(), "{:?}", back_end.heard());
    let metrics = place.get("/metrics").await.1;
    for (_, reason) in cases {
        assert!(
            metrics.contains(&format!("headgate_sessions_refused_total{{reason=\"{reason}\"}} 1")),
            "{metrics}"
        );
    }
}

#[tokio::test]
async fn a_back_end_that_says_no_is_heard_and_seen() {
    let back_end = BackEnd::start().await;
    let place = place(&back_end).await;
    let cases = [
        (StatusCode::OK, "{\"code\":1}", "HookDenied"),
        (StatusCode::INTERNAL_SERVER_ERROR, "", "HookBadStatus"),
        (StatusCode::OK, "<html>", "HookBadAnswer"),
    ];
    for (status, body, reason) in cases {
        back_end.answer(status, body);
        let refusal = RtmpClient::publish(place.rtmp, "test?secret=s3cr3t-of-alice")
            .await
            .err()
            .unwrap();
        assert!(refusal.starts_with(reason), "{body}: {refusal}");
        place.shows(&format!("reason: {reason}\n")).await;
    }
    let (status, page) = place.get("/hooks").await;
    let endpoints: serde_json::Value = serde_json::from_str(&page).unwrap();
    let attempts = endpoints[0]["attempts"].as_array().unwrap();
    let outcomes: Vec<&str> = attempts.iter().map(|attempt| text(attempt, "outcome")).collect();
    assert_eq!((status, text(&endpoints[0], "endpoint")), (200, "backend"));
    assert!(outcomes.contains(&"HookDenied"), "{page}");
    let bad = attempts
        .iter()
        .find(|attempt| text(attempt, "outcome") == "HookBadStatus")
        .unwrap();
    assert_eq!(
        (bad["status"].as_u64(), text(bad, "stream")),
        (Some(500), "__defaultVhost__/live/test")
    );
    assert!(!page.contains("s3cr3t") && !page.contains('?'), "{page}");
    back_end.answer(StatusCode::OK, "0");
    assert!(
        RtmpClient::publish(place.rtmp, "test?secret=s3cr3t-of-alice")
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_live_stream_is_shown_and_can_be_ended() {
    let back_end = BackEnd::start().await;
    let place = place(&back_end).await;
    let mut publisher = RtmpClient::publish(place.rtmp, "test?secret=s3cr3t-of-alice")
        .await
        .unwrap();
    place.shows("codecs: AAC").await;
    place.shows("publishers: 1").await;
    let report = place.pod.report();
    assert_eq!(report.key_use.get("alice"), Some(&1));
    assert!(place.pod.kick(report.streams[0].session));
    while publisher.event().await.is_some() {}
    back_end.hears("on_unpublish test").await;
    assert!(place.pod.report().streams.is_empty());
    assert!(!place.get("/resources").await.1.contains("kind: Stream\n"));
}

#[tokio::test]
async fn stopping_ends_every_session_and_tells_of_each() {
    let back_end = BackEnd::start().await;
    let place = place(&back_end).await;
    let _publisher = RtmpClient::publish(place.rtmp, "test?secret=s3cr3t-of-alice")
        .await
        .unwrap();
    let _player = RtmpClient::play(place.rtmp, "test").await.unwrap();
    place.pod.stop().await;
    let heard = back_end.heard();
    for wanted in ["on_unpublish test", "on_stop test"] {
        assert_eq!(heard.iter().filter(|line| *line == wanted).count(), 1, "{heard:?}");
    }
    assert_eq!(place.get("/readyz").await, (503, "stopping\n".into()));
}
