//! A receiver on loopback that does everything wrong, over real HTTP: each fault has its documented outcome, within its time.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics fails, as it should"
)]

mod common;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use axum::routing::post;
use common::{connection, endpoint, metric, place, publisher, server};
use headgate_control::HookEndpoint;
use headgate_hooks::{Hooks, Storage};
use headgate_hub::{Reason, Refusal, Traffic};
use prometheus::Registry;
use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// Milliseconds that one admission may take.
const TIMEOUT: u32 = 600;

/// Serves all faults that are still HTTP; counts the calls of `/ok`.
async fn chaos() -> (SocketAddr, Arc<AtomicUsize>) {
    let good = Arc::new(AtomicUsize::new(0));
    let counted = good.clone();
    let ok = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async { "0" }
    };
    let drip = |every: Duration| {
        Body::from_stream(futures::stream::unfold((), move |()| async move {
            tokio::time::sleep(every).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), ()))
        }))
    };
    let flood = futures::stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from(vec![b'0'; 8192])));
    let flood = Arc::new(parking_lot::Mutex::new(Some(Body::from_stream(flood))));
    let router = Router::new()
        .route("/ok", post(ok))
        .route("/created", post(|| async { (StatusCode::CREATED, r#"{"code":0}"#) }))
        .route("/301", post(|| async { Redirect::permanent("/ok") }))
        .route(
            "/302",
            post(|| async { (StatusCode::FOUND, [("location", "/ok")], "0") }),
        )
        .route("/500", post(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "0") }))
        .route("/json", post(|| async { r#"{"code":0"# }))
        .route("/empty", post(|| async { "" }))
        .route("/hang", post(pending::<()>))
        .route("/drip", post(move || async move { drip(Duration::from_millis(20)) }))
        .route("/large", post(|| async { vec![b' '; 65_537] }))
        .route(
            "/flood",
            post(move || async move { flood.lock().take().unwrap_or_default().into_response() }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, good)
}

/// Accepts for ever; `serve` gets each connection on which something comes, and its number from 0. Those are counted.
async fn raw<F: Future<Output = ()> + Send + 'static>(
    serve: fn(TcpStream, usize) -> F,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let count = Arc::new(AtomicUsize::new(0));
    let accepted = count.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let accepted = accepted.clone();
            tokio::spawn(async move {
                if socket.peek(&mut [0]).await.is_ok_and(|came| came > 0) {
                    serve(socket, accepted.fetch_add(1, Ordering::Relaxed)).await;
                }
            });
        }
    });
    (address, count)
}

/// Reads the head and the body of one request.
async fn request(socket: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"}") {
        let mut buffer = [0; 4096];
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(read) => text.extend_from_slice(&buffer[..read]),
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn hooks(url: &str, allow_loopback: bool) -> (Hooks, Registry) {
    let registry = Registry::new();
    let hooks =
        Hooks::new(&registry, "v5q25s67", &place(allow_loopback), &Storage::default()).expect("a fresh registry");
    let urls = vec![url.to_owned()];
    hooks.reconfigure(
        &server(),
        &[HookEndpoint {
            urls,
            timeout_milliseconds: TIMEOUT,
            ..endpoint("backend")
        }],
    );
    (hooks, registry)
}

/// Asks once; how it ended and how long it took.
async fn ask(url: &str) -> (Result<(), Refusal>, Duration) {
    let (hooks, _registry) = hooks(url, true);
    let started = Instant::now();
    let result = hooks.publish(&publisher("alice")).await;
    (result, started.elapsed())
}

#[track_caller]
fn assert_refused(url: &str, (result, took): (Result<(), Refusal>, Duration), reason: Reason) {
    let refusal = result.expect_err(url);
    assert_eq!(refusal.reason, reason, "{url}: {refusal}");
    assert!(
        refusal
            .message
            .starts_with("HookEndpoint backend: on_publish: 127.0.0.1:"),
        "{refusal}"
    );
    let least = if reason == Reason::HookTimeout { TIMEOUT } else { 0 };
    let bounds = Duration::from_millis(least.into())..Duration::from_millis(u64::from(TIMEOUT) + 2000);
    assert!(bounds.contains(&took), "{url}: {took:?}");
}

#[tokio::test]
async fn every_bad_answer_has_its_outcome_in_time() {
    let (address, good) = chaos().await;
    let table = [
        ("301", Reason::HookBadStatus),
        ("302", Reason::HookBadStatus),
        ("500", Reason::HookBadStatus),
        ("nowhere", Reason::HookBadStatus),
        ("json", Reason::HookBadAnswer),
        ("empty", Reason::HookBadAnswer),
        ("large", Reason::HookBadAnswer),
        ("flood", Reason::HookBadAnswer),
        ("hang", Reason::HookTimeout),
        ("drip", Reason::HookTimeout),
    ];
    for (path, reason) in table {
        let url = format!("http://{address}/{path}?token=s3cret");
        let asked = ask(&url).await;
        assert!(!format!("{:?}", asked.0).contains("s3cret"));
        assert_refused(&url, asked, reason);
    }
    assert_eq!(good.load(Ordering::Relaxed), 0, "no redirect was followed");
    ask(&format!("http://{address}/ok"))
        .await
        .0
        .expect("the same receiver says yes");
    ask(&format!("http://{address}/created"))
        .await
        .0
        .expect("and so does 201");
}

#[tokio::test]
async fn every_broken_connection_is_unreachable_or_too_slow() {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let refuses = closed.local_addr().expect("an address");
    drop(closed);
    let (closes, closings) = raw(|mut socket, _| async move { drop(request(&mut socket).await) }).await;
    let (garbage, _) = raw(|mut socket, _| async move {
        request(&mut socket).await;
        let _ = socket.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
    })
    .await;
    let (torn, _) = raw(|mut socket, _| async move {
        request(&mut socket).await;
        let _ = socket
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"code\":0")
            .await;
    })
    .await;
    let (mute, _) = raw(|mut socket, _| async move {
        request(&mut socket).await;
        pending::<()>().await;
    })
    .await;
    let table = [
        (refuses, Reason::HookUnreachable),
        (closes, Reason::HookUnreachable),
        (garbage, Reason::HookUnreachable),
        (torn, Reason::HookUnreachable),
        (mute, Reason::HookTimeout),
    ];
    for (address, reason) in table {
        let url = format!("http://{address}/hook");
        assert_refused(&url, ask(&url).await, reason);
    }
    assert_eq!(
        closings.load(Ordering::Relaxed),
        1,
        "a new connection that closes is the back end's no answer, as for SRS"
    );
    let tls = format!("https://{refuses}/hook");
    assert_refused(&tls, ask(&tls).await, Reason::HookUnreachable);
    let (plain, _) = raw(|mut socket, _| async move {
        let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        request(&mut socket).await;
    })
    .await;
    let no_tls = format!("https://{plain}/hook");
    assert_refused(&no_tls, ask(&no_tls).await, Reason::HookUnreachable);
}

#[tokio::test]
async fn loopback_is_not_dialled_unless_it_is_allowed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    for url in [
        format!("http://{address}/hook"),
        format!("http://localhost:{}/hook", address.port()),
    ] {
        let (hooks, registry) = hooks(&url, false);
        let refusal = hooks.publish(&publisher("alice")).await.expect_err("it is forbidden");
        assert_eq!(refusal.reason, Reason::HookUnreachable);
        assert!(
            refusal.message.contains("is not one that hooks and pushes may go to"),
            "{refusal}"
        );
        assert!(metric(&registry, "headgate_hook_ssrf_blocked_total", "") > 0.0);
    }
    let dialled = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(dialled.is_err(), "neither by a call nor by a probe");
}

