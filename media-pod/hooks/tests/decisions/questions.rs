//! Questions about who is in, and those that decide about no session.

use crate::common::{Backend, answer, connection, endpoint, hang, ok, publisher, status};
use crate::{SECOND, of, player, refused};
use headgate_control::{Dialect, HookEndpoint, HookEvent};
use headgate_hub::{Connection, FileRequest, Protocol, Traffic};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn who_is_in_is_asked_about_again_and_cut_by_a_no_and_by_nothing_else() {
    let now = Arc::new(Mutex::new("ok"));
    let script = Arc::clone(&now);
    let backend = Backend::new(move |_, _| match *script.lock() {
        "ok" => ok(),
        "down" => refused(),
        _ => answer(200, "1", None),
    });
    let asks = HookEndpoint {
        reask_seconds: 10,
        ..endpoint("backend")
    };
    let (hooks, _registry) = backend.hooks(&[asks]);
    let kicked: Arc<Mutex<Vec<uuid::Uuid>>> = Arc::default();
    let ended = Arc::clone(&kicked);
    hooks.kick_by(move |session| ended.lock().push(session));
    let (alice, bob) = (publisher("alice"), player(Protocol::Rtmp, 7, "?t=1"));
    hooks.publish(&alice).await.expect("yes");
    hooks.play(&bob).await.expect("yes");
    let seen = backend.calls(4).await;
    assert!(seen[2].at.duration_since(seen[0].at) >= 10 * SECOND);
    let sessions = |from: usize| -> HashSet<String> {
        seen[from..from + 2]
            .iter()
            .map(|s| s.header("x-media-session"))
            .collect()
    };
    assert_eq!(sessions(0), sessions(2));
    assert_ne!(seen[0].header("webhook-id"), seen[2].header("webhook-id"));

    *now.lock() = "down";
    backend.calls(6).await;
    sleep(SECOND).await;
    assert!(kicked.lock().is_empty(), "no answer changes nothing");

    hooks.stop(&bob, Traffic::default());
    *now.lock() = "no";
    let from = Instant::now();
    while kicked.lock().is_empty() {
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(*kicked.lock(), [alice.id]);
    assert!(from.elapsed() <= 11 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn queries_of_a_back_end_that_does_not_answer_hold_up_nothing() {
    let backend = Backend::new(|_, _| hang());
    let asks = HookEndpoint {
        events: vec![HookEvent::StreamNotFound],
        ..of(Dialect::ZLMediaKit, "backend")
    };
    let (hooks, _registry) = backend.hooks(&[asks]);
    for _ in 0..5 {
        assert!(!hooks.missing(&player(Protocol::Rtmp, 1, "")).await);
    }
    let started = Instant::now();
    assert!(!hooks.missing(&player(Protocol::Rtmp, 1, "")).await);
    assert_eq!((started.elapsed(), backend.seen().len()), (Duration::ZERO, 5));
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_a_file_holds_below_its_path_and_for_its_seconds() {
    let backend = Backend::new(|seen, _| {
        let body: serde_json::Value = serde_json::from_slice(&seen.call.body).expect("JSON");
        match body["params"].as_str() {
            Some("all") => answer(200, r#"{"code":0,"err":"","path":"/live/","second":10}"#, None),
            Some("never") => answer(200, r#"{"code":0,"err":"","path":"","second":0}"#, None),
            _ => answer(200, r#"{"code":0,"err":"no","path":"","second":10}"#, None),
        }
    });
    let asks = HookEndpoint {
        events: vec![HookEvent::HttpAccess],
        ..of(Dialect::ZLMediaKit, "backend")
    };
    let (hooks, _registry) = backend.hooks(&[asks]);
    assert!(hooks.guards_files());
    let get = async |path: &str, param: &str| {
        let asked = FileRequest {
            connection: Connection {
                param: format!("?{param}"),
                ..Connection::clone(&connection("alice"))
            },
            path: path.into(),
            headers: vec![("User-Agent".into(), "curl".into())],
            visitor: None,
        };
        (hooks.file(&asked).await.is_ok(), backend.seen().len())
    };
    assert_eq!(get("/live/alice/hls/1.ts", "all").await, (true, 1));
    assert_eq!(get("/live/bob/hls/1.ts", "all").await, (true, 1));
    assert_eq!(get("/other/bob/hls/1.ts", "all").await, (true, 2));
    assert_eq!(get("/live/alice/hls/1.ts", "never").await, (true, 3));
    assert_eq!(get("/live/alice/hls/1.ts", "never").await, (true, 4));
    assert_eq!(get("/live/alice/hls/1.ts", "wrong").await, (false, 5));
    assert_eq!(get("/live/alice/hls/2.ts", "wrong").await, (false, 5));
    sleep(11 * SECOND).await;
    assert_eq!(get("/live/alice/hls/2.ts", "wrong").await, (false, 6));
}

#[tokio::test(start_paused = true)]
async fn a_publisher_is_pushed_to_where_the_back_end_says_and_nowhere_without_an_answer() {
    let backend = Backend::new(|_, count| match count {
        0 => answer(
            200,
            r#"{"code":0,"data":{"urls":["rtmp://a/live/x","rtmp://b/live/x"]}}"#,
            None,
        ),
        _ => status(500),
    });
    let asks = HookEndpoint {
        events: vec![HookEvent::Forward],
        ..endpoint("backend")
    };
    let (hooks, _registry) = backend.hooks(&[asks]);
    let session = publisher("alice");
    assert_eq!(hooks.forwards(&session).await, ["rtmp://a/live/x", "rtmp://b/live/x"]);
    assert_eq!(backend.actions(), ["on_forward"]);
    assert!(hooks.forwards(&session).await.is_empty());
}
#[tokio::test(start_paused = true)]
async fn a_file_is_no_session_that_a_back_end_would_hear_of_once_more() {
    let backend = Backend::new(|_, _| answer(200, r#"{"allow":true,"ttlSeconds":60}"#, None));
    let asks = HookEndpoint {
        events: vec![HookEvent::HttpAccess],
        ..of(Dialect::CloudEvents, "backend")
    };
    let (hooks, _registry) = backend.hooks(&[asks]);
    for number in 0..5 {
        let asked = FileRequest {
            connection: Connection::clone(&connection("alice")),
            path: format!("/live/alice/hls/{number}.ts"),
            headers: Vec::new(),
            visitor: None,
        };
        hooks.file(&asked).await.expect("yes");
    }
    hooks.flush(SECOND).await;
    assert_eq!(backend.seen().len(), 1, "never per segment");
}
