//! What outlives a process and a pod, over a scripted back end: restart, orphans, hand-over, the ledger.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics fails, as it should"
)]

mod common;

use common::{Backend, endpoint, killed, metric, ok, publisher, session, session_on, status};
use headgate_control::{HookEndpoint, HookEvent, LedgerEntry, LedgerLine, Orphan};
use headgate_hooks::{HandoverRecord, Hooks, TakeOverError};
use headgate_hub::{Connection, Session, SessionKind, Traffic};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const TRAFFIC: Traffic = Traffic { sent: 1, received: 2 };

fn up() -> Backend {
    Backend::new(|_, _| ok())
}

/// Says yes to questions and takes no notification.
fn deaf() -> Backend {
    Backend::new(|seen, _| match seen.action.as_str() {
        "on_connect" | "on_publish" | "on_play" => ok(),
        _ => status(503),
    })
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Everything that was told, with its id, in order.
fn told(backend: &Backend) -> Vec<(String, String)> {
    let seen = backend.seen().into_iter();
    let told = seen.filter(|seen| !matches!(seen.action.as_str(), "on_connect" | "on_publish" | "on_play"));
    told.map(|seen| (seen.action.clone(), seen.header("webhook-id")))
        .collect()
}

fn actions(backend: &Backend) -> Vec<String> {
    told(backend).into_iter().map(|(action, _)| action).collect()
}

/// Waits until a condition holds.
async fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(holds(), "not in time: {what}");
}

/// A connection of its own with a publisher on it, both let in.
async fn live(hooks: &Hooks, stream: &str) -> Arc<Session> {
    let connection = Arc::new(Connection {
        client_id: headgate_hub::client_id(),
        ..(*common::connection(stream)).clone()
    });
    hooks.connect(&connection).await.expect("yes");
    let session = session_on(SessionKind::Publish, stream, connection);
    hooks.publish(&session).await.expect("yes");
    session
}

fn closing_id(session: Uuid, event: &str) -> String {
    Uuid::new_v5(&session, event.as_bytes()).to_string()
}

fn orphans(entries: &[LedgerEntry], adopter: &str) -> Vec<Orphan> {
    let orphan = |entry: &LedgerEntry| Orphan {
        session: entry.session,
        adopter: adopter.into(),
        sealed: entry.sealed.clone(),
    };
    entries.iter().map(orphan).collect()
}

#[tokio::test]
async fn who_is_in_when_the_process_dies_has_the_closing_events_from_the_next_one() {
    let (backend, state) = (up(), folder());
    let (hooks, _registry) = backend.pod(state.path(), &[endpoint("backend")]);
    let alice = live(&hooks, "alice").await;
    let viewer = session(SessionKind::Play, "alice");
    hooks.play(&viewer).await.expect("yes");
    let image = killed(state.path());

    let next = up();
    let (_hooks, registry) = next.pod(image.path(), &[endpoint("backend")]);
    next.calls(3).await;
    assert_eq!(actions(&next), ["on_unpublish", "on_stop", "on_close"]);
    assert_eq!(told(&next)[0].1, closing_id(alice.id, "Unpublish"));
    assert_eq!(told(&next)[1].1, closing_id(viewer.id, "Stop"));
    let seen = next.seen();
    assert_eq!(seen[0].header("x-media-session"), alice.id.to_string());
    let param = |seen: &common::Seen| String::from_utf8_lossy(&seen.call.body).contains("?token=abc&x=1");
    assert!(param(&seen[0]), "the body is whole");
    assert!((metric(&registry, "headgate_hook_synthesized_total", "Restart") - 3.0).abs() < 0.1);
    assert!((metric(&registry, "headgate_hook_outbox_recovered_total", "session") - 3.0).abs() < 0.1);

    // The first one lives on in this test, and tells of the same under the same ids.
    hooks.unpublish(&alice, TRAFFIC);
    hooks.stop(&viewer, TRAFFIC);
    hooks.close(&alice.connection, TRAFFIC);
    soon("told", || told(&backend).len() == 3).await;
    let sorted = |mut all: Vec<(String, String)>| {
        all.sort();
        all
    };
    assert_eq!(sorted(told(&backend)), sorted(told(&next)));
}

#[tokio::test]
async fn a_yes_is_on_disk_when_it_is_heard() {
    let (backend, state) = (up(), folder());
    let (hooks, _registry) = backend.pod(state.path(), &[endpoint("backend")]);
    for n in 0..50 {
        let session = publisher(&format!("s{n}"));
        hooks.publish(&session).await.expect("yes");
        let files = std::fs::read_dir(state.path().join("outbox")).expect("a folder");
        let found = files
            .map(|file| std::fs::read(file.expect("a file").path()).expect("bytes"))
            .any(|bytes| String::from_utf8_lossy(&bytes).contains(&session.id.to_string()));
        assert!(found, "session {n}");
    }
}

