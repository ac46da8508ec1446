//! Back ends that do not answer.

use crate::common::{Backend, endpoint, hang, metric, ok, publisher, server};
use crate::{SECOND, after, close, policy, refused};
use headgate_control::{FailurePolicy, HookEndpoint};
use headgate_hub::Reason;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

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
    hooks.reconfigure(&server(), &[edited]);
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
