//! The SRS dialect against bodies captured from a real server.

use crate::{event, origin, request, text};
use headgate_control::HookEvent;
use headgate_hooks::dialect::{Speak as _, Srs};
use headgate_hooks::event::transport::{Carrier, Schema};
use headgate_hooks::event::{Client, Details, Event, HlsSegment};
use headgate_hub::Traffic;
use serde_json::Value;

/// The body and headers of one captured request.
fn fixture(case: &str) -> (String, Value) {
    let lines = include_str!("../fixtures/srs_hooks.jsonl").lines();
    let mut records = lines.map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"));
    let record = records.find(|record| record["case"] == case).expect("a captured case");
    (
        record["raw"].as_str().expect("a body").to_owned(),
        record["headers"].clone(),
    )
}

fn player(id: &str, param: &str, carrier: Carrier) -> Event {
    let publisher = event(HookEvent::Play);
    let client = Client {
        id: id.into(),
        carrier,
        ..publisher.client
    };
    Event {
        param: param.into(),
        client,
        ..publisher
    }
}

/// Our body is the captured one, but for the stream's id, which is made by hash here and at random there.
#[track_caller]
fn assert_golden(case: &str, event: &Event) {
    let ours = text(&Srs, event);
    let id = origin().stream_id("__defaultVhost__", "live", "livestream");
    let theirs = fixture(case).0.replace("vid-r77j7jc", &id);
    assert_eq!(ours, theirs, "{case}");
}

#[test]
fn on_connect_is_what_srs_sends() {
    assert_golden("on_connect.rtmp-publish", &event(HookEvent::Connect));
}

#[test]
fn on_publish_and_on_unpublish_are_what_srs_sends() {
    assert_golden("on_publish.rtmp-publish", &event(HookEvent::Publish));
    assert_golden("on_unpublish.rtmp-publish", &event(HookEvent::Unpublish));
}

#[test]
fn on_play_has_an_order_of_its_own() {
    assert_golden("on_play.rtmp-play", &player("5gc4j2m3", "?u=rtmp", Carrier::Rtmp));
}

#[test]
fn a_player_over_http_flv_has_the_tc_url_that_srs_makes_up() {
    let mut event = player("u94179qo", "?u=flv", Carrier::Http);
    event.client.tc_url = "http://127.0.0.1:8080/live".into();
    assert_golden("on_play.flv", &event);
}

#[test]
fn on_stop_has_the_order_of_on_publish() {
    let mut event = player("r4l4i8u5", "?u=hls", Carrier::Rtmp);
    event.kind = HookEvent::Stop;
    event.client.tc_url = "http://127.0.0.1/live".into();
    (event.client.schema, event.client.carrier) = (Schema::Hls, Carrier::Hls);
    assert_golden("on_stop.hls", &event);
}

#[test]
fn on_forward_names_itself_first_and_not_the_stream() {
    assert_golden("on_forward.rtmp-publish", &event(HookEvent::Forward));
}

#[test]
fn files_and_segments_are_told_with_their_places() {
    let mut dvr = event(HookEvent::Dvr);
    dvr.details = Details::Dvr {
        cwd: "/usr/local/srs".into(),
        file: "/usr/local/srs/html/live/livestream.1795210268334.flv".into(),
    };
    assert_golden("on_dvr.rtmp-publish", &dvr);
    let mut hls = event(HookEvent::Hls);
    hls.details = Details::Hls(Box::new(HlsSegment {
        milliseconds: 2020,
        cwd: "/usr/local/srs".into(),
        file: "/usr/local/srs/html/live/livestream-0.ts".into(),
        url: "live/livestream-0.ts".into(),
        m3u8: "/usr/local/srs/html/live/livestream.m3u8".into(),
        m3u8_url: "live/livestream.m3u8".into(),
        seq_no: 0,
    }));
    assert_golden("on_hls.rtmp-publish", &hls);
}

#[test]
fn connections_are_told_of_where_there_is_one() {
    let mut event = event(HookEvent::Connect);
    assert!(Srs.tells(&event));
    event.client.carrier = Carrier::Http;
    assert!(!Srs.tells(&event));
    (event.client.schema, event.client.carrier) = (Schema::Srt, Carrier::Srt);
    assert!(Srs.tells(&event));
}

#[test]
fn on_close_has_the_bytes_and_no_stream() {
    let mut event = player("5gc4j2m3", "", Carrier::Rtmp);
    event.kind = HookEvent::Close;
    event.traffic = Some(Traffic {
        sent: 456_005,
        received: 3505,
    });
    assert_golden("on_close.player", &event);
}

#[test]
fn a_named_vhost_stands_in_the_stream_url() {
    let mut event = event(HookEvent::Publish);
    event.stream.vhost = "video.test.com".into();
    let body: Value = serde_json::from_str(&text(&Srs, &event)).expect("JSON");
    assert_eq!(body["stream_url"], "video.test.com/live/livestream");
}

#[test]
fn what_a_client_writes_cannot_break_the_body() {
    let mut event = event(HookEvent::Publish);
    event.param = "?x=\"},{\"action\":\"on_close\"\\\u{1}".into();
    let body: Value = serde_json::from_str(&text(&Srs, &event)).expect("JSON");
    assert_eq!(body["param"], *event.param);
    assert_eq!(body["action"], "on_publish");
}

#[test]
fn headers_are_those_of_srs_and_more() {
    let theirs = fixture("on_publish.rtmp-publish").1;
    let event = event(HookEvent::Publish);
    let ours =
        headgate_hooks::dialect::headers(&Srs, &event, &request(&Srs, &event, 0), 3, jiff::Timestamp::UNIX_EPOCH);
    let get = |name: &str| ours.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    for name in ["Connection", "Content-Type"] {
        assert_eq!(get(name), theirs[name].as_str().expect("a header"), "{name}");
    }
    assert!(get("User-Agent").starts_with("SRS/7.0.18(Kai)"));
    assert_eq!(get("webhook-id"), event.id.to_string());
    assert_eq!(get("webhook-timestamp"), "0");
    assert_eq!(get("x-media-event"), "on_publish");
    assert_eq!(get("x-media-stream"), "__defaultVhost__/live/livestream");
    assert_eq!(get("x-media-session"), event.session.to_string());
    assert_eq!(get("x-media-seq"), "1");
    assert_eq!(get("x-media-attempt"), "3");
}

#[test]
fn the_bodies_that_the_documentation_shows_have_the_keys_that_are_sent() {
    let page = include_str!("../../../../docs/hooks.md");
    let keys = |body: &str| -> Vec<String> {
        let body: Value = serde_json::from_str(body).expect("JSON");
        body.as_object().expect("an object").keys().cloned().collect()
    };
    let examples = page.lines().filter(|line| line.starts_with(r#"{"server_id""#));
    let mut shown = 0;
    for example in examples {
        let said: Value = serde_json::from_str(example).expect("JSON");
        let kind = match said["action"].as_str() {
            Some("on_connect") => HookEvent::Connect,
            Some("on_publish") => HookEvent::Publish,
            Some("on_play") => HookEvent::Play,
            Some("on_close") => HookEvent::Close,
            other => panic!("{other:?} is not shown"),
        };
        assert_eq!(keys(example), keys(&text(&Srs, &event(kind))), "{kind:?}");
        shown += 1;
    }
    assert_eq!(shown, 4);
}
