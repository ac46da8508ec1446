//! Peers that hang, lie or are asked too often.

use crate::client::RtmpClient;
use crate::place::{Server, fake};
use crate::watch::{Viewer, announce, pictures};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::StreamExt;
use futures::stream::{iter, pending};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_answer_holds_neither_names_nor_streams() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::start_with(2, "Reject", &[silent.local_addr().unwrap().port()]).await;
    let pods = &server.0;
    let start = Instant::now();
    let mut sender = RtmpClient::publish(pods[0].rtmp, "cam").await.unwrap();
    let claimed = start.elapsed();
    announce(&mut sender).await;
    pictures(&mut sender, 0, 3).await;
    let start = Instant::now();
    assert_eq!(Viewer::rtmp(pods[1].rtmp, "cam").await.numbers(3).await, [0, 1, 2]);
    println!("beside a silent peer: publish {claimed:?}, play {:?}", start.elapsed());
    assert!(claimed < Duration::from_secs(1) && start.elapsed() < Duration::from_secs(1));
    assert!(pods[0].metric("headgate_peer_failures_total") >= 1.0);
}

/// A peer that answers every request for media the same way, and counts them.
async fn one_that_answers(answer: fn() -> Response) -> (Server, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let media = get(move || async move {
        count.fetch_add(1, Ordering::Relaxed);
        answer()
    });
    let server = fake(Router::new().route("/v1/peer/media", media)).await;
    (server, asked)
}

fn hangs() -> Response {
    let session = uuid::Uuid::now_v7().to_string();
    let header = Ok::<_, Infallible>(headgate_flv::file_header(true, true));
    let body = Body::from_stream(iter([header]).chain(pending()));
    ([("headgate-session", session)], body).into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_hangs_is_left_after_some_seconds_and_asked_again() {
    let (server, asked) = one_that_answers(hangs).await;
    let _viewer = Viewer::rtmp(server.0[0].rtmp, "cam").await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(server.0[0].pod.report().edges.len(), 1);
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_wait_for_a_stream_that_is_nowhere_ask_as_one() {
    let (server, asked) = one_that_answers(|| StatusCode::NOT_FOUND.into_response()).await;
    let mut viewers = Vec::new();
    for _ in 0..100 {
        viewers.push(Viewer::rtmp(server.0[0].rtmp, "cam").await);
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let asked = asked.load(Ordering::Relaxed);
    assert!((3..10).contains(&asked), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_sends_nonsense_is_not_asked_in_a_loop() {
    let nonsense = || {
        (
            [("headgate-session", uuid::Uuid::nil().to_string())],
            Bytes::from_static(b"<html>nothing</html>"),
        )
            .into_response()
    };
    let (server, asked) = one_that_answers(nonsense).await;
    let _viewer = Viewer::rtmp(server.0[0].rtmp, "cam").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let asked = asked.load(Ordering::Relaxed);
    assert!((3..10).contains(&asked), "{asked}");
}
