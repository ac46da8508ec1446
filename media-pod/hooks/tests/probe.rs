//! The probe: scripted doors and a paused clock, then real sockets on loopback.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics fails, as it should"
)]

mod common;

use common::{Backend, Reply, endpoint, hang, ok, place, publisher, server, status};
use headgate_control::{HookEndpoint, HookReport};
use headgate_hooks::transport::TransportError;
use headgate_hooks::{Hooks, Storage};
use prometheus::Registry;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

const HOUR: Duration = Duration::from_hours(1);
const S: Duration = Duration::from_secs(1);

type Opening = (Duration, Result<(), TransportError>);

fn opens() -> Opening {
    (Duration::ZERO, Ok(()))
}

fn refuses() -> Opening {
    (Duration::ZERO, Err(TransportError::Connect("refused".into())))
}

fn urls(urls: &[&str]) -> HookEndpoint {
    HookEndpoint {
        urls: urls.iter().map(ToString::to_string).collect(),
        ..endpoint("b")
    }
}

fn report(hooks: &Hooks) -> HookReport {
    hooks.reports().remove(0)
}

/// Event and reason of the last failure.
fn failure(hooks: &Hooks) -> Option<(String, String)> {
    report(hooks)
        .last_failure
        .map(|failure| (failure.event, failure.reason))
}

fn told(event: &str, reason: &str) -> (String, String) {
    (event.to_owned(), reason.to_owned())
}

/// Whole seconds from `start` to each dial.
fn dialled_at(backend: &Backend, start: Instant) -> Vec<u64> {
    let seconds = |(at, _): &(Instant, _)| at.duration_since(start).as_secs();
    backend.dials().iter().map(seconds).collect()
}

#[tokio::test(start_paused = true)]
async fn a_new_url_is_dialled_once_and_then_never_while_all_is_well() {
    let backend = Backend::new(|_, _| ok());
    let two = urls(&["http://a.test/{event}?token=x", "https://b.test/1", "https://b.test/2"]);
    let (hooks, _registry) = backend.hooks(std::slice::from_ref(&two));
    sleep(HOUR).await;
    let hosts = |backend: &Backend| -> Vec<String> {
        let host = |url: &url::Url| url.host_str().unwrap_or_default().to_owned();
        backend.dials().iter().map(|(_, url)| host(url)).collect()
    };
    assert_eq!(hosts(&backend), ["a.test", "b.test"]);
    let report_of = report(&hooks);
    assert_eq!((report_of.reachable, report_of.answered), (Some(true), false));
    assert_eq!(report_of.last_failure, None);
    hooks.reconfigure(&server(), &[two]);
    hooks.publish(&publisher("alice")).await.expect("yes");
    sleep(HOUR).await;
    assert_eq!(hosts(&backend).len(), 2, "nothing was new");
    assert!(report(&hooks).answered);
    hooks.reconfigure(&server(), &[urls(&["http://c.test/"])]);
    sleep(HOUR).await;
    assert_eq!(hosts(&backend)[2..], ["c.test"]);
    let report_of = report(&hooks);
    assert_eq!((report_of.reachable, report_of.answered), (Some(true), false));
    assert_eq!(backend.seen().len(), 3, "a probe sends nothing");
}

