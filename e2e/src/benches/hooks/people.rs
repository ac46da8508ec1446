//! Endpoints, and the sessions that they are asked about.

use headgate_control::{
    CachePolicy, DeliveryPolicy, Dialect, FailurePolicy, HookCredentials, HookEndpoint, HookEvent, HookMatch,
    ServerIdentity,
};
use headgate_hub::{Connection, Protocol, Session, SessionKind, StreamName};
use std::sync::Arc;

/// The server that speaks.
pub fn server() -> ServerIdentity {
    ServerIdentity {
        namespace: "bench".into(),
        name: "live".into(),
        uid: "bench".into(),
    }
}

/// An endpoint at one URL that takes these events.
pub fn endpoint(name: &str, url: &str, dialect: Dialect, events: &[HookEvent]) -> HookEndpoint {
    HookEndpoint {
        name: name.into(),
        dialect,
        urls: vec![url.into()],
        events: events.to_vec(),
        matches: HookMatch::default(),
        timeout_milliseconds: 3000,
        failure_policy: FailurePolicy::Fail,
        reask_seconds: 0,
        cache: CachePolicy::default(),
        opaque: String::new(),
        delivery: DeliveryPolicy::default(),
        credentials: HookCredentials::default(),
        unresolved: None,
        replay: None,
    }
}

/// A session over a connection of its own.
pub fn session(kind: SessionKind, stream: &str) -> Arc<Session> {
    let connection = Arc::new(Connection {
        client_id: "3ul1iu70".into(),
        protocol: Protocol::Rtmp,
        peer: ([127, 0, 0, 1], 50_000).into(),
        vhost: "__defaultVhost__".into(),
        app: "live".into(),
        stream: stream.into(),
        param: "?token=abc&x=1".into(),
        tc_url: "rtmp://127.0.0.1:11935/live".into(),
        page_url: String::new(),
        started: jiff::Timestamp::now(),
    });
    Arc::new(Session {
        id: uuid::Uuid::now_v7(),
        kind,
        connection,
        name: StreamName {
            vhost: "__defaultVhost__".into(),
            app: "live".into(),
            stream: stream.into(),
        },
        param: "?token=abc&x=1".into(),
        key: None,
        started: jiff::Timestamp::now(),
    })
}
