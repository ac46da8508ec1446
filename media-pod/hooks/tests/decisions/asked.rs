//! Questions that are asked again, and of several back ends.

use crate::common::{Backend, answer, endpoint, hang, metric, publisher, status};
use crate::{Make, SECOND, after, allow, close, deny, events, fails, of, refused};
use headgate_control::{Dialect, FailurePolicy, HookEndpoint};
use headgate_hooks::transport::TransportError;
use headgate_hub::Reason;
use std::collections::HashSet;
use tokio::time::{Instant, sleep};

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
