//! Every metric of the hooks is there, and moves with what it is about: read before and after, in virtual time.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::float_cmp,
    reason = "a test that panics fails, as it should; counts are whole"
)]

mod common;

use common::{Backend, Seen, answer, endpoint, hang, killed, metric, ok, publisher, status};
use headgate_control::{CachePolicy, FailurePolicy, HookEndpoint, Letters, Orphan, Replay};
use headgate_hooks::Hooks;
use headgate_hooks::transport::TransportError;
use headgate_hub::Traffic;
use jiff::Timestamp;
use parking_lot::Mutex;
use prometheus::Registry;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// How often a histogram was told something, over the series whose labels hold `label` as a value (any: "").
fn observed(registry: &Registry, name: &str, label: &str) -> u64 {
    let families = registry.gather();
    let series = families
        .iter()
        .filter(|f| f.name() == name)
        .flat_map(prometheus::proto::MetricFamily::get_metric);
    let meant = series.filter(|m| label.is_empty() || m.get_label().iter().any(|pair| pair.value() == label));
    meant.map(|m| m.get_histogram().get_sample_count()).sum()
}

fn counter(registry: &Registry, name: &str, label: &str) -> f64 {
    metric(registry, &format!("headgate_hook_{name}"), label)
}

/// What a back end does with a call.
type Does = fn(&Seen) -> common::Reply;

/// A back end that does as it is told now.
fn obedient() -> (Backend, Arc<Mutex<Does>>) {
    let now = Arc::new(Mutex::new((|_| ok()) as Does));
    let does = Arc::clone(&now);
    (Backend::new(move |seen, _| (*does.lock())(seen)), now)
}

