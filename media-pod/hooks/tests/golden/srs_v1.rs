//! The original callback, as its documentation has it.

use crate::{event, text};
use headgate_control::HookEvent;
use headgate_hooks::dialect::{Speak as _, SrsV1};
use headgate_hooks::event::transport::Carrier;
use serde_json::Value;

/// The number that stands for the client `3ul1iu70`.
fn number() -> u64 {
    let body: Value = serde_json::from_str(&text(&SrsV1, &event(HookEvent::Publish))).expect("JSON");
    body["client_id"].as_u64().expect("an integer")
}

#[test]
fn each_action_has_just_the_fields_of_then() {
    let number = number();
    let head = |action: &str| {
        format!(
            r#"{{"action":"{action}","client_id":{number},"ip":"127.0.0.1","vhost":"__defaultVhost__","app":"live""#
        )
    };
    let table = [
        (
            HookEvent::Connect,
            r#","tcUrl":"rtmp://127.0.0.1:11935/live","pageUrl":""}"#,
        ),
        (HookEvent::Close, "}"),
        (HookEvent::Publish, r#","stream":"livestream"}"#),
        (HookEvent::Unpublish, r#","stream":"livestream"}"#),
        (HookEvent::Play, r#","stream":"livestream"}"#),
        (HookEvent::Stop, r#","stream":"livestream"}"#),
    ];
    for (kind, tail) in table {
        assert_eq!(text(&SrsV1, &event(kind)), format!("{}{tail}", head(kind.callback())));
    }
}

#[test]
fn a_client_has_one_number_that_fits_into_an_int() {
    let mut other = event(HookEvent::Stop);
    other.client.id = "zzzzzzzz".into();
    let body: Value = serde_json::from_str(&text(&SrsV1, &other)).expect("JSON");
    let theirs = body["client_id"].as_u64().expect("an integer");
    assert_ne!(theirs, number());
    for id in [theirs, number()] {
        assert!((1..=0x7fff_ffff).contains(&id), "{id}");
    }
}

#[test]
fn names_cannot_break_the_body_as_they_did_then() {
    let mut event = event(HookEvent::Publish);
    event.stream.name = "a\",\"action\":\"on_close".into();
    let body: Value = serde_json::from_str(&text(&SrsV1, &event)).expect("JSON");
    assert_eq!(body["stream"], "a\",\"action\":\"on_close");
    assert_eq!(body["action"], "on_publish");
}

#[test]
fn connections_are_told_of_where_there_is_one() {
    let mut event = event(HookEvent::Connect);
    assert!(SrsV1.tells(&event));
    event.client.carrier = Carrier::Http;
    assert!(!SrsV1.tells(&event));
    event.kind = HookEvent::Play;
    assert!(SrsV1.tells(&event));
    event.kind = HookEvent::Dvr;
    assert!(!SrsV1.tells(&event));
}