#[tokio::test]
async fn what_was_not_taken_goes_out_again_under_its_id_in_order_and_nothing_else_does() {
    let (backend, state) = (deaf(), folder());
    let (hooks, _registry) = backend.pod(state.path(), &[endpoint("backend")]);
    let (first, second) = (live(&hooks, "alice").await, live(&hooks, "alice").await);
    for session in [&first, &second] {
        hooks.unpublish(session, TRAFFIC);
        hooks.close(&session.connection, TRAFFIC);
    }
    hooks.flush(Duration::ZERO).await;
    let image = killed(state.path());

    let next = up();
    let (hooks, _registry) = next.pod(image.path(), &[endpoint("backend")]);
    next.calls(4).await;
    assert_eq!(actions(&next), ["on_unpublish", "on_close", "on_unpublish", "on_close"]);
    let [one, other] = [&first, &second].map(|session| closing_id(session.id, "Unpublish"));
    assert_eq!([&told(&next)[0].1, &told(&next)[2].1], [&one, &other]);
    assert_eq!(hooks.flush(Duration::from_secs(5)).await, 0);
    let image = killed(image.path());

    let third = up();
    let (_hooks, registry) = third.pod(image.path(), &[endpoint("backend")]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(third.seen().is_empty(), "all was taken");
    assert!(metric(&registry, "headgate_hook_outbox_recovered_total", "").abs() < 0.1);
}

#[tokio::test]
async fn what_is_left_waits_for_the_first_config_and_goes_where_that_says() {
    let (backend, state) = (deaf(), folder());
    let told_late = HookEndpoint {
        events: vec![HookEvent::Unpublish],
        ..endpoint("late")
    };
    let (hooks, _registry) = backend.pod(state.path(), &[endpoint("gone"), endpoint("backend")]);
    let alice = publisher("alice");
    hooks.publish(&alice).await.expect("yes");
    let bob = publisher("bob");
    hooks.publish(&bob).await.expect("yes");
    hooks.unpublish(&bob, TRAFFIC);
    hooks.flush(Duration::ZERO).await;
    let image = killed(state.path());

    let next = up();
    let (hooks, registry) = next.unconfigured(Some(image.path()));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(next.seen().is_empty());
    let moved = HookEndpoint {
        urls: vec!["http://moved.test/hook".into()],
        ..endpoint("backend")
    };
    hooks.reconfigure(&common::server(), &[moved, told_late]);
    let seen = next.calls(3).await;
    let mut to: Vec<(String, String)> = seen
        .iter()
        .map(|seen| {
            (
                seen.call.url.host_str().unwrap_or_default().to_owned(),
                seen.stream.clone(),
            )
        })
        .collect();
    to.sort();
    let expected = [("late.test", "alice"), ("moved.test", "alice"), ("moved.test", "bob")];
    assert_eq!(to, expected.map(|(host, stream)| (host.to_owned(), stream.to_owned())));
    assert!((metric(&registry, "headgate_hook_deadletter_total", "gone") - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn the_ledger_says_what_is_open_and_how_it_changes() {
    let (backend, state) = (up(), folder());
    let (hooks, _registry) = backend.pod(state.path(), &[endpoint("backend")]);
    let alice = live(&hooks, "alice").await;
    let mut ledger = hooks.ledger();
    assert_eq!(ledger.open.len(), 2, "the session and its connection");
    let sealed = hooks.sealed(alice.id).expect("an entry");
    assert!(
        ledger
            .open
            .iter()
            .any(|entry| entry.session == alice.id && entry.sealed == sealed)
    );
    assert!(!sealed.contains('=') && !sealed.contains("token"));

    let bob = publisher("bob");
    hooks.publish(&bob).await.expect("yes");
    hooks.unpublish(&alice, TRAFFIC);
    let opened = ledger.changes.next().await;
    let entry = LedgerEntry {
        session: bob.id,
        sealed: hooks.sealed(bob.id).expect("an entry"),
    };
    assert_eq!(opened, Some(LedgerLine::Open(entry)));
    assert_eq!(
        ledger.changes.next().await,
        Some(LedgerLine::Closed { session: alice.id })
    );
    assert_eq!(hooks.sealed(alice.id), None);

    // Another process says the same text of the same session.
    let image = killed(state.path());
    let (next, _registry) = backend.unconfigured(Some(image.path()));
    assert_eq!(next.sealed(bob.id), hooks.sealed(bob.id));
}

#[tokio::test]
async fn a_subscriber_that_is_too_far_behind_is_told_so() {
    let (hooks, _registry) = up().unconfigured(None);
    hooks.reconfigure(&common::server(), &[]);
    let mut ledger = hooks.ledger();
    for n in 0..5000 {
        hooks.publish(&publisher(&format!("s{n}"))).await.expect("yes");
    }
    assert_eq!(ledger.changes.next().await, None);
    assert_eq!(hooks.ledger().open.len(), 5000);
}

#[tokio::test]
async fn an_orphan_is_told_of_once_by_its_adopter_and_by_nobody_else() {
    let kept1 = folder();
    let (lost, _registry) = up().pod(kept1.path(), &[endpoint("backend")]);
    let alice = live(&lost, "alice").await;
    let all = orphans(&lost.ledger().open, "live-1");
    let (backend, state) = (up(), folder());
    let (hooks, registry) = backend.pod(state.path(), &[endpoint("backend")]);
    let mut changed = hooks.changed();
    hooks.adopt(&orphans(&lost.ledger().open, "live-2"), "live-1");
    assert!(hooks.adopted().is_empty(), "another pod's");
    // First what the `Stream` knows of: the publisher alone. Its connection is closed with it, behind it.
    let (publisher, connection): (Vec<Orphan>, Vec<Orphan>) = all.iter().cloned().partition(|o| o.session == alice.id);
    changed.mark_unchanged();
    let mut ledger = hooks.ledger();
    hooks.adopt(&publisher, "live-1");
    changed.changed().await.expect("it moves");
    // Whoever heard the lost pod is told, of its connection too.
    for session in [alice.id, connection[0].session] {
        assert_eq!(ledger.changes.next().await, Some(LedgerLine::Closed { session }));
    }
    soon("adopted", || hooks.adopted() == [alice.id]).await;
    soon("told", || backend.seen().len() == 2).await;
    assert_eq!(actions(&backend), ["on_unpublish", "on_close"]);
    assert_eq!(told(&backend)[0].1, closing_id(alice.id, "Unpublish"));
    // Then all of it, again and again, and over a restart.
    for _ in 0..3 {
        hooks.adopt(&all, "live-1");
    }
    soon("adopted", || hooks.adopted().len() == 2).await;
    assert!(hooks.adopted().contains(&connection[0].session));
    hooks.flush(Duration::from_secs(5)).await;
    let image = killed(state.path());
    let (next, _registry) = backend.pod(image.path(), &[endpoint("backend")]);
    next.adopt(&all, "live-1");
    assert_eq!(next.adopted().len(), 2);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(told(&backend).len(), 2, "once each");
    assert!((metric(&registry, "headgate_hook_synthesized_total", "Orphan") - 2.0).abs() < 0.1);
    hooks.adopt(&[], "live-1");
    assert!(hooks.adopted().is_empty());
}

#[tokio::test]
async fn a_connection_is_closed_behind_all_that_ran_on_it() {
    let kept2 = folder();
    let (lost, _registry) = up().pod(kept2.path(), &[endpoint("backend")]);
    let alice = live(&lost, "alice").await;
    let viewer = session_on(SessionKind::Play, "alice", alice.connection.clone());
    lost.play(&viewer).await.expect("yes");
    let backend = up();
    let kept3 = folder();
    let (hooks, _registry) = backend.pod(kept3.path(), &[endpoint("backend")]);
    hooks.adopt(&orphans(&lost.ledger().open, "live-1"), "live-1");
    soon("told", || told(&backend).len() >= 3).await;
    let mut first = actions(&backend)[..2].to_vec();
    first.sort();
    assert_eq!(first, ["on_stop", "on_unpublish"]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(actions(&backend)[2..], ["on_close"]);
}

#[tokio::test]
async fn what_can_never_be_told_is_counted_and_reported() {
    let backend = up();
    let kept4 = folder();
    let (hooks, registry) = backend.pod(kept4.path(), &[endpoint("backend")]);
    let kept5 = folder();
    let (lost, _registry) = up().pod(kept5.path(), &[endpoint("backend")]);
    let alice = live(&lost, "alice").await;
    let good = lost.sealed(alice.id).expect("an entry");
    let mut broken = good.clone();
    broken.replace_range(40..41, if &good[40..41] == "A" { "B" } else { "A" });
    let texts = [broken, String::new(), "%%%".into(), format!("_{}", &good[1..]), good];
    let orphans: Vec<Orphan> = texts
        .into_iter()
        .map(|sealed| Orphan {
            session: Uuid::new_v4(),
            adopter: "live-1".into(),
            sealed,
        })
        .collect();
    hooks.adopt(&orphans, "live-1");
    soon("adopted", || hooks.adopted().len() == 5).await;
    hooks.adopt(&orphans, "live-1");
    let reasons = ["NotOurs", "UnknownVersion", "NotBase64", "OtherSession"];
    for (reason, count) in reasons.into_iter().zip([1.0, 2.0, 1.0, 1.0]) {
        let counted = metric(&registry, "headgate_hook_orphans_total", reason);
        assert!((counted - count).abs() < 0.1, "{reason}: {counted}");
    }
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn who_lives_here_is_no_orphan() {
    let backend = up();
    let kept6 = folder();
    let (hooks, _registry) = backend.pod(kept6.path(), &[endpoint("backend")]);
    let alice = live(&hooks, "alice").await;
    hooks.adopt(&orphans(&hooks.ledger().open, "live-1"), "live-1");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(told(&backend).is_empty() && hooks.adopted().is_empty());
    hooks.unpublish(&alice, TRAFFIC);
    backend.calls(3).await;
}

#[tokio::test]
async fn what_a_pod_hands_over_is_told_by_the_other_as_the_first_would_have() {
    let (backend, state) = (deaf(), folder());
    let (hooks, _registry) = backend.pod(state.path(), &[endpoint("backend"), endpoint("gone")]);
    for stream in ["alice", "bob"] {
        let session = live(&hooks, stream).await;
        hooks.unpublish(&session, TRAFFIC);
        hooks.close(&session.connection, TRAFFIC);
    }
    assert_eq!(hooks.flush(Duration::from_millis(50)).await, 8);
    let records = hooks.hand_over();
    assert_eq!(records.len(), 8);
    let lines: Vec<String> = records
        .iter()
        .map(|r| serde_json::to_string(r).expect("JSON"))
        .collect();
    assert!(lines.iter().all(|line| !line.contains('\n')));
    let read = || {
        lines
            .iter()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect::<Vec<HandoverRecord>>()
    };

    let (other, there) = (up(), folder());
    let (taker, registry) = other.pod(there.path(), &[endpoint("backend")]);
    taker.take_over(read()).await.expect("taken");
    taker.take_over(read()).await.expect("taken again");
    hooks.handed_over(&records).await;
    assert!(hooks.hand_over().is_empty());
    taker.flush(Duration::from_secs(5)).await;
    taker.take_over(read()).await.expect("and again");
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut ids = told(&other);
    ids.sort();
    let mut expected: Vec<(String, String)> = records.iter().map(|r| (String::new(), r.id().to_string())).collect();
    expected.sort();
    expected.dedup();
    for (action, _) in &mut ids {
        action.clear();
    }
    ids.sort();
    assert_eq!(ids, expected, "each once");
    assert_eq!(
        actions(&other)
            .iter()
            .filter(|action| *action == "on_unpublish")
            .count(),
        2
    );
    assert!(metric(&registry, "headgate_hook_deadletter_total", "gone") >= 4.0);

    let next = up();
    let image = killed(state.path());
    let (_hooks, _registry) = next.pod(image.path(), &[endpoint("backend"), endpoint("gone")]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(next.seen().is_empty(), "nothing was left behind");
}

#[tokio::test]
async fn what_is_taken_over_is_on_disk_before_it_is_confirmed_and_goes_in_parts() {
    let backend = deaf();
    let kept7 = folder();
    let (hooks, _registry) = backend.pod(kept7.path(), &[endpoint("backend")]);
    for n in 0..1500 {
        hooks.unpublish(&publisher(&format!("s{n}")), TRAFFIC);
    }
    let (taker, there) = (deaf(), folder());
    let (taker, _registry) = taker.pod(there.path(), &[endpoint("backend")]);
    for part in [1000, 500] {
        let records = hooks.hand_over();
        assert_eq!(records.len(), part);
        assert_eq!(taker.take_over(records.clone()).await, Ok(()));
        hooks.handed_over(&records).await;
    }
    assert_eq!(hooks.flush(Duration::ZERO).await, 0);
    assert_eq!(taker.hand_over().len(), 1000);
    assert_eq!(taker.take_over(Vec::new()).await, Err(TakeOverError::HandingOver));
    let image = killed(there.path());
    let next = up();
    let (hooks, _registry) = next.pod(image.path(), &[endpoint("backend")]);
    next.calls(1500).await;
    assert_eq!(hooks.flush(Duration::from_secs(5)).await, 0);
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_stops_nobody() {
    let (backend, state) = (up(), folder());
    let (_first, _registry) = backend.pod(state.path(), &[endpoint("backend")]);
    let (hooks, registry) = backend.pod(state.path(), &[endpoint("backend")]);
    assert!((metric(&registry, "headgate_hook_outbox_errors_total", "Unusable") - 1.0).abs() < 0.1);
    let alice = live(&hooks, "alice").await;
    hooks.unpublish(&alice, TRAFFIC);
    soon("told", || actions(&backend) == ["on_unpublish"]).await;
}
