//! What comes of questions that are not answered, answered again, or asked of several back ends at once. In virtual time.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics fails, as it should"
)]

mod common;

use common::{Backend, Reply, Seen, answer, connection, endpoint, hang, metric, ok, publisher, session_on, status};
use headgate_control::{CachePolicy, Dialect, FailurePolicy, HookEndpoint, HookEvent};
use headgate_hooks::Hooks;
use headgate_hooks::transport::TransportError;
use headgate_hub::{Connection, FileRequest, Protocol, Reason, Session, SessionKind, Traffic};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

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

#[tokio::test(start_paused = true)]
async fn each_dialect_asks_again_as_its_own_servers_do() {
    let no = |dialect| {
        if dialect == Dialect::CloudEvents {
            deny()
        } else {
            answer(200, r#"{"code":-1}"#, None)
        }
    };
    let table: [(Dialect, Make, usize, u64); 13] = [
        (Dialect::Srs, refused, 1, 0),
        (Dialect::SrsV1, refused, 1, 0),
        (Dialect::Oryx, refused, 1, 0),
        (Dialect::Srs, || status(500), 1, 0),
        (Dialect::Srs, || fails(TransportError::Closed), 1, 0),
        (Dialect::ZLMediaKit, refused, 2, 3),
        (Dialect::ZLMediaKit, || status(500), 2, 3),
        (Dialect::ZLMediaKit, || answer(200, "{}", None), 2, 3),
        (Dialect::ZLMediaKit, hang, 1, 10),
        (Dialect::CloudEvents, refused, 2, 0),
        (Dialect::CloudEvents, || fails(TransportError::Closed), 2, 0),
        (Dialect::CloudEvents, || fails(TransportError::Broken("x".into())), 1, 0),
        (Dialect::CloudEvents, || status(500), 1, 0),
    ];
    for (dialect, reply, calls, seconds) in table {
        let backend = Backend::new(move |_, _| reply());
        let (hooks, _registry) = backend.hooks(&[of(dialect, "backend")]);
        let started = Instant::now();
        hooks.publish(&publisher("alice")).await.expect_err("no answer");
        let seen = backend.seen();
        assert_eq!((seen.len(), started.elapsed().as_secs()), (calls, seconds), "{dialect}");
        let ids: HashSet<String> = seen.iter().map(|seen| seen.header("webhook-id")).collect();
        assert_eq!(ids.len(), 1, "one question, one id");

        let backend = Backend::new(move |_, _| no(dialect));
        let (hooks, _registry) = backend.hooks(&[of(dialect, "backend")]);
        let refusal = hooks.publish(&publisher("alice")).await.expect_err("a no");
        assert!(refusal.reason == Reason::HookDenied || dialect == Dialect::SrsV1);
        assert_eq!(backend.seen().len(), 1, "a no is not asked again: {dialect}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_that_is_answered_is_as_good_as_a_first() {
    let backend = Backend::new(|_, count| {
        if count == 0 {
            status(502)
        } else {
            answer(200, r#"{"code":0}"#, None)
        }
    });
    let (hooks, registry) = backend.hooks(&[of(Dialect::ZLMediaKit, "backend")]);
    hooks.publish(&publisher("alice")).await.expect("the second says yes");
    let seen = backend.seen();
    let body = |at: usize| -> serde_json::Value { serde_json::from_slice(&seen[at].call.body).expect("JSON") };
    assert_ne!(
        body(0)["hook_index"],
        body(1)["hook_index"],
        "as ZLMediaKit, it counts calls"
    );
    assert!(close(metric(&registry, "headgate_hook_requests_total", "retry"), 1.0));
    assert!(close(
        metric(&registry, "headgate_hook_requests_total", "no_answer"),
        0.0
    ));
}

#[tokio::test(start_paused = true)]
async fn cloud_events_are_asked_of_all_at_once_and_take_as_long_as_the_slowest() {
    let backend = Backend::new(|_, _| after(50, allow()));
    let three = ["a", "b", "c"].map(|name| of(Dialect::CloudEvents, name));
    let (hooks, _registry) = backend.hooks(&three);
    let started = Instant::now();
    hooks.publish(&publisher("alice")).await.expect("all say yes");
    assert_eq!((backend.seen().len(), started.elapsed().as_millis()), (3, 50));

    let one = HookEndpoint {
        urls: (0..3).map(|n| format!("http://u{n}.test/hook")).collect(),
        ..of(Dialect::CloudEvents, "urls")
    };
    let (hooks, _registry) = backend.hooks(&[one]);
    let started = Instant::now();
    hooks.publish(&publisher("alice")).await.expect("all say yes");
    assert_eq!((backend.seen().len(), started.elapsed().as_millis()), (6, 50));
}

#[tokio::test(start_paused = true)]
async fn the_first_no_ends_the_others_and_who_had_said_yes_is_told_that_it_came_to_nothing() {
    let backend = Backend::new(|seen, _| {
        let opens =
            seen.header("x-media-event").contains("publish.v1") && !seen.header("x-media-event").contains("unpublish");
        match seen.call.url.host_str() {
            _ if !opens => status(204),
            Some("a.test") => after(10, allow()),
            Some("b.test") => after(20, deny()),
            _ => after(5000, allow()),
        }
    });
    let three = ["a", "b", "c"].map(|name| of(Dialect::CloudEvents, name));
    let (hooks, _registry) = backend.hooks(&three);
    let session = publisher("alice");
    let started = Instant::now();
    let refusal = hooks.publish(&session).await.expect_err("b says no");
    assert_eq!(
        (refusal.reason, started.elapsed().as_millis()),
        (Reason::HookDenied, 20)
    );
    backend.calls(5).await;
    sleep(10 * SECOND).await;
    let told = events(&backend);
    let opening = "dev.headgate.publish.v1";
    assert_eq!(
        told[..3],
        [
            format!("a.test {opening}"),
            format!("b.test {opening}"),
            format!("c.test {opening}")
        ]
    );
    // c was cut off while it was asked, and may believe what it was about to say.
    let closing = "dev.headgate.unpublish.v1";
    let told: HashSet<&str> = told[3..].iter().map(String::as_str).collect();
    assert_eq!(
        told,
        HashSet::from([&*format!("a.test {closing}"), &*format!("c.test {closing}")])
    );
    let id = session.id.to_string();
    assert!(backend.seen().iter().all(|seen| seen.header("x-media-session") == id));
}

#[tokio::test(start_paused = true)]
async fn the_others_are_asked_in_their_order_and_nothing_is_taken_back_from_them() {
    let backend = Backend::new(|seen, _| match seen.call.url.host_str() {
        Some("c.test") => answer(200, r#"{"code":3}"#, None),
        Some("n.test") => allow(),
        _ => after(50, answer(200, r#"{"code":0}"#, None)),
    });
    let (hooks, _registry) = backend.hooks(&[
        of(Dialect::Srs, "a"),
        of(Dialect::CloudEvents, "n"),
        of(Dialect::ZLMediaKit, "b"),
        of(Dialect::Oryx, "c"),
        of(Dialect::Srs, "d"),
    ]);
    let started = Instant::now();
    hooks.publish(&publisher("alice")).await.expect_err("c says no");
    assert_eq!(started.elapsed().as_millis(), 100);
    backend.calls(5).await;
    sleep(SECOND).await;
    let expected = [
        "a.test on_publish",
        "n.test dev.headgate.publish.v1",
        "b.test on_publish",
        "c.test on_publish",
        "n.test dev.headgate.unpublish.v1",
    ];
    assert_eq!(events(&backend), expected);
}

#[tokio::test(start_paused = true)]
async fn the_longest_timeout_is_for_all_endpoints_together() {
    let backend = Backend::new(|_, _| hang());
    let open = |name: &str, timeout_milliseconds| HookEndpoint {
        timeout_milliseconds,
        failure_policy: FailurePolicy::Ignore,
        ..endpoint(name)
    };
    let (hooks, registry) = backend.hooks(&[open("a", 2000), open("b", 3000), open("c", 3000)]);
    let started = Instant::now();
    hooks.publish(&publisher("alice")).await.expect("all are ignored");
    assert_eq!(started.elapsed().as_secs(), 3);
    assert!(close(
        metric(&registry, "headgate_hook_fail_open_total", "on_publish"),
        3.0
    ));
}

#[tokio::test(start_paused = true)]
async fn a_back_end_that_does_not_answer_is_soon_not_asked_and_tried_every_five_seconds() {
    let dead = Arc::new(AtomicBool::new(true));
    let script = Arc::clone(&dead);
    let backend = Backend::new(move |_, _| if script.load(Ordering::Relaxed) { hang() } else { ok() });
    let (hooks, registry) = backend.hooks(&[endpoint("backend")]);
    for _ in 0..5 {
        let refusal = hooks.publish(&publisher("alice")).await.expect_err("it hangs");
        assert_eq!(refusal.reason, Reason::HookTimeout);
    }
    assert!(hooks.reports()[0].circuit_open);
    assert!(close(metric(&registry, "headgate_hook_circuit_state", "backend"), 2.0));

    let started = Instant::now();
    let refusal = hooks.publish(&publisher("alice")).await.expect_err("it is not asked");
    assert_eq!((refusal.reason, backend.seen().len()), (Reason::HookCircuitOpen, 5));
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert!(
        refusal
            .message
            .starts_with("HookEndpoint backend: on_publish: it has not answered")
    );

    sleep(5 * SECOND).await;
    let trial = tokio::spawn({
        let hooks = hooks.clone();
        async move { hooks.publish(&publisher("bob")).await }
    });
    backend.calls(6).await;
    assert!(close(metric(&registry, "headgate_hook_circuit_state", "backend"), 1.0));
    let refusal = hooks
        .publish(&publisher("carol"))
        .await
        .expect_err("one is enough to see");
    assert_eq!((refusal.reason, backend.seen().len()), (Reason::HookCircuitOpen, 6));
    trial.await.expect("no panic").expect_err("it hangs still");

    dead.store(false, Ordering::Relaxed);
    hooks.publish(&publisher("dave")).await.expect_err("not yet");
    sleep(5 * SECOND).await;
    hooks.publish(&publisher("dave")).await.expect("it answers again");
    hooks.publish(&publisher("erin")).await.expect("and is asked by all");
    assert!(!hooks.reports()[0].circuit_open);
    assert!(close(metric(&registry, "headgate_hook_circuit_state", "backend"), 0.0));
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_lets_in_or_not_by_the_policy_and_that_is_shown_for_a_minute() {
    let backend = Backend::new(|_, _| refused());
    let (hooks, registry) = backend.hooks(&[policy(FailurePolicy::Ignore)]);
    for _ in 0..20 {
        hooks.publish(&publisher("alice")).await.expect("ignored");
    }
    assert_eq!(backend.seen().len(), 5);
    assert!(close(
        metric(&registry, "headgate_hook_fail_open_total", "on_publish"),
        20.0
    ));
    assert!(hooks.reports()[0].fail_open);
    sleep(61 * SECOND).await;
    assert!(!hooks.reports()[0].fail_open);
}

#[tokio::test(start_paused = true)]
async fn edited_urls_are_asked_at_once_whatever_the_old_ones_did() {
    let backend = Backend::new(|seen, _| {
        if seen.call.url.host_str() == Some("new.test") {
            ok()
        } else {
            refused()
        }
    });
    let (hooks, _registry) = backend.hooks(&[endpoint("backend")]);
    for _ in 0..6 {
        hooks.publish(&publisher("alice")).await.expect_err("refused");
    }
    let edited = HookEndpoint {
        urls: vec!["http://new.test/hook".into()],
        ..endpoint("backend")
    };
    hooks.reconfigure(&common::server(), &[edited]);
    hooks.publish(&publisher("alice")).await.expect("the new one says yes");
    assert!(!hooks.reports()[0].circuit_open);
}

#[tokio::test(start_paused = true)]
async fn a_black_hole_does_not_slow_down_another_endpoint() {
    let backend = Backend::new(|seen, _| {
        let hole = seen.call.url.host_str() == Some("hole.test");
        if hole { hang() } else { after(1, ok()) }
    });
    let only = |name: &str, app: &str| {
        let mut one = endpoint(name);
        one.matches.streams = vec![format!("{app}-*")];
        one
    };
    let (hooks, _registry) = backend.hooks(&[only("hole", "bad"), only("well", "good")]);
    let ask = |name: String| {
        let hooks = hooks.clone();
        async move {
            let started = Instant::now();
            let answered = hooks.publish(&publisher(&name)).await.is_ok();
            (answered, started.elapsed())
        }
    };
    let bad = futures::future::join_all((0..2000).map(|n| ask(format!("bad-{n}"))));
    let good = async {
        let mut slowest = Duration::ZERO;
        for n in 0..500 {
            let (answered, took) = ask(format!("good-{n}")).await;
            assert!(answered);
            slowest = slowest.max(took);
        }
        slowest
    };
    let (bad, slowest) = futures::future::join(bad, good).await;
    assert!(bad.iter().all(|(answered, took)| !answered && *took <= 3 * SECOND));
    assert!(slowest <= Duration::from_millis(2), "{slowest:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_publishers_and_rtmp_players_unless_somebody_says_so() {
    let backend = Backend::new(|_, _| ok());
    let (hooks, _registry) = backend.hooks(&[endpoint("backend")]);
    for _ in 0..2 {
        hooks.publish(&publisher("alice")).await.expect("yes");
        assert!(play(&hooks, Protocol::Rtmp, 1, "?t=1").await);
        assert!(play(&hooks, Protocol::HttpFlv, 1, "?t=1").await);
    }
    assert_eq!(backend.seen().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_viewer_of_hls_is_asked_about_once_in_ten_minutes_and_still_told_of() {
    let backend = Backend::new(|_, _| ok());
    let (hooks, registry) = backend.hooks(&[endpoint("backend")]);
    assert!(play(&hooks, Protocol::Hls, 1, "?t=1").await);
    let again = player(Protocol::Hls, 2, "?t=1");
    hooks.play(&again).await.expect("it is kept");
    hooks.stop(&again, Traffic::default());
    let seen = backend.calls(3).await;
    assert_eq!(backend.actions(), ["on_play", "on_play", "on_stop"]);
    assert_eq!(
        seen[1].header("x-media-session"),
        again.id.to_string(),
        "told, so that the pair is whole"
    );
    assert!(close(metric(&registry, "headgate_hook_cache_total", "hit"), 1.0));
    let class = |class| metric(&registry, "headgate_hook_requests_total", class);
    assert!(close(class("admission"), 1.0) && close(class("notification"), 2.0));
    sleep(Duration::from_mins(10)).await;
    assert!(play(&hooks, Protocol::Hls, 1, "?t=1").await);
    assert!(close(
        metric(&registry, "headgate_hook_requests_total", "admission"),
        2.0
    ));
}

#[tokio::test(start_paused = true)]
async fn a_back_end_of_zlmediakit_hears_nothing_where_a_query_is_known() {
    let backend = Backend::new(|_, _| answer(200, r#"{"code":0}"#, None));
    let (hooks, _registry) = backend.hooks(&[of(Dialect::ZLMediaKit, "backend")]);
    for port in 1..4 {
        assert!(play(&hooks, Protocol::Hls, port, "?t=1").await);
    }
    assert!(play(&hooks, Protocol::Hls, 4, "?t=2").await);
    sleep(SECOND).await;
    assert_eq!(backend.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn viewers_of_hls_without_a_query_are_known_by_their_connection() {
    let backend = Backend::new(|_, _| ok());
    let (hooks, registry) = backend.hooks(&[endpoint("backend")]);
    for port in [1, 1, 2] {
        assert!(play(&hooks, Protocol::Hls, port, "").await);
    }
    assert!(close(
        metric(&registry, "headgate_hook_requests_total", "admission"),
        2.0
    ));
}

#[tokio::test(start_paused = true)]
async fn a_no_to_a_viewer_is_kept_for_two_seconds_and_a_failure_never() {
    let answers = Arc::new(Mutex::new(vec![answer(200, "1", None), status(500), ok()].into_iter()));
    let backend = Backend::new(move |_, _| answers.lock().next().unwrap_or_else(ok));
    let (hooks, _registry) = backend.hooks(&[endpoint("backend")]);
    for _ in 0..3 {
        assert!(!play(&hooks, Protocol::Hls, 1, "?t=1").await);
    }
    assert_eq!(backend.seen().len(), 1);
    sleep(2 * SECOND).await;
    assert!(!play(&hooks, Protocol::Hls, 1, "?t=1").await, "status 500");
    assert!(play(&hooks, Protocol::Hls, 1, "?t=1").await, "asked at once");
}

#[tokio::test(start_paused = true)]
async fn identical_questions_at_one_time_are_one_call() {
    let backend = Backend::new(|_, _| after(100, ok()));
    let (hooks, registry) = backend.hooks(&[endpoint("backend")]);
    let all = (0..500).map(|port| play(&hooks, Protocol::Hls, port, "?t=1"));
    let let_in = futures::future::join_all(all).await;
    assert!(let_in.iter().all(|yes| *yes));
    assert!(close(
        metric(&registry, "headgate_hook_requests_total", "admission"),
        1.0
    ));
    backend.calls(500).await;
    let sessions: HashSet<String> = backend
        .seen()
        .iter()
        .map(|seen| seen.header("x-media-session"))
        .collect();
    assert_eq!(sessions.len(), 500, "each is told of");
}

#[tokio::test(start_paused = true)]
async fn publishers_are_kept_where_the_spec_says_so_and_forgotten_with_their_key() {
    let backend = Backend::new(|_, _| ok());
    let (hooks, registry) = backend.hooks(&[cached(30, 5)]);
    let admissions = || metric(&registry, "headgate_hook_requests_total", "admission");
    let by_key = Arc::new(Session {
        key: Some("alice-key".into()),
        ..Session::clone(&publisher("alice"))
    });
    hooks.publish(&by_key).await.expect("asked");
    hooks.publish(&by_key).await.expect("kept");
    assert!(close(admissions(), 1.0));
    hooks.forget_keys(&HashSet::from(["bob-key"]));
    hooks.publish(&by_key).await.expect("kept");
    hooks.forget_keys(&HashSet::from(["alice-key"]));
    hooks.publish(&by_key).await.expect("asked");
    assert!(close(admissions(), 2.0));
    sleep(31 * SECOND).await;
    hooks.publish(&by_key).await.expect("asked");
    assert!(close(admissions(), 3.0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_says_itself_how_long_it_holds() {
    let backend = Backend::new(|_, _| answer(200, r#"{"allow":true,"ttlSeconds":60}"#, None));
    let (hooks, registry) = backend.hooks(&[of(Dialect::CloudEvents, "backend")]);
    hooks.publish(&publisher("alice")).await.expect("asked");
    sleep(59 * SECOND).await;
    hooks.publish(&publisher("alice")).await.expect("kept");
    sleep(2 * SECOND).await;
    hooks.publish(&publisher("alice")).await.expect("asked");
    assert!(close(
        metric(&registry, "headgate_hook_requests_total", "admission"),
        2.0
    ));
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_stands_in_for_one_that_does_not_come_for_as_long_as_it_may() {
    for (failure_policy, lets_in) in [
        (FailurePolicy::CachedOrFail, false),
        (FailurePolicy::CachedOrIgnore, true),
    ] {
        let dead = Arc::new(AtomicBool::new(false));
        let script = Arc::clone(&dead);
        let backend = Backend::new(move |seen, _| match seen.stream.as_str() {
            _ if script.load(Ordering::Relaxed) => refused(),
            "mallory" => answer(200, "1", None),
            _ => ok(),
        });
        let (hooks, registry) = backend.hooks(&[policy(failure_policy)]);
        hooks.publish(&publisher("alice")).await.expect("yes");
        hooks.publish(&publisher("mallory")).await.expect_err("no");
        hooks.publish(&publisher("alice")).await.expect("asked, not kept");
        assert_eq!(backend.seen().len(), 3);
        dead.store(true, Ordering::Relaxed);
        sleep(299 * SECOND).await;
        hooks.publish(&publisher("alice")).await.expect("as it last said");
        let refusal = hooks.publish(&publisher("mallory")).await.expect_err("as it last said");
        assert_eq!(refusal.reason, Reason::HookDenied);
        assert!(close(metric(&registry, "headgate_hook_fail_open_total", ""), 0.0));
        assert_eq!(
            hooks.publish(&publisher("bob")).await.is_ok(),
            lets_in,
            "nothing is known of him"
        );
        sleep(2 * SECOND).await;
        assert_eq!(
            hooks.publish(&publisher("alice")).await.is_ok(),
            lets_in,
            "too long ago"
        );
        assert_eq!(metric(&registry, "headgate_hook_fail_open_total", "") > 1.5, lets_in);
    }
}

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
