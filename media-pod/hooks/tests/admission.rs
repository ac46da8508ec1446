//! Admission over a scripted back end: order, the three outcomes, budget, bounds.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics fails, as it should"
)]

mod common;

use common::{Backend, Reply, answer, connection, endpoint, hang, metric, ok, publisher, session, status};
use headgate_control::{FailurePolicy, HookEndpoint, HookEvent};
use headgate_hooks::dialect::Answer;
use headgate_hooks::transport::TransportError;
use headgate_hub::{Connection, Protocol, Reason, SessionKind, Traffic};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

fn urls(name: &str, count: usize) -> HookEndpoint {
    let urls = (1..=count).map(|n| format!("http://{name}{n}.test/hook")).collect();
    HookEndpoint { urls, ..endpoint(name) }
}

fn hosts(backend: &Backend) -> Vec<String> {
    backend
        .seen()
        .iter()
        .map(|seen| seen.call.url.host_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn endpoints_and_urls_are_asked_in_order_and_the_first_no_stops() {
    let backend = Backend::new(|seen, _| match seen.call.url.host_str() {
        Some("b2.test") => answer(200, r#"{"code":7,"msg":"quota is used up"}"#, None),
        _ => ok(),
    });
    let (hooks, registry) = backend.hooks(&[urls("a", 2), urls("b", 3), urls("c", 1)]);
    let refusal = hooks.publish(&publisher("alice")).await.expect_err("b2 says no");
    assert_eq!(refusal.reason, Reason::HookDenied);
    assert_eq!(
        refusal.message,
        "HookEndpoint b: on_publish: b2.test: answered code 7: quota is used up"
    );
    assert_eq!(hosts(&backend), ["a1.test", "a2.test", "b1.test", "b2.test"]);
    assert!((metric(&registry, "headgate_hook_requests_total", "allow") - 3.0).abs() < 0.1);
    assert!((metric(&registry, "headgate_hook_requests_total", "deny") - 1.0).abs() < 0.1);
    let reports = hooks.reports();
    assert_eq!(reports[0].reachable, Some(true));
    assert!(reports[0].answered && !reports[2].answered);
    let failure = reports[1].last_failure.clone().expect("a refusal is told");
    assert_eq!(
        (failure.event.as_str(), failure.reason.as_str()),
        ("on_publish", "HookDenied")
    );
    assert_eq!(failure.message, "b2.test: answered code 7");
}

#[tokio::test(start_paused = true)]
async fn each_outcome_has_its_reason_and_no_query_in_its_message() {
    let script = |_: &common::Seen, count: usize| match count {
        0 => answer(200, "1", None),
        1 => status(500),
        2 => status(302),
        3 => answer(200, "<html>", None),
        4 => Reply {
            after: Duration::ZERO,
            result: Ok(Answer {
                status: 200,
                body: None,
                retry_after: None,
                max_age: None,
            }),
        },
        5 => answer(200, r#"{"code":2}"#, None),
        6 => Reply {
            after: Duration::ZERO,
            result: Err(TransportError::Connect("connection refused".into())),
        },
        _ => hang(),
    };
    let backend = Backend::new(script);
    let secret = HookEndpoint {
        urls: vec!["http://b.test:8085/hook?token=s3cret".into()],
        ..endpoint("backend")
    };
    let (hooks, _registry) = backend.hooks(&[secret]);
    let expected = [
        (Reason::HookDenied, "answered code 1"),
        (Reason::HookBadStatus, "answered with status 500"),
        (Reason::HookBadStatus, "answered with status 302"),
        (
            Reason::HookBadAnswer,
            "answered 200 with 6 bytes that are neither 0 nor a JSON object with an integer code",
        ),
        (Reason::HookBadAnswer, "answered with more than 65536 bytes"),
        (Reason::HookDenied, "answered code 2"),
        (Reason::HookUnreachable, "cannot connect: connection refused"),
        (Reason::HookTimeout, "no answer within 3000 ms"),
    ];
    for (reason, what) in expected {
        let refusal = hooks.publish(&publisher("alice")).await.expect_err("nobody says yes");
        assert_eq!(refusal.reason, reason);
        assert_eq!(
            refusal.message,
            format!("HookEndpoint backend: on_publish: b.test:8085: {what}")
        );
        let failure = hooks.reports()[0].last_failure.clone().expect("it is told");
        assert_eq!(failure.message, format!("b.test:8085: {what}"));
        assert!(!failure.message.contains("s3cret"));
    }
    assert_eq!(hooks.reports()[0].reachable, Some(false));
}

#[tokio::test(start_paused = true)]
async fn the_timeout_is_one_for_all_urls_of_an_endpoint() {
    let backend = Backend::new(|_, _| Reply {
        after: Duration::from_secs(2),
        ..ok()
    });
    let (hooks, _registry) = backend.hooks(&[urls("a", 3)]);
    let started = Instant::now();
    let refusal = hooks
        .publish(&publisher("alice"))
        .await
        .expect_err("two of 2 s do not fit into 3 s");
    assert_eq!(refusal.reason, Reason::HookTimeout);
    assert_eq!(started.elapsed().as_secs(), 3);
    assert_eq!(hosts(&backend), ["a1.test", "a2.test"]);
}

#[tokio::test(start_paused = true)]
async fn ignore_lets_pass_what_got_no_answer_and_counts_it_but_never_a_no() {
    let backend = Backend::new(|_, count| {
        if count == 0 {
            status(500)
        } else {
            answer(200, r#"{"code":1}"#, None)
        }
    });
    let open = HookEndpoint {
        failure_policy: FailurePolicy::Ignore,
        ..endpoint("backend")
    };
    let (hooks, registry) = backend.hooks(&[open]);
    hooks.publish(&publisher("alice")).await.expect("no answer is ignored");
    assert!((metric(&registry, "headgate_hook_fail_open_total", "on_publish") - 1.0).abs() < 0.1);
    let refusal = hooks.publish(&publisher("alice")).await.expect_err("a no is a no");
    assert_eq!(refusal.reason, Reason::HookDenied);
    assert!((metric(&registry, "headgate_hook_fail_open_total", "") - 1.0).abs() < 0.1);
}

#[tokio::test(start_paused = true)]
async fn only_endpoints_that_take_the_event_and_the_stream_are_asked() {
    let backend = Backend::new(|_, _| ok());
    let mut rooms = endpoint("rooms");
    rooms.matches.streams = vec!["room-*".into()];
    let plays = HookEndpoint {
        events: vec![HookEvent::Play],
        ..endpoint("plays")
    };
    let (hooks, _registry) = backend.hooks(&[rooms, plays]);
    hooks.publish(&publisher("alice")).await.expect("nobody is asked");
    assert!(backend.seen().is_empty());
    hooks.publish(&publisher("room-1")).await.expect("rooms says yes");
    hooks
        .play(&session(SessionKind::Play, "alice"))
        .await
        .expect("plays says yes");
    assert_eq!(hosts(&backend), ["rooms.test", "plays.test"]);
    assert_eq!(backend.actions(), ["on_publish", "on_play"]);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_without_a_url_lets_nobody_in() {
    let backend = Backend::new(|_, _| ok());
    let (hooks, _registry) = backend.hooks(&[urls("a", 0)]);
    let refusal = hooks.publish(&publisher("alice")).await.expect_err("nobody was asked");
    assert_eq!(
        refusal.to_string(),
        "HookUnreachable: HookEndpoint a: on_publish: it has no URL"
    );
}

#[tokio::test(start_paused = true)]
async fn a_connect_is_asked_with_the_stream_it_came_for() {
    let backend = Backend::new(|_, _| ok());
    let (hooks, _registry) = backend.hooks(&[endpoint("backend")]);
    hooks.connect(&connection("alice")).await.expect("yes");
    assert_eq!(backend.actions(), ["on_connect"]);
    assert_eq!(backend.seen()[0].stream, "alice");
}

#[tokio::test(start_paused = true)]
async fn an_http_player_has_no_connection_to_ask_or_tell_about() {
    let backend = Backend::new(|_, _| status(500));
    let (hooks, _registry) = backend.hooks(&[endpoint("backend")]);
    let client = Arc::new(Connection {
        protocol: Protocol::HttpFlv,
        ..Connection::clone(&connection("alice"))
    });
    hooks.connect(&client).await.expect("nobody is asked");
    hooks.close(&client, Traffic::default());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(backend.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn sixty_four_are_asked_at_a_time_and_the_rest_wait_no_longer_than_the_timeout() {
    let backend = Backend::new(|_, _| Reply {
        after: Duration::from_secs(2),
        ..ok()
    });
    let (hooks, registry) = backend.hooks(&[endpoint("backend")]);
    let publish = |n: usize| {
        let hooks = hooks.clone();
        async move { hooks.publish(&publisher(&format!("s{n}"))).await }
    };
    let all = futures::future::join_all((0..65 + 1024 + 10).map(publish));
    let watch = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(backend.seen().len(), 64);
        assert!((metric(&registry, "headgate_hook_inflight", "admission") - 64.0).abs() < 0.1);
    };
    let (results, ()) = futures::future::join(all, watch).await;
    // 64 are answered after 2 s; the next 64 get a place then, and their time is up 1 s later.
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 64);
    assert!(
        results
            .iter()
            .filter_map(|result| result.as_ref().err())
            .all(|r| r.reason == Reason::HookTimeout)
    );
    assert!(metric(&registry, "headgate_hook_inflight", "").abs() < 0.1);
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_that_closes_before_an_answer_is_tried_once_more_under_the_same_id() {
    let closed = || Reply {
        after: Duration::ZERO,
        result: Err(TransportError::Stale),
    };
    let backend = Backend::new(move |_, count| if count == 0 { closed() } else { ok() });
    let (hooks, _registry) = backend.hooks(&[endpoint("backend")]);
    hooks
        .publish(&publisher("alice"))
        .await
        .expect("the second connection answers");
    let seen = backend.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
    assert_eq!(
        (seen[0].header("x-media-attempt"), seen[1].header("x-media-attempt")),
        ("1".into(), "2".into())
    );

    let backend = Backend::new(move |_, _| closed());
    let (hooks, _registry) = backend.hooks(&[endpoint("backend")]);
    let refusal = hooks
        .publish(&publisher("alice"))
        .await
        .expect_err("it closes for ever");
    assert_eq!((refusal.reason, backend.seen().len()), (Reason::HookUnreachable, 2));
}

#[tokio::test(start_paused = true)]
async fn an_edited_url_is_asked_by_the_next_call_and_starts_with_a_clean_report() {
    let backend = Backend::new(|seen, _| {
        if seen.call.url.host_str() == Some("new.test") {
            ok()
        } else {
            status(500)
        }
    });
    let (hooks, _registry) = backend.hooks(&[endpoint("backend")]);
    let mut changed = hooks.changed();
    hooks.publish(&publisher("alice")).await.expect_err("the old one fails");
    assert!(changed.has_changed().expect("alive"));
    changed.mark_unchanged();
    let edited = HookEndpoint {
        urls: vec!["http://new.test/{event}".into()],
        ..endpoint("backend")
    };
    hooks.reconfigure(&common::server(), &[edited]);
    assert!(changed.has_changed().expect("alive"));
    assert_eq!(hooks.reports()[0].last_failure, None);
    assert_eq!(hooks.reports()[0].reachable, None);
    hooks.publish(&publisher("alice")).await.expect("the new one says yes");
    assert_eq!(backend.seen()[1].call.url.as_str(), "http://new.test/on_publish");
    assert_eq!(hooks.reports()[0].reachable, Some(true));
}
