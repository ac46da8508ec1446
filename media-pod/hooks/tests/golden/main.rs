//! The dialects against bodies captured from real servers and written down in their documentation, to the byte and key order.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics fails, as it should"
)]

mod cloudevents;
mod oryx;
mod srs;
mod srs_v1;
mod zlmediakit;

use headgate_control::HookEvent;
use headgate_hooks::Origin;
use headgate_hooks::dialect::{Request, Speak, Voice};
use headgate_hooks::event::transport::{Carrier, Schema};
use headgate_hooks::event::{Client, Details, Event, Stream};
use uuid::Uuid;

fn origin() -> Origin {
    Origin {
        server_id: "vid-77767kv".into(),
        service_id: "v5q25s67".into(),
        uid: "uid-1".into(),
        server: "media/live".into(),
        pod: "pod-0".into(),
    }
}

/// What an endpoint with the opaque `t0ken` sends as request number `index`.
fn request(dialect: &dyn Speak, event: &Event, index: u64) -> Request {
    let voice = Voice {
        origin: &origin(),
        opaque: "t0ken",
        index,
    };
    dialect.request(event, &voice)
}

fn text(dialect: &dyn Speak, event: &Event) -> String {
    String::from_utf8(request(dialect, event, 0).body.to_vec()).expect("UTF-8")
}

fn event(kind: HookEvent) -> Event {
    Event {
        id: Uuid::from_u128(1),
        kind,
        time: jiff::Timestamp::UNIX_EPOCH,
        sequence: 1,
        session: Uuid::nil(),
        stream: Stream {
            vhost: "__defaultVhost__".into(),
            app: "live".into(),
            name: "livestream".into(),
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
        traffic: None,
        details: Details::None,
        origin: None,
    }
}