#[tokio::test(start_paused = true)]
async fn a_back_end_that_comes_up_later_is_found_without_a_session() {
    let start = Instant::now();
    let up = start + S * 35;
    let door = move |_: &url::Url| if Instant::now() < up { refuses() } else { opens() };
    let backend = Backend::new(|_, _| ok()).door(door);
    let (hooks, _registry) = backend.hooks(&[endpoint("b")]);
    let mut changed = hooks.changed();
    changed.mark_unchanged();
    sleep(S / 2).await;
    assert!(changed.has_changed().expect("alive"));
    changed.mark_unchanged();
    assert_eq!(report(&hooks).reachable, Some(false));
    assert_eq!(failure(&hooks), Some(told("probe", "HookUnreachable")));
    let message = report(&hooks).last_failure.expect("a failure").message;
    assert_eq!(message, "b.test:8085: cannot connect: refused");
    sleep(S * 34).await;
    assert!(!changed.has_changed().expect("alive"), "the same again is no change");
    sleep(S * 6).await;
    assert!(changed.has_changed().expect("alive"));
    assert_eq!((report(&hooks).reachable, failure(&hooks)), (Some(true), None));
    sleep(HOUR).await;
    assert_eq!(dialled_at(&backend, start), [0, 10, 20, 30, 40]);
    assert_eq!(backend.seen().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dial_has_a_second() {
    let backend = Backend::new(|_, _| ok()).door(|_| (HOUR, Ok(())));
    let (hooks, _registry) = backend.hooks(&[urls(&["https://b.test/hook?token=s3cret"])]);
    sleep(S * 9 / 10).await;
    assert_eq!(report(&hooks).reachable, None);
    sleep(S / 5).await;
    assert_eq!(report(&hooks).reachable, Some(false));
    assert_eq!(failure(&hooks), Some(told("probe", "HookTimeout")));
    let message = report(&hooks).last_failure.expect("a failure").message;
    assert_eq!(message, "b.test:443: no connection within 1 s");
}

#[tokio::test(start_paused = true)]
async fn one_url_that_does_not_open_is_enough() {
    let door = |url: &url::Url| {
        if url.host_str() == Some("c.test") {
            refuses()
        } else {
            opens()
        }
    };
    let backend = Backend::new(|_, _| ok()).door(door);
    let all = ["http://a.test/", "http://c.test:81/", "http://d.test/"];
    let (hooks, _registry) = backend.hooks(&[urls(&all)]);
    sleep(S).await;
    assert_eq!(report(&hooks).reachable, Some(false));
    let message = report(&hooks).last_failure.expect("a failure").message;
    assert_eq!(message, "c.test:81: cannot connect: refused");
    assert_eq!(backend.dials().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn after_a_call_that_got_no_connection_or_no_answer_a_probe_looks_again() {
    let broken = || Reply {
        after: Duration::ZERO,
        result: Err(TransportError::Connect("refused".into())),
    };
    for (reply, reason) in [(broken as fn() -> Reply, "HookUnreachable"), (hang, "HookTimeout")] {
        let backend = Backend::new(move |_, count| if count == 0 { reply() } else { ok() });
        let (hooks, _registry) = backend.hooks(&[endpoint("b")]);
        sleep(S).await;
        hooks.publish(&publisher("alice")).await.expect_err("no answer");
        assert_eq!(report(&hooks).reachable, Some(false));
        sleep(S * 9).await;
        assert_eq!((report(&hooks).reachable, backend.dials().len()), (Some(false), 1));
        sleep(S * 2).await;
        assert_eq!((report(&hooks).reachable, backend.dials().len()), (Some(true), 2));
        assert_eq!(
            failure(&hooks),
            Some(told("on_publish", reason)),
            "only a call clears it"
        );
        assert!(!report(&hooks).answered);
        hooks.publish(&publisher("alice")).await.expect("yes");
        assert_eq!((report(&hooks).answered, failure(&hooks)), (true, None));
        sleep(HOUR).await;
        assert_eq!(backend.dials().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_the_wrong_kind_is_not_mended_by_a_connection() {
    for reply in [|| status(500), || common::answer(200, "thanks", None)] {
        let backend = Backend::new(move |_, _| reply());
        let (hooks, _registry) = backend.hooks(&[endpoint("b")]);
        sleep(S).await;
        hooks.publish(&publisher("alice")).await.expect_err("no valid answer");
        sleep(HOUR).await;
        assert_eq!((report(&hooks).reachable, backend.dials().len()), (Some(false), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_call_met_while_a_probe_was_under_way_stands() {
    let slow = || (S * 9 / 10, Err(TransportError::Connect("refused".into())));
    let backend = Backend::new(|_, _| ok()).door(move |_| slow());
    let (hooks, _registry) = backend.hooks(&[endpoint("b")]);
    sleep(S / 10).await;
    hooks.publish(&publisher("alice")).await.expect("yes");
    sleep(S * 2).await;
    assert_eq!((report(&hooks).reachable, failure(&hooks)), (Some(true), None));
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_the_old_url_says_nothing_of_the_new_one() {
    let door = |url: &url::Url| match url.host_str() {
        Some("new.test") => (S * 9 / 10, Err(TransportError::Connect("refused".into()))),
        _ => (S * 9 / 10, Ok(())),
    };
    let backend = Backend::new(|_, _| ok()).door(door);
    let (hooks, _registry) = backend.hooks(&[endpoint("b")]);
    sleep(S / 2).await;
    hooks.reconfigure(&server(), &[urls(&["http://new.test/"])]);
    sleep(S).await;
    assert_eq!(report(&hooks).reachable, None);
    sleep(S).await;
    assert_eq!(report(&hooks).reachable, Some(false));
}

#[tokio::test(start_paused = true)]
async fn probes_end_with_their_endpoint() {
    let backend = Backend::new(|_, _| ok()).door(|_| refuses());
    let (hooks, _registry) = backend.hooks(&[endpoint("goes"), endpoint("stays")]);
    sleep(S * 15).await;
    assert_eq!(backend.dials().len(), 4);
    hooks.reconfigure(&server(), &[endpoint("stays")]);
    sleep(S * 10).await;
    assert_eq!(backend.dials().len(), 5);
    drop(hooks);
    sleep(HOUR).await;
    assert_eq!(backend.dials().len(), 5);
}

/// What the probe says of `url`, over real sockets.
async fn probed(url: &str, allow_loopback: bool) -> HookReport {
    let hooks = Hooks::new(
        &Registry::new(),
        "v5q25s67",
        &place(allow_loopback),
        &Storage::default(),
    )
    .expect("a fresh registry");
    let mut changed = hooks.changed();
    hooks.reconfigure(&server(), &[urls(&[url])]);
    let known = async {
        while report(&hooks).reachable.is_none() {
            changed.changed().await.expect("alive");
        }
    };
    tokio::time::timeout(S * 5, known).await.expect("in time");
    report(&hooks)
}

#[tokio::test]
async fn an_open_port_is_reachable_and_gets_no_byte() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    for host in ["127.0.0.1", "localhost"] {
        let report = probed(&format!("http://{host}:{port}/hook"), true).await;
        assert_eq!((report.reachable, report.answered), (Some(true), false), "{report:?}");
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let mut came = Vec::new();
        socket.read_to_end(&mut came).await.expect("it is closed in peace");
        assert_eq!(came, b"");
    }
}

#[tokio::test]
async fn a_closed_port_a_port_without_tls_and_a_forbidden_address_are_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let open = listener.local_addr().expect("an address");
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let refuses = closed.local_addr().expect("an address");
    drop(closed);
    let table = [
        (
            format!("http://{refuses}/hook"),
            true,
            format!("{refuses}: cannot connect: "),
        ),
        (
            format!("https://{open}/hook"),
            true,
            format!("{open}: cannot connect: "),
        ),
        (
            format!("http://{open}/hook"),
            false,
            format!("{open}: address 127.0.0.1 is not one that hooks and pushes may go to"),
        ),
        (
            format!("http://localhost:{}/hook", open.port()),
            false,
            format!("localhost:{}: address ", open.port()),
        ),
    ];
    for (url, allow_loopback, start) in table {
        let report = probed(&url, allow_loopback).await;
        assert_eq!(report.reachable, Some(false), "{url}");
        let failure = report.last_failure.expect("a failure");
        assert_eq!(
            (failure.event.as_str(), failure.reason.as_str()),
            ("probe", "HookUnreachable")
        );
        assert!(failure.message.starts_with(&start), "{failure:?}");
    }
}
