//! Notifications over a scripted back end and a paused clock: the whole retry table, order, isolation, shutdown.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics fails, as it should"
)]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Backend, Reply, Seen, answer, endpoint, hang, metric, ok, publisher, server, session, status};
use headgate_control::{DeliveryPolicy, HookCredentials, HookEndpoint, HookEvent, Ordering, Replay};
use headgate_hooks::Hooks;
use headgate_hooks::transport::TransportError;
use headgate_hub::{SessionKind, Traffic};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{self, AtomicBool};
use std::time::Duration;
use tokio::time::Instant;

const TRAFFIC: Traffic = Traffic { sent: 1, received: 2 };
const HOUR: u64 = 3600;

/// Ends a session of `stream`; returns when that was.
fn unpublish(hooks: &Hooks, stream: &str) -> Instant {
    hooks.unpublish(&publisher(stream), TRAFFIC);
    Instant::now()
}

fn failing(reply: fn() -> Reply) -> Backend {
    Backend::new(move |_, _| reply())
}

/// Seconds between the attempts.
fn gaps(seen: &[Seen]) -> Vec<f64> {
    seen.windows(2)
        .map(|pair| pair[1].at.duration_since(pair[0].at).as_secs_f64())
        .collect()
}

/// Asserts that gaps are the table's, `stretch` times, ±20 % (only longer when stretched).
#[track_caller]
fn assert_table(gaps: &[f64], stretch: f64) {
    let table = [1, 5, 30, 120, 600, 1800];
    let expected = table
        .into_iter()
        .chain(std::iter::repeat(3600))
        .map(|s| f64::from(s) * stretch);
    for (index, (gap, wait)) in gaps.iter().zip(expected).enumerate() {
        let least = if stretch > 1.0 { wait } else { wait * 0.8 };
        assert!(
            (least - 0.01..=wait * 1.2 + 4.0).contains(gap),
            "gap {index}: {gap} s, table {wait} s"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_back_end_is_tried_by_the_whole_table_for_a_day_and_then_no_more() {
    let backend = failing(|| status(503));
    let (hooks, registry) = backend.hooks(&[endpoint("backend")]);
    let ended = unpublish(&hooks, "alice");
    tokio::time::sleep(Duration::from_secs(24 * HOUR - 1)).await;
    let seen = backend.seen();
    assert!(
        seen[0].at.duration_since(ended) < Duration::from_millis(10),
        "the first attempt is at once"
    );
    assert_table(&gaps(&seen), 1.0);
    // 43 minutes of the table, then hours of 48 to 72 minutes.
    assert!((25..=37).contains(&seen.len()), "{} attempts", seen.len());
    assert_eq!((hooks.reports()[0].pending, hooks.reports()[0].dead), (1, 0));

    tokio::time::sleep(Duration::from_secs(48 * HOUR)).await;
    assert_eq!(backend.seen().len(), seen.len(), "none after its age");
    assert_eq!((hooks.reports()[0].pending, hooks.reports()[0].dead), (0, 1));
    assert!((metric(&registry, "headgate_hook_deadletter_total", "Expired") - 1.0).abs() < 0.1);
    let id = seen[0].header("webhook-id");
    for (attempt, seen) in seen.iter().enumerate() {
        assert_eq!(seen.header("webhook-id"), id);
        assert_eq!(seen.header("x-media-attempt"), (attempt + 1).to_string());
        assert_eq!(seen.call.body, backend.seen()[0].call.body);
    }
}

#[tokio::test(start_paused = true)]
async fn network_errors_are_tried_again_by_the_table() {
    let backend = failing(|| Reply {
        after: Duration::ZERO,
        result: Err(TransportError::Connect("refused".into())),
    });
    let (hooks, _registry) = backend.hooks(&[endpoint("backend")]);
    unpublish(&hooks, "alice");
    assert_table(&gaps(&backend.calls(10).await), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_slow_or_says_429_waits_twice_as_long() {
    for reply in [|| status(429), hang] {
        let backend = failing(reply);
        let (hooks, _registry) = backend.hooks(&[endpoint("backend")]);
        unpublish(&hooks, "alice");
        assert_table(&gaps(&backend.calls(9).await), 2.0);
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_kept_up_to_an_hour() {
    let backend = Backend::new(|_, count| match count {
        0 => answer(503, "", Some(40)),
        1 => answer(503, "", Some(1)),
        2 => answer(503, "", Some(90_000)),
        _ => ok(),
    });
    let (hooks, _registry) = backend.hooks(&[endpoint("backend")]);
    unpublish(&hooks, "alice");
    let gaps = gaps(&backend.calls(4).await);
    assert!((39.9..41.0).contains(&gaps[0]), "{gaps:?}");
    assert!((3.9..6.1).contains(&gaps[1]), "{gaps:?}");
    assert!((3599.9..3601.0).contains(&gaps[2]), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_receiver_will_never_take_is_dead_at_once_and_the_lane_goes_on() {
    let backend = Backend::new(|_, count| if count == 0 { status(422) } else { ok() });
    let (hooks, registry) = backend.hooks(&[endpoint("backend")]);
    unpublish(&hooks, "alice");
    unpublish(&hooks, "alice");
    let seen = backend.calls(2).await;
    assert_ne!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
    tokio::time::sleep(Duration::from_secs(2 * HOUR)).await;
    assert_eq!(backend.seen().len(), 2);
    assert_eq!(hooks.reports()[0].dead, 1);
    assert!((metric(&registry, "headgate_hook_deadletter_total", "Rejected") - 1.0).abs() < 0.1);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_application_is_taken_for_delivered() {
    let backend = Backend::new(|_, count| {
        if count == 0 {
            answer(200, r#"{"code":9}"#, None)
        } else {
            status(204)
        }
    });
    let (hooks, registry) = backend.hooks(&[endpoint("backend")]);
    unpublish(&hooks, "alice");
    unpublish(&hooks, "alice");
    tokio::time::sleep(Duration::from_secs(2 * HOUR)).await;
    assert_eq!(backend.seen().len(), 2);
    assert_eq!((hooks.reports()[0].pending, hooks.reports()[0].dead), (0, 0));
    assert!((metric(&registry, "headgate_hook_requests_total", "app_error") - 2.0).abs() < 0.1);
    assert_eq!(
        hooks.reports()[0].last_failure.as_ref().map(|f| f.reason.as_str()),
        Some("HookBadStatus")
    );
}

#[tokio::test(start_paused = true)]
async fn after_410_a_url_is_left_alone_until_it_is_edited() {
    let backend = Backend::new(|seen, _| {
        if seen.call.url.host_str() == Some("new.test") {
            ok()
        } else {
            status(410)
        }
    });
    let (hooks, _registry) = backend.hooks(&[endpoint("backend")]);
    unpublish(&hooks, "alice");
    unpublish(&hooks, "bob");
    tokio::time::sleep(Duration::from_secs(20 * HOUR)).await;
    // Both were under way when the first answer came.
    assert_eq!(backend.seen().len(), 2);
    assert_eq!(hooks.reports()[0].pending, 2);
    let edited = HookEndpoint {
        urls: vec!["http://new.test/hook".into()],
        ..endpoint("backend")
    };
    hooks.reconfigure(&server(), &[edited]);
    backend.calls(4).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(hooks.reports()[0].pending, 0);
}

#[tokio::test(start_paused = true)]
async fn pending_notifications_go_to_the_new_url_at_once() {
    let backend = Backend::new(|seen, _| {
        if seen.call.url.host_str() == Some("new.test") {
            ok()
        } else {
            status(500)
        }
    });
    let (hooks, _registry) = backend.hooks(&[endpoint("backend")]);
    unpublish(&hooks, "alice");
    tokio::time::sleep(Duration::from_secs(HOUR)).await;
    let before = backend.seen().len();
    let edited = HookEndpoint {
        urls: vec!["http://new.test/hook".into()],
        ..endpoint("backend")
    };
    hooks.reconfigure(&server(), &[edited]);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let seen = backend.seen();
    assert_eq!(seen.len(), before + 1);
    assert_eq!(seen[before].header("webhook-id"), seen[0].header("webhook-id"));
    assert_eq!(hooks.reports()[0].pending, 0);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_goes_takes_its_backlog_with_it_counted() {
    let backend = failing(hang);
    let (hooks, registry) = backend.hooks(&[endpoint("goes"), endpoint("stays")]);
    unpublish(&hooks, "alice");
    unpublish(&hooks, "alice");
    backend.calls(2).await;
    assert!((metric(&registry, "headgate_hook_outbox_pending", "goes") - 2.0).abs() < 0.1);
    hooks.reconfigure(&server(), &[endpoint("stays")]);
    assert!((metric(&registry, "headgate_hook_deadletter_total", "goes") - 2.0).abs() < 0.1);
    assert!(metric(&registry, "headgate_hook_outbox_pending", "goes").abs() < 0.1);
    assert_eq!(hooks.reports().len(), 1);
    assert_eq!(hooks.reports()[0].pending, 2);
}

#[tokio::test(start_paused = true)]
async fn a_closing_event_goes_to_those_who_take_it_asked_or_not_and_once_to_each_url() {
    let backend = failing(ok);
    let mut told = HookEndpoint {
        events: vec![HookEvent::Unpublish],
        ..endpoint("told")
    };
    told.urls.push("http://told2.test/hook".into());
    let asked = HookEndpoint {
        events: vec![HookEvent::Publish],
        ..endpoint("asked")
    };
    let (hooks, _registry) = backend.hooks(&[told, asked]);
    let alice = publisher("alice");
    hooks.publish(&alice).await.expect("yes");
    hooks.unpublish(&alice, TRAFFIC);
    tokio::time::sleep(Duration::from_secs(HOUR)).await;
    let seen = backend.seen();
    assert_eq!(backend.actions(), ["on_publish", "on_unpublish", "on_unpublish"]);
    let expected = uuid::Uuid::new_v5(&alice.id, b"Unpublish").to_string();
    assert!(seen[1..].iter().all(|seen| seen.header("webhook-id") == expected));
    assert!(
        seen.iter()
            .all(|seen| seen.header("x-media-session") == alice.id.to_string())
    );
    let numbers: Vec<u64> = seen
        .iter()
        .map(|seen| seen.header("x-media-seq").parse().expect("a number"))
        .collect();
    assert!(numbers[0] < numbers[1] && numbers[1] == numbers[2]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_one_session_is_told_before_the_next_is_asked() {
    let backend = Backend::new(|seen, _| match seen.action.as_str() {
        "on_unpublish" => Reply {
            after: Duration::from_millis(300),
            ..ok()
        },
        _ => ok(),
    });
    let (hooks, _registry) = backend.hooks(&[endpoint("backend")]);
    let started = unpublish(&hooks, "alice");
    hooks.publish(&publisher("alice")).await.expect("yes");
    assert_eq!(backend.actions(), ["on_unpublish", "on_publish"]);
    assert!(started.elapsed() >= Duration::from_millis(300));
    let started = unpublish(&hooks, "bob");
    hooks.publish(&publisher("carol")).await.expect("yes");
    assert!(
        started.elapsed() < Duration::from_millis(50),
        "another stream does not wait"
    );
}

#[tokio::test(start_paused = true)]
async fn a_backlog_holds_an_admission_up_for_half_a_second_at_most() {
    let backend = Backend::new(|seen, _| if seen.action == "on_unpublish" { hang() } else { ok() });
    let (hooks, _registry) = backend.hooks(&[endpoint("backend")]);
    let started = unpublish(&hooks, "alice");
    hooks.publish(&publisher("alice")).await.expect("yes");
    let waited = started.elapsed();
    assert!(
        waited >= Duration::from_millis(500) && waited < Duration::from_millis(520),
        "{waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_backlog_that_waits_for_its_next_try_is_tried_once_before_an_admission() {
    let backend = Backend::new(|seen, count| {
        if seen.action == "on_unpublish" && count < 4 {
            status(500)
        } else {
            ok()
        }
    });
    let (hooks, _registry) = backend.hooks(&[endpoint("backend")]);
    unpublish(&hooks, "alice");
    backend.calls(3).await;
    let started = Instant::now();
    hooks.publish(&publisher("alice")).await.expect("yes");
    assert!(
        started.elapsed() < Duration::from_millis(50),
        "a failed try is not waited out"
    );
    hooks.publish(&publisher("alice")).await.expect("yes");
    let expected = ["on_unpublish"; 3]
        .into_iter()
        .chain(["on_unpublish", "on_publish", "on_unpublish", "on_publish"]);
    assert_eq!(backend.actions(), expected.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn players_wait_for_the_end_of_publishers_only() {
    let backend = Backend::new(|seen, _| if seen.action == "on_stop" { hang() } else { ok() });
    let (hooks, _registry) = backend.hooks(&[endpoint("backend")]);
    hooks.stop(&session(SessionKind::Play, "alice"), TRAFFIC);
    let started = Instant::now();
    hooks.play(&session(SessionKind::Play, "alice")).await.expect("yes");
    assert!(started.elapsed() < Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_hangs_starves_no_other_and_neither_does_an_endpoint() {
    let backend = Backend::new(|seen, _| {
        let hole = seen.stream == "hole" || seen.call.url.host_str() == Some("hole.test");
        if hole { hang() } else { ok() }
    });
    let (hooks, _registry) = backend.hooks(&[endpoint("hole"), endpoint("backend")]);
    for _ in 0..100 {
        unpublish(&hooks, "hole");
    }
    for n in 0..200 {
        unpublish(&hooks, &format!("s{n}"));
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let good = |seen: &Seen| seen.call.url.host_str() == Some("backend.test") && seen.stream != "hole";
    assert_eq!(backend.seen().iter().filter(|seen| good(seen)).count(), 200);
    let started = Instant::now();
    hooks
        .publish(&publisher("other"))
        .await
        .expect_err("the first endpoint hangs");
    assert_eq!(started.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn order_holds_in_every_lane_whatever_fails() {
    let backend = Backend::new(|_, _| {
        let after = Duration::from_millis(rand::random_range(0..50));
        let reply = match rand::random_range(0..10) {
            0..5 => ok(),
            5 => status(503),
            6 => answer(429, "", Some(2)),
            7 => Reply {
                after,
                result: Err(TransportError::Closed),
            },
            8 => hang(),
            _ => answer(200, "{}", None),
        };
        if reply.after.is_zero() {
            Reply { after, ..reply }
        } else {
            reply
        }
    });
    let (hooks, _registry) = backend.hooks(&[endpoint("backend")]);
    for n in 0..600 {
        unpublish(&hooks, &format!("s{}", n % 7));
        if n % 50 == 0 {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    }
    let mut patience = 0;
    while hooks.reports()[0].pending > 0 && patience < 100_000 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        patience += 1;
    }
    let mut latest: HashMap<String, u64> = HashMap::new();
    let mut ids = std::collections::HashSet::new();
    for seen in backend.seen() {
        let number: u64 = seen.header("x-media-seq").parse().expect("a number");
        let before = latest.insert(seen.stream.clone(), number).unwrap_or(0);
        assert!(number >= before, "{} went back", seen.stream);
        ids.insert(seen.header("webhook-id"));
    }
    assert_eq!(ids.len(), 600, "every one was sent");
}

#[tokio::test(start_paused = true)]
async fn a_flush_sends_what_can_be_sent_and_says_what_is_left() {
    let backend = Backend::new(|seen, count| match seen.stream.as_str() {
        "dead" => status(500),
        "weak" if count < 6 => status(500),
        _ => ok(),
    });
    let (hooks, _registry) = backend.hooks(&[endpoint("backend")]);
    for stream in ["dead", "weak", "good"] {
        unpublish(&hooks, stream);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let started = Instant::now();
    assert_eq!(hooks.flush(Duration::from_secs(10)).await, 1);
    assert_eq!(started.elapsed().as_secs(), 10);

    let (hooks, _registry) = failing(ok).hooks(&[endpoint("backend")]);
    for n in 0..1000 {
        unpublish(&hooks, &format!("s{n}"));
    }
    let started = Instant::now();
    assert_eq!(hooks.flush(Duration::from_secs(10)).await, 0);
    assert!(started.elapsed() < Duration::from_secs(1), "it ends when all is told");
}

#[tokio::test(start_paused = true)]
async fn workers_end_with_the_last_clone() {
    let backend = failing(|| status(500));
    let (hooks, _registry) = backend.hooks(&[endpoint("backend")]);
    unpublish(&hooks, "alice");
    backend.calls(1).await;
    drop(hooks);
    tokio::time::sleep(Duration::from_secs(HOUR)).await;
    assert_eq!(backend.seen().len(), 1);
}

fn with_policy(policy: DeliveryPolicy) -> HookEndpoint {
    HookEndpoint {
        delivery: policy,
        ..endpoint("b")
    }
}

#[tokio::test(start_paused = true)]
async fn without_order_a_notification_that_is_refused_holds_up_none_of_its_stream() {
    let backend = Backend::new(|seen, _| status(if seen.action == "on_unpublish" { 500 } else { 200 }));
    let unordered = with_policy(DeliveryPolicy {
        ordering: Ordering::None,
        ..DeliveryPolicy::default()
    });
    let (hooks, _registry) = backend.hooks(&[unordered]);
    unpublish(&hooks, "alice");
    hooks.stop(&session(SessionKind::Play, "alice"), TRAFFIC);
    let seen = backend.calls(2).await;
    assert_eq!(seen[1].action, "on_stop");
    assert!(
        seen[1].at - seen[0].at < Duration::from_millis(900),
        "before the first is tried again"
    );
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_says_how_long_it_is_tried() {
    let backend = failing(|| status(503));
    let minute = with_policy(DeliveryPolicy {
        max_age_seconds: 60,
        ..DeliveryPolicy::default()
    });
    let (hooks, registry) = backend.hooks(&[minute]);
    unpublish(&hooks, "alice");
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(hooks.reports()[0].pending, 0);
    assert!((metric(&registry, "headgate_hook_deadletter_total", "Expired") - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn a_dead_letter_is_sent_once_more_under_its_id_when_somebody_wishes_it() {
    let refuses = Arc::new(AtomicBool::new(true));
    let answers = refuses.clone();
    let backend = Backend::new(move |_, _| {
        status(if answers.load(atomic::Ordering::Relaxed) {
            400
        } else {
            200
        })
    });
    let (hooks, registry) = backend.hooks(&[endpoint("b")]);
    unpublish(&hooks, "alice");
    unpublish(&hooks, "bob");
    let seen = backend.calls(2).await;
    let id = seen[0].header("webhook-id");
    assert!(seen.iter().all(|seen| seen.header("webhook-replay").is_empty()));
    while hooks.reports()[0].letters < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    refuses.store(false, atomic::Ordering::Relaxed);
    let wishing = |wish: &str| HookEndpoint {
        replay: Some(Replay::parse(wish).expect("a wish")),
        ..endpoint("b")
    };
    hooks.reconfigure(&server(), &[wishing(&id)]);
    let again = backend.calls(3).await;
    assert_eq!(
        (again[2].header("webhook-id"), again[2].header("webhook-replay")),
        (id.clone(), "1".to_owned())
    );
    assert_eq!(again[2].stream, "alice");
    while hooks.reports()[0].letters > 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    hooks.reconfigure(&server(), &[wishing(&id)]);
    hooks.reconfigure(&server(), &[wishing("all")]);
    let rest = backend.calls(4).await;
    assert_eq!(rest[3].stream, "bob", "what was sent is no dead letter any more");
    assert!((metric(&registry, "headgate_hook_replayed_total", "") - 2.0).abs() < 0.1);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_whose_secret_is_missing_is_not_called_and_loses_nothing() {
    let backend = Backend::new(|_, _| ok());
    let unresolved = HookEndpoint {
        unresolved: Some("Secret \"s\" does not exist".into()),
        ..endpoint("b")
    };
    let (hooks, _registry) = backend.hooks(&[unresolved]);
    let refused = hooks.publish(&publisher("alice")).await.expect_err("nobody says yes");
    assert!(
        refused.message.contains("Secret \"s\" does not exist"),
        "{}",
        refused.message
    );
    unpublish(&hooks, "alice");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(backend.seen().is_empty() && backend.dials().is_empty());
    hooks.reconfigure(&server(), &[endpoint("b")]);
    assert_eq!(backend.calls(1).await[0].action, "on_unpublish");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_changes_signs_from_the_next_attempt_on() {
    let backend = Backend::new(|_, count| status(if count == 0 { 500 } else { 200 }));
    let signed_by = |keys: &[u8]| HookEndpoint {
        credentials: HookCredentials {
            signing: keys.iter().map(|byte| STANDARD.encode([*byte; 32]).into()).collect(),
            ..HookCredentials::default()
        },
        ..endpoint("b")
    };
    let (hooks, _registry) = backend.hooks(&[signed_by(&[1])]);
    unpublish(&hooks, "alice");
    backend.calls(1).await;
    // The answer is heard, and the next try waits.
    tokio::time::sleep(Duration::from_millis(10)).await;
    hooks.reconfigure(&server(), &[signed_by(&[2, 1])]);
    let seen = backend.calls(2).await;
    let signatures = |seen: &Seen| seen.header("webhook-signature").split(' ').count();
    assert_eq!((signatures(&seen[0]), signatures(&seen[1])), (1, 2));
    assert!(
        seen[1].at - seen[0].at < Duration::from_millis(500),
        "a new key is tried at once"
    );
}

#[tokio::test(start_paused = true)]
async fn who_said_410_is_reported_until_it_answers_again() {
    let backend = Backend::new(|_, count| status(if count == 0 { 410 } else { 200 }));
    let (hooks, _registry) = backend.hooks(&[endpoint("b")]);
    unpublish(&hooks, "alice");
    backend.calls(1).await;
    let mut changed = hooks.changed();
    while !hooks.reports()[0].suspended {
        changed.changed().await.expect("hooks are there");
    }
    hooks.publish(&publisher("bob")).await.expect("it answers");
    assert!(!hooks.reports()[0].suspended);
}
