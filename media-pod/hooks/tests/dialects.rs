//! A session from its start to its end, as the back end of each dialect hears of it; and what its answers do.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics fails, as it should"
)]

mod common;

use common::{Backend, Reply, answer, connection, endpoint, hang, publisher, session};
use headgate_codec::{AudioInfo, Codec, Track, TrackId};
use headgate_control::{CachePolicy, Dialect, FailurePolicy, HookEndpoint, HookEvent};
use headgate_hooks::Hooks;
use headgate_hub::{SessionKind, Traffic};
use serde_json::Value;
use std::time::Duration;

/// An endpoint of a dialect that wants everything.
fn wants_all(dialect: Dialect) -> HookEndpoint {
    HookEndpoint {
        dialect,
        events: HookEvent::ALL.to_vec(),
        opaque: "t0ken".into(),
        ..endpoint("b")
    }
}

/// A yes in every dialect.
fn yes() -> Reply {
    answer(200, r#"{"code":0,"allow":true}"#, None)
}

const TRAFFIC: Traffic = Traffic { sent: 10, received: 90 };

fn track() -> Track {
    let audio = AudioInfo {
        sample_rate: 44_100,
        channels: 2,
    };
    Track::sound(TrackId::AUDIO, Codec::Mp3, audio)
}

/// One publisher and one player, from connect to close.
async fn whole_life(hooks: &Hooks) {
    let (client, publisher, player) = (connection("x"), publisher("x"), session(SessionKind::Play, "x"));
    hooks.server_started([("rtmp.port".to_owned(), "1935".to_owned())].into());
    hooks.connect(&client).await.expect("yes");
    hooks.publish(&publisher).await.expect("yes");
    hooks.playable(&publisher, &[track()]);
    hooks.play(&player).await.expect("yes");
    hooks.stop(&player, TRAFFIC);
    hooks.unpublish(&publisher, TRAFFIC);
    hooks.close(&client, TRAFFIC);
    assert_eq!(hooks.flush(Duration::from_secs(5)).await, 0);
    hooks.server_exited().await;
    assert_eq!(hooks.flush(Duration::from_secs(5)).await, 0);
}

/// What the back end heard of the stream, and of the server, each in its order.
async fn heard(dialect: Dialect) -> (Backend, Vec<String>, Vec<String>) {
    let body = if dialect == Dialect::SrsV1 {
        "0"
    } else {
        r#"{"code":0,"allow":true}"#
    };
    let backend = Backend::new(move |_, _| answer(200, body, None));
    let (hooks, _) = backend.hooks(&[wants_all(dialect)]);
    whole_life(&hooks).await;
    let names = |of_server: bool| {
        let seen = backend
            .seen()
            .into_iter()
            .filter(|seen| seen.header("x-media-stream").is_empty() == of_server);
        seen.map(|seen| seen.header("x-media-event")).collect()
    };
    let (stream, server) = (names(false), names(true));
    (backend, stream, server)
}

#[tokio::test(start_paused = true)]
async fn srs_hears_of_connections_and_sessions() {
    for dialect in [Dialect::Srs, Dialect::SrsV1] {
        let (_, stream, server) = heard(dialect).await;
        let all = [
            "on_connect",
            "on_publish",
            "on_play",
            "on_stop",
            "on_unpublish",
            "on_close",
        ];
        assert_eq!(stream, all, "{dialect}");
        assert!(server.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn oryx_hears_of_publishers() {
    let (backend, stream, _) = heard(Dialect::Oryx).await;
    assert_eq!(stream, ["on_publish", "on_unpublish"]);
    for seen in backend.seen() {
        let body: Value = serde_json::from_slice(&seen.call.body).expect("JSON");
        assert_eq!(body["opaque"], "t0ken");
        assert_eq!(body["request_id"].as_str(), Some(seen.header("webhook-id").as_str()));
    }
}

#[tokio::test(start_paused = true)]
async fn zlmediakit_hears_of_streams_and_of_what_they_carried() {
    let (backend, stream, server) = heard(Dialect::ZLMediaKit).await;
    let changed = ["on_stream_changed"; 4];
    let all = [
        &["on_publish"][..],
        &changed,
        &["on_play", "on_flow_report", "on_flow_report"],
        &changed,
    ];
    let all = all.concat();
    assert_eq!(stream, all);
    assert_eq!(server, ["on_server_started", "on_server_exited"]);
    let bodies: Vec<Value> = backend
        .seen()
        .iter()
        .map(|seen| serde_json::from_slice(&seen.call.body).expect("JSON"))
        .collect();
    let mut indexes: Vec<u64> = bodies.iter().filter_map(|body| body["hook_index"].as_u64()).collect();
    indexes.sort_unstable();
    assert_eq!(indexes, (0..14).collect::<Vec<_>>(), "each request has its own");
    assert!(bodies.iter().all(|body| body["mediaServerId"] == "live"));
    let changed: Vec<&Value> = bodies.iter().filter(|body| body["regist"].is_boolean()).collect();
    let schemas: Vec<&str> = changed.iter().filter_map(|body| body["schema"].as_str()).collect();
    assert_eq!(schemas, ["rtmp", "ts", "fmp4", "hls"].repeat(2));
    for (at, body) in changed.iter().enumerate() {
        assert_eq!(body["regist"], at < 4);
        assert_eq!(body.get("tracks").is_some(), at < 4, "the end has the sparse form");
    }
    assert_eq!(changed[0]["tracks"][0]["codec_id"], 14);
    let flows: Vec<&Value> = bodies.iter().filter(|body| body["player"].is_boolean()).collect();
    assert_eq!(
        (&flows[0]["player"], &flows[1]["player"]),
        (&true.into(), &false.into())
    );
    assert!(flows.iter().all(|flow| flow["totalBytes"] == 100));
    let vhosts = |seen: &common::Seen| seen.header("x-vhost") == "__defaultVhost__";
    assert_eq!(backend.seen().iter().filter(|seen| vhosts(seen)).count(), 12);
}

#[tokio::test(start_paused = true)]
async fn cloudevents_tell_all_of_it_once() {
    let (_, stream, server) = heard(Dialect::CloudEvents).await;
    let names = [
        "connect",
        "publish",
        "stream_changed",
        "play",
        "stop",
        "stream_changed",
        "unpublish",
        "close",
    ];
    assert_eq!(stream, names.map(|name| format!("dev.headgate.{name}.v1")));
    assert_eq!(
        server,
        ["dev.headgate.server_started.v1", "dev.headgate.server_exited.v1"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_became_playable_is_not_said_to_be_gone() {
    let backend = Backend::new(|_, _| yes());
    let (hooks, _) = backend.hooks(&[wants_all(Dialect::ZLMediaKit)]);
    let publisher = publisher("x");
    hooks.publish(&publisher).await.expect("yes");
    hooks.unpublish(&publisher, TRAFFIC);
    hooks.flush(Duration::from_secs(5)).await;
    let names: Vec<String> = backend.seen().iter().map(|seen| seen.header("x-media-event")).collect();
    assert_eq!(names, ["on_publish", "on_flow_report"]);
}

#[tokio::test(start_paused = true)]
async fn who_says_close_closes_and_who_does_not_answer_does_not() {
    let table: [(fn() -> Reply, bool); 5] = [
        (|| answer(200, r#"{"code":0,"close":true}"#, None), true),
        (|| answer(200, r#"{"code":0,"close":false}"#, None), false),
        (|| answer(200, r#"{"code":-1,"close":true}"#, None), false),
        (|| answer(500, r#"{"code":0,"close":true}"#, None), false),
        (hang, false),
    ];
    for (reply, closes) in table {
        let backend = Backend::new(move |_, _| reply());
        let fail = HookEndpoint {
            failure_policy: FailurePolicy::Fail,
            reask_seconds: 0,
            cache: CachePolicy::default(),
            ..wants_all(Dialect::ZLMediaKit)
        };
        let (hooks, _) = backend.hooks(&[fail]);
        assert!(hooks.cares_for_unwatched());
        assert_eq!(hooks.missing(&session(SessionKind::Play, "x")).await, closes);
        assert_eq!(hooks.unwatched(&publisher("x")).await, closes);
        let names: Vec<String> = backend.seen().iter().map(|seen| seen.header("x-media-event")).collect();
        assert_eq!(names, ["on_stream_not_found", "on_stream_none_reader"]);
    }
}

#[tokio::test(start_paused = true)]
async fn options_of_a_publish_are_kept_and_those_that_do_nothing_are_named() {
    let body = r#"{"code":0,"auto_close":true,"enable_mp4":true,"enable_hls":"1","nonsense":1}"#;
    let backend = Backend::new(move |_, _| answer(200, body, None));
    let only = HookEndpoint {
        events: vec![HookEvent::Publish],
        ..wants_all(Dialect::ZLMediaKit)
    };
    let (hooks, _) = backend.hooks(&[only]);
    let publisher = publisher("x");
    assert!(!hooks.cares_for_unwatched());
    hooks.publish(&publisher).await.expect("yes");
    assert_eq!(hooks.reports()[0].idle_options, ["enable_mp4"]);
    assert!(hooks.cares_for_unwatched());
    assert!(hooks.unwatched(&publisher).await, "auto_close");
    hooks.unpublish(&publisher, TRAFFIC);
    assert!(!hooks.cares_for_unwatched());
}

#[tokio::test(start_paused = true)]
async fn a_keepalive_comes_every_ten_seconds_and_is_not_tried_again() {
    let backend = Backend::new(|_, count| answer(if count == 0 { 500 } else { 200 }, r#"{"code":0}"#, None));
    let (hooks, _) = backend.hooks(&[wants_all(Dialect::ZLMediaKit)]);
    hooks.count_by(|| [("MediaSource".to_owned(), 3)].into());
    let seen = backend.calls(3).await;
    let apart = seen[1].at - seen[0].at;
    assert_eq!(apart.as_secs(), 10);
    let body: Value = serde_json::from_slice(&seen[2].call.body).expect("JSON");
    assert_eq!(body["data"]["MediaSource"], 3);
    assert_eq!(hooks.reports()[0].pending, 0);
    let (_hooks, _) = backend.hooks(&[wants_all(Dialect::Srs)]);
    assert!(
        backend
            .seen()
            .iter()
            .all(|seen| seen.header("x-media-event") == "on_server_keepalive")
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_is_told_of_whatever_the_endpoint_matches() {
    let backend = Backend::new(|_, _| yes());
    let mut narrow = wants_all(Dialect::ZLMediaKit);
    narrow.matches.streams = vec!["room-*".into()];
    let (hooks, _) = backend.hooks(&[narrow]);
    hooks.in_pod("live-0");
    whole_life(&hooks).await;
    let names: Vec<String> = backend.seen().iter().map(|seen| seen.header("x-media-event")).collect();
    assert_eq!(names, ["on_server_started", "on_server_exited"]);
}
