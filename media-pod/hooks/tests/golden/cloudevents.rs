//! CloudEvents against the specification's required attributes and our own documented schema.

use crate::{event, request, text};
use headgate_control::{Dialect, HookEvent};
use headgate_hooks::dialect::{CloudEvents, Speak as _, cloud_event_schema, headers};
use headgate_hooks::event::transport::Schema;
use headgate_hooks::event::{Details, Event, Registered, TrackInfo};
use headgate_hub::Traffic;
use serde_json::{Value, json};

const SCHEMA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cloudevents.schema.json");

#[test]
fn a_publish_is_this_event() {
    let expected = concat!(
        r#"{"specversion":"1.0","id":"00000000-0000-0000-0000-000000000001","source":"/headgate/media/live","#,
        r#""type":"dev.headgate.publish.v1","subject":"__defaultVhost__/live/livestream","time":"1970-01-01T00:00:00Z","#,
        r#""datacontenttype":"application/json","sequence":"1","pod":"pod-0","#,
        r#""data":{"session":"00000000-0000-0000-0000-000000000000","vhost":"__defaultVhost__","app":"live","stream":"livestream","#,
        r#""query":"token=abc&x=1","client":{"id":"3ul1iu70","ip":"127.0.0.1","port":52332,"protocol":"rtmp","schema":"rtmp","#,
        r#""tcUrl":"rtmp://127.0.0.1:11935/live","pageUrl":""}}}"#,
    );
    assert_eq!(text(&CloudEvents, &event(HookEvent::Publish)), expected);
    let event = event(HookEvent::Publish);
    let map = headers(
        &CloudEvents,
        &event,
        &request(&CloudEvents, &event, 0),
        1,
        jiff::Timestamp::UNIX_EPOCH,
    );
    assert_eq!(map["content-type"], "application/cloudevents+json; charset=utf-8");
}

#[test]
fn every_event_has_the_attributes_that_the_specification_wants_and_a_schema() {
    for kind in HookEvent::ALL.iter().filter(|kind| Dialect::CloudEvents.has(**kind)) {
        let body: Value = serde_json::from_str(&text(&CloudEvents, &event(*kind))).expect("JSON");
        for attribute in ["id", "source", "specversion", "type"] {
            assert!(
                body[attribute].as_str().is_some_and(|text| !text.is_empty()),
                "{kind}: {attribute}"
            );
        }
        let names = body.as_object().expect("an object").keys();
        let lower = |name: &String| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        assert!(names.into_iter().all(lower), "{kind}: {body}");
        assert_eq!(body["subject"].is_string(), !kind.is_of_server(), "{kind}");
        let known = |shape: &&Value| shape["properties"]["type"]["const"] == kind.cloud_event();
        let schema = cloud_event_schema();
        let shape = schema["oneOf"]
            .as_array()
            .expect("a list")
            .iter()
            .find(known)
            .expect("a schema");
        let name = shape["properties"]["data"]["$ref"].as_str().expect("a reference");
        let data = &schema["$defs"][name.trim_start_matches("#/$defs/")];
        let keys = body["data"].as_object().expect("an object").keys();
        for key in keys {
            assert!(data["properties"].get(key).is_some(), "{kind}: {key}");
        }
    }
}

#[test]
fn the_end_says_how_much_and_how_long() {
    let mut end = event(HookEvent::Unpublish);
    end.traffic = Some(Traffic { sent: 7, received: 9 });
    end.details = Details::Ended {
        played_as: None,
        started: end.time,
        player: false,
        playable: true,
        without: Box::default(),
    };
    end.time = "1970-01-01T00:01:30Z".parse().expect("a time");
    let body: Value = serde_json::from_str(&text(&CloudEvents, &end)).expect("JSON");
    let data = &body["data"];
    assert_eq!(
        (&data["bytesSent"], &data["bytesReceived"], &data["seconds"]),
        (&7.into(), &9.into(), &90.into())
    );
}

#[test]
fn a_stream_comes_and_goes_once() {
    let changed = |schema, registered| Event {
        details: Details::Changed { schema, registered },
        ..event(HookEvent::StreamChanged)
    };
    assert!(CloudEvents.tells(&changed(Schema::Rtmp, None)));
    assert!(!CloudEvents.tells(&changed(Schema::Ts, None)));
    let video = TrackInfo {
        codec: "H264".into(),
        is_video: true,
        width: 640,
        height: 360,
        frames_per_1000_seconds: 29_970,
        ..TrackInfo::default()
    };
    let stream = Registered {
        tracks: vec![video],
        ..Registered::default()
    };
    let body = text(&CloudEvents, &changed(Schema::Rtmp, Some(Box::new(stream))));
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(body["data"]["live"], true);
    let track = json!({"codec": "H264", "width": 640, "height": 360, "framesPerSecond": 29.97});
    assert_eq!(body["data"]["tracks"], json!([track]));
}

/// `INSTA_UPDATE=always` writes it.
#[test]
fn the_documented_schema_is_that_of_the_types() {
    let ours = serde_json::to_string_pretty(&cloud_event_schema()).expect("JSON") + "\n";
    if std::env::var("INSTA_UPDATE").as_deref() == Ok("always") {
        std::fs::write(SCHEMA_FILE, &ours).expect("a file that can be written");
    }
    let documented = std::fs::read_to_string(SCHEMA_FILE).expect("the documented schema");
    assert_eq!(
        documented, ours,
        "INSTA_UPDATE=always cargo test -p headgate-hooks --test golden"
    );
}