fn refused() -> common::Reply {
    common::Reply {
        after: Duration::ZERO,
        result: Err(TransportError::Connect("refused".into())),
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_is_counted_by_its_outcome_and_measured_by_what_decided_it() {
    let (backend, does) = obedient();
    let asks = HookEndpoint {
        failure_policy: FailurePolicy::Ignore,
        cache: CachePolicy {
            allow_seconds: Some(60),
            ..CachePolicy::default()
        },
        ..endpoint("backend")
    };
    let (hooks, registry) = backend.hooks(&[asks]);
    let decided = |source: &str| observed(&registry, "headgate_hook_admission_duration_seconds", source);
    hooks.publish(&publisher("alice")).await.expect("yes");
    assert_eq!(
        (counter(&registry, "requests_total", "allow"), decided("hook")),
        (1.0, 1)
    );
    assert_eq!(
        observed(&registry, "headgate_hook_request_duration_seconds", "on_publish"),
        1
    );
    assert_eq!(
        observed(&registry, "headgate_hook_admission_overhead_seconds", "Publish"),
        1
    );
    assert_eq!(counter(&registry, "cache_total", "miss"), 1.0);
    hooks.publish(&publisher("alice")).await.expect("yes");
    assert_eq!((counter(&registry, "cache_total", "hit"), decided("cache")), (1.0, 1));
    *does.lock() = |_| answer(200, "1", None);
    hooks.publish(&publisher("bob")).await.expect_err("no");
    assert_eq!(counter(&registry, "requests_total", "deny"), 1.0);
    *does.lock() = |_| refused();
    for number in 0..5 {
        let stream = format!("s{number}");
        hooks.publish(&publisher(&stream)).await.expect("by its policy");
    }
    assert_eq!(counter(&registry, "requests_total", "no_answer"), 5.0);
    assert_eq!(
        (counter(&registry, "fail_open_total", "on_publish"), decided("policy")),
        (5.0, 5)
    );
    assert_eq!(counter(&registry, "circuit_state", "backend"), 2.0);
    let (nobody, registry) = backend.hooks(&[]);
    nobody.publish(&publisher("alice")).await.expect("nobody is asked");
    assert_eq!(
        observed(&registry, "headgate_hook_admission_duration_seconds", "local"),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_is_counted_while_it_is_under_way() {
    let backend = Backend::new(|_, _| hang());
    let (hooks, registry) = backend.hooks(&[endpoint("backend")]);
    hooks.unpublish(&publisher("bob"), Traffic::default());
    let asked = tokio::spawn({
        let hooks = hooks.clone();
        async move { hooks.publish(&publisher("alice")).await }
    });
    backend.calls(2).await;
    assert_eq!(counter(&registry, "inflight", "admission"), 1.0);
    assert_eq!(counter(&registry, "inflight", "notification"), 1.0);
    asked.await.expect("a task").expect_err("no answer in time");
    assert_eq!(counter(&registry, "inflight", "admission"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_counted_by_number_and_age() {
    let backend = Backend::new(|_, count| if count < 3 { status(503) } else { ok() });
    let (hooks, registry) = backend.hooks(&[endpoint("backend")]);
    hooks.unpublish(&publisher("alice"), Traffic::default());
    backend.calls(3).await;
    assert_eq!(counter(&registry, "outbox_pending", "backend"), 1.0);
    assert!(counter(&registry, "outbox_oldest_seconds", "backend") >= 4.0);
    backend.calls(4).await;
    sleep(SECOND).await;
    assert_eq!(counter(&registry, "requests_total", "retry"), 3.0);
    assert_eq!(counter(&registry, "requests_total", "acked"), 1.0);
    assert_eq!(counter(&registry, "outbox_pending", "backend"), 0.0);
}

/// Waits until it is so. The writers are threads of their own, for which no virtual time stands still.
async fn soon(what: &str, is_so: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed() < 20 * SECOND, "{what}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_is_on_disk_is_counted_until_it_is_told_or_dead() {
    let (backend, does) = obedient();
    let state = tempfile::tempdir().expect("a folder");
    let (hooks, registry) = backend.pod(state.path(), &[endpoint("backend")]);
    assert_eq!(counter(&registry, "outbox_durable", ""), 1.0);
    let alice = publisher("alice");
    hooks.publish(&alice).await.expect("yes");
    assert_eq!(counter(&registry, "ledger_open", ""), 1.0);
    *does.lock() = |_| status(400);
    hooks.unpublish(&alice, Traffic::default());
    soon("its session is closed", || counter(&registry, "ledger_open", "") == 0.0).await;
    soon("it is written", || counter(&registry, "outbox_bytes", "") > 0.0).await;
    assert!(observed(&registry, "headgate_hook_outbox_append_seconds", "") >= 2);
    soon("it is dead", || {
        counter(&registry, "deadletter_total", "Rejected") == 1.0
    })
    .await;
    soon("it is kept", || counter(&registry, "deadletters", "backend") == 1.0).await;
    assert_eq!(counter(&registry, "requests_total", "dead"), 1.0);

    *does.lock() = |_| ok();
    let again = HookEndpoint {
        replay: Some(Replay {
            wish: "all".into(),
            letters: Letters::Between(Timestamp::MIN, Timestamp::MAX),
        }),
        ..endpoint("backend")
    };
    hooks.reconfigure(&common::server(), &[again]);
    soon("it is told", || counter(&registry, "requests_total", "acked") == 1.0).await;
    soon("it is no dead letter", || {
        counter(&registry, "deadletters", "backend") == 0.0
    })
    .await;
    assert_eq!(counter(&registry, "replayed_total", "backend"), 1.0);
    *does.lock() = |_| answer(200, "7", None);
    hooks.unpublish(&publisher("bob"), Traffic::default());
    soon("it is heard", || {
        counter(&registry, "requests_total", "app_error") == 1.0
    })
    .await;
}

async fn open(hooks: &Hooks, stream: &str) {
    hooks.publish(&publisher(stream)).await.expect("yes");
}

#[tokio::test]
async fn what_another_process_or_pod_left_is_counted_where_it_is_taken_up() {
    let (backend, does) = obedient();
    let state = tempfile::tempdir().expect("a folder");
    let (lost, lost_registry) = backend.pod(state.path(), &[endpoint("backend")]);
    open(&lost, "alice").await;
    *does.lock() = |_| status(503);
    lost.unpublish(&publisher("bob"), Traffic::default());
    lost.flush(Duration::from_millis(50)).await;
    let copy = killed(state.path());
    *does.lock() = |_| ok();
    let (_next, registry) = backend.pod(copy.path(), &[endpoint("backend")]);
    assert_eq!(counter(&registry, "outbox_recovered_total", "notification"), 1.0);
    assert_eq!(counter(&registry, "outbox_recovered_total", "session"), 1.0);
    assert_eq!(counter(&registry, "synthesized_total", "Restart"), 1.0);

    let own = tempfile::tempdir().expect("a folder");
    let (other, registry) = backend.pod(own.path(), &[endpoint("backend")]);
    let orphans: Vec<Orphan> = lost
        .ledger()
        .open
        .into_iter()
        .map(|entry| Orphan {
            session: entry.session,
            sealed: entry.sealed,
            adopter: "live-1".into(),
        })
        .collect();
    other.adopt(&orphans, "live-1");
    assert_eq!(counter(&registry, "orphans_total", "Told"), 1.0);
    assert_eq!(counter(&registry, "synthesized_total", "Orphan"), 1.0);

    let records = lost.hand_over();
    assert_eq!(records.len(), 1);
    other.take_over(records.clone()).await.expect("it has a config");
    lost.handed_over(&records).await;
    assert_eq!(counter(&registry, "handover_total", "in"), 1.0);
    assert_eq!(counter(&lost_registry, "handover_total", "out"), 1.0);
}

#[test]
fn every_metric_that_is_promised_is_there_from_the_start_or_has_a_test_above() {
    let registry = Registry::new();
    let place = common::place(true);
    let _hooks = Hooks::new(&registry, "x", &place, &headgate_hooks::Storage::default()).expect("a fresh registry");
    let there: Vec<String> = registry
        .gather()
        .iter()
        .map(|family| family.name().to_owned())
        .collect();
    for name in [
        "outbox_bytes",
        "outbox_append_seconds",
        "outbox_compactions_total",
        "ssrf_blocked_total",
        "ledger_open",
    ] {
        let name = format!("headgate_hook_{name}");
        assert!(there.contains(&name), "{name} is not in {there:?}");
    }
}
