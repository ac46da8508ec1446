//! What comes of questions that are not answered, answered again, kept, or asked of several back ends at once. In virtual time.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics fails, as it should"
)]

#[path = "../common/mod.rs"]
mod common;

mod asked;
mod kept;
mod questions;
mod silent;

use common::{Backend, Reply, Seen, answer, connection, endpoint, session_on};
use headgate_control::{CachePolicy, Dialect, FailurePolicy, HookEndpoint};
use headgate_hooks::Hooks;
use headgate_hooks::transport::TransportError;
use headgate_hub::{Connection, Protocol, Session, SessionKind};
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn fails(error: TransportError) -> Reply {
    Reply {
        after: Duration::ZERO,
        result: Err(error),
    }
}

fn refused() -> Reply {
    fails(TransportError::Connect("connection refused".into()))
}

fn after(milliseconds: u64, reply: Reply) -> Reply {
    Reply {
        after: Duration::from_millis(milliseconds),
        ..reply
    }
}

fn of(dialect: Dialect, name: &str) -> HookEndpoint {
    HookEndpoint {
        dialect,
        timeout_milliseconds: 10_000,
        ..endpoint(name)
    }
}

fn policy(failure_policy: FailurePolicy) -> HookEndpoint {
    HookEndpoint {
        failure_policy,
        ..endpoint("backend")
    }
}

fn cached(allow_seconds: u32, deny_seconds: u32) -> HookEndpoint {
    let cache = CachePolicy {
        allow_seconds: Some(allow_seconds),
        deny_seconds: Some(deny_seconds),
        ..CachePolicy::default()
    };
    HookEndpoint {
        cache,
        ..endpoint("backend")
    }
}

fn allow() -> Reply {
    answer(200, r#"{"allow":true}"#, None)
}

fn deny() -> Reply {
    answer(200, r#"{"allow":false}"#, None)
}

fn events(backend: &Backend) -> Vec<String> {
    let of = |seen: &Seen| {
        format!(
            "{} {}",
            seen.call.url.host_str().unwrap_or_default(),
            seen.header("x-media-event")
        )
    };
    backend.seen().iter().map(of).collect()
}

fn player(protocol: Protocol, port: u16, param: &str) -> Arc<Session> {
    let on = Connection {
        protocol,
        peer: ([127, 0, 0, 1], port).into(),
        ..Connection::clone(&connection("alice"))
    };
    let session = session_on(SessionKind::Play, "alice", Arc::new(on));
    Arc::new(Session {
        param: param.into(),
        ..Session::clone(&session)
    })
}

async fn play(hooks: &Hooks, protocol: Protocol, port: u16, param: &str) -> bool {
    hooks.play(&player(protocol, port, param)).await.is_ok()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 0.1
}

type Make = fn() -> Reply;