#[tokio::test]
async fn the_request_on_the_wire_is_one_that_srs_could_have_sent() {
    static HEAD: parking_lot::Mutex<String> = parking_lot::Mutex::new(String::new());
    let (address, _) = raw(|mut socket, _| async move {
        *HEAD.lock() = request(&mut socket).await;
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0").await;
    })
    .await;
    ask(&format!("http://{address}/hook/{{event}}?token=x"))
        .await
        .0
        .expect("yes");
    let text = HEAD.lock().clone();
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("POST /hook/on_publish?token=x HTTP/1.1\r\n"), "{head}");
    let lines = [
        "Connection: Keep-Alive".to_owned(),
        format!("Content-Length: {}", body.len()),
        "Content-Type: application/json".to_owned(),
        format!("Host: {address}"),
    ];
    for line in lines {
        assert!(head.split("\r\n").any(|have| have == line), "{line:?} is not in {head}");
    }
    assert!(head.contains("\r\nUser-Agent: SRS/7.0.18(Kai) Headgate/"), "{head}");
    assert!(body.starts_with(r#"{"server_id":"vid-"#), "{body}");
}

#[tokio::test]
async fn a_receiver_that_closes_idle_connections_costs_no_session() {
    // Answers one request, keeps the connection as HTTP/1.1 does, and closes it without a word.
    let (address, accepted) = raw(|mut socket, _| async move {
        request(&mut socket).await;
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0").await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    })
    .await;
    let (hooks, _registry) = hooks(&format!("http://{address}/hook"), true);
    for pause in 0..40 {
        hooks.publish(&publisher("alice")).await.expect("every one is let in");
        tokio::time::sleep(Duration::from_micros(pause * 250)).await;
    }
    assert!(
        accepted.load(Ordering::Relaxed) > 5,
        "connections were closed in between"
    );
}

#[tokio::test]
async fn connections_are_reused() {
    let (address, accepted) = raw(|mut socket, _| async move {
        while request(&mut socket).await.ends_with('}') {
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0").await;
        }
    })
    .await;
    let (hooks, registry) = hooks(&format!("http://{address}/hook"), true);
    for _ in 0..50 {
        hooks.publish(&publisher("alice")).await.expect("yes");
        hooks.connect(&connection("alice")).await.expect("yes");
    }
    assert_eq!(accepted.load(Ordering::Relaxed), 1, "admissions share a connection");
    let counted = |reused: &str| metric(&registry, "headgate_hook_connections_total", reused);
    assert!(
        (counted("false") - 1.0).abs() < 0.5 && counted("true") > 97.5,
        "{} {}",
        counted("false"),
        counted("true")
    );
    hooks.unpublish(&publisher("alice"), Traffic::default());
    assert_eq!(hooks.flush(Duration::from_secs(5)).await, 0);
    assert_eq!(
        accepted.load(Ordering::Relaxed),
        2,
        "notifications have a pool of their own"
    );
}
