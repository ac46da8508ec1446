//! Decisions that are kept.

use crate::common::{Backend, answer, endpoint, metric, ok, publisher, status};
use crate::{SECOND, after, cached, close, of, play, player, policy, refused};
use headgate_control::{Dialect, FailurePolicy};
use headgate_hub::{Protocol, Reason, Session, Traffic};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::sleep;

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
