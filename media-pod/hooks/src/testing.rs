//! What several unit tests need.

use headgate_control::{CachePolicy, Dialect, FailurePolicy, HookEndpoint, HookEvent, HookMatch};
use headgate_hub::Traffic;
use uuid::Uuid;

use crate::event::transport::{Carrier, Schema};
use crate::event::{Client, Details, Event, Stream};

/// An event about `live/NAME` with the values of the captured bodies.
pub(crate) fn event(kind: HookEvent, name: &str) -> Event {
    Event {
        id: Uuid::now_v7(),
        kind,
        time: jiff::Timestamp::UNIX_EPOCH,
        sequence: 1,
        session: Uuid::now_v7(),
        stream: Stream {
            vhost: "__defaultVhost__".into(),
            app: "live".into(),
            name: name.into(),
        },
        param: "?token=abc&x=1".into(),
        client: Client {
            id: "3ul1iu70".into(),
            ip: [127, 0, 0, 1].into(),
            port: 52332,
            schema: Schema::Rtmp,
            carrier: Carrier::Rtmp,
            tc_url: "rtmp://127.0.0.1:11935/live".into(),
            page_url: "".into(),
        },
        traffic: Some(Traffic { sent: 1, received: 2 }),
        details: Details::None,
        origin: None,
    }
}

/// An endpoint that takes what is asked, with the defaults.
pub(crate) fn endpoint() -> HookEndpoint {
    HookEndpoint {
        name: "backend".into(),
        dialect: Dialect::Srs,
        urls: vec!["http://backend.test/hook".into()],
        events: vec![HookEvent::Publish, HookEvent::Play],
        matches: HookMatch::default(),
        timeout_milliseconds: 3000,
        failure_policy: FailurePolicy::Fail,
        reask_seconds: 0,
        cache: CachePolicy::default(),
        opaque: String::new(),
        delivery: headgate_control::DeliveryPolicy::default(),
        credentials: headgate_control::HookCredentials::default(),
        unresolved: None,
        replay: None,
    }
}
