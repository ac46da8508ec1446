//! Answers as back ends really write them, over a real connection: what each dialect makes of a body and of the way it comes.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics fails, as it should"
)]

mod common;

use common::{endpoint, place, publisher, server};
use headgate_control::{Dialect, HookEndpoint};
use headgate_hooks::{Hooks, Storage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// The body of an answer with a length, and a status.
fn plain(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// Says these bytes to every request and closes.
async fn says(answer: String) -> (String, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("a port"));
    let serve = async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = vec![0; 64 * 1024];
                // A probe says nothing.
                if socket.read(&mut request).await.is_ok_and(|count| count > 0) {
                    let _ = socket.write_all(answer.as_bytes()).await;
                }
            });
        }
    };
    (url, AbortOnDropHandle::new(tokio::spawn(serve)))
}

/// What becomes of a publisher whose back end answers so.
async fn outcome(dialect: Dialect, answer: &str) -> String {
    let (url, _server) = says(answer.to_owned()).await;
    let asks = HookEndpoint {
        dialect,
        urls: vec![url],
        timeout_milliseconds: 2000,
        ..endpoint("backend")
    };
    let registry = prometheus::Registry::new();
    let hooks = Hooks::new(&registry, "v5q25s67", &place(true), &Storage::default()).expect("hooks");
    hooks.reconfigure(&server(), &[asks]);
    match hooks.publish(&publisher("alice")).await {
        Ok(()) => "in".into(),
        Err(refusal) => <&str>::from(refusal.reason).into(),
    }
}

const SRS: Dialect = Dialect::Srs;
const V1: Dialect = Dialect::SrsV1;
const ZLM: Dialect = Dialect::ZLMediaKit;
const ORYX: Dialect = Dialect::Oryx;
const NATIVE: Dialect = Dialect::CloudEvents;

#[tokio::test(flavor = "multi_thread")]
async fn the_way_an_answer_comes_makes_no_difference() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"co\r\n7;x=1\r\nde\": 0}\r\n0\r\nX-Trailer: 1\r\n\r\n";
    let until_it_closes = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"code\":0}";
    let old = "HTTP/1.0 200 OK\r\n\r\n{\"code\":0}";
    let early = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{\"code\":0}";
    let charset =
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=gb2312\r\nContent-Length: 10\r\n\r\n{\"code\":0}";
    let no_reason = "HTTP/1.1 200\r\nContent-Length: 10\r\n\r\n{\"code\":0}";
    for answer in [chunked, until_it_closes, old, early, charset, no_reason] {
        for dialect in [SRS, ZLM, ORYX] {
            assert_eq!(outcome(dialect, answer).await, "in", "{dialect} {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_none() {
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"code\":0}";
    let half = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"co";
    let no_http = "0";
    for answer in [short, half, no_http] {
        for dialect in [SRS, V1, ORYX, NATIVE] {
            assert_eq!(outcome(dialect, answer).await, "HookUnreachable", "{dialect} {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_dialect_takes_its_own_yes_and_no_other() {
    let (status, answer) = ("HookBadStatus", "HookBadAnswer");
    let table: [(String, [&str; 5]); 14] = [
        (plain("200 OK", "0"), ["in", "in", answer, "in", answer]),
        (plain("201 Created", "0"), ["in", "in", status, status, answer]),
        (plain("200 OK", "0\n"), [answer, answer, answer, answer, answer]),
        (plain("200 OK", "{\"code\":0}\n"), ["in", answer, "in", "in", answer]),
        (
            plain("201 Created", "{\"code\":0}"),
            ["in", answer, status, status, answer],
        ),
        (
            plain("200 OK", "\u{feff}{\"code\":0}"),
            ["in", answer, "in", answer, answer],
        ),
        (
            plain("200 OK", "{\"code\":\"0\"}"),
            [answer, answer, answer, answer, answer],
        ),
        (plain("200 OK", "{}"), [answer, answer, answer, "in", answer]),
        (plain("200 OK", ""), [answer, answer, answer, answer, answer]),
        (plain("204 No Content", ""), [status, answer, status, status, status]),
        (
            plain("200 OK", "{\"allow\":true}"),
            [answer, answer, answer, "in", "in"],
        ),
        (
            plain("200 OK", "{\"code\":1}"),
            ["HookDenied", "HookDenied", "HookDenied", "HookDenied", answer],
        ),
        (
            plain("403 Forbidden", "{\"code\":1}"),
            [status, status, status, status, "HookDenied"],
        ),
        (
            plain("307 Temporary Redirect\r\nLocation: /yes", "{\"code\":0}"),
            [status, status, status, status, status],
        ),
    ];
    for (said, expected) in table {
        for (dialect, expected) in [SRS, V1, ZLM, ORYX, NATIVE].into_iter().zip(expected) {
            assert_eq!(outcome(dialect, &said).await, expected, "{dialect} {said}");
        }
    }
}
