//! A pod on its way out, and what the others do for it.

use crate::back_end::BackEnd;
use crate::client::RtmpClient;
use crate::place::{Member, Server};
use crate::watch::{Viewer, announce, pictures};
use axum::http::StatusCode;
use headgate_control::HookEndpoint;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// Has the server ask and tell a back end.
fn attach(member: &Member, back_end: &BackEnd) {
    let hook = serde_json::json!({
        "name": "backend", "dialect": "SRS", "urls": [back_end.url], "events": ["Publish", "Unpublish"],
        "timeoutMilliseconds": 1000, "failurePolicy": "Fail",
    });
    let mut config = (*member.pod.config().unwrap()).clone();
    config.hooks = vec![serde_json::from_value::<HookEndpoint>(hook).unwrap()];
    member.pod.apply(config).unwrap();
}

fn drains(member: &Member) {
    tokio::spawn(Arc::clone(&member.pod).keep_draining(member.stop.clone()));
    member.pod.drain(Timestamp::now() + SignedDuration::from_secs(8));
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_leave_a_pod_on_its_way_out_and_see_its_stream_from_another() {
    let server = Server::start(2, "Reject").await;
    let [origin, other] = [&server.0[0], &server.0[1]];
    let mut publisher = RtmpClient::publish(origin.rtmp, "x").await.unwrap();
    announce(&mut publisher).await;
    pictures(&mut publisher, 0, 5).await;
    let mut here = Viewer::rtmp(origin.rtmp, "x").await;
    let mut there = Viewer::rtmp(other.rtmp, "x").await;
    here.numbers(1).await;
    there.numbers(1).await;
    drains(origin);
    let mut at = 5;
    while origin.pod.report().draining.unwrap().viewers > 0 {
        pictures(&mut publisher, at, 5).await;
        at += 5;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    while here.next().await.is_some() {}
    let mut back = Viewer::rtmp(other.rtmp, "x").await;
    pictures(&mut publisher, at, 5).await;
    there.until(at + 4).await;
    back.until(at + 4).await;
    assert_eq!(origin.pod.report().draining.unwrap().publishers, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_pod_that_ends_cannot_tell_another_tells() {
    let (server, back_end) = (Server::start(2, "Reject").await, BackEnd::start().await);
    let [ending, other] = [&server.0[0], &server.0[1]];
    attach(ending, &back_end);
    attach(other, &back_end);
    let publisher = RtmpClient::publish(ending.rtmp, "x").await.unwrap();
    back_end.answer(StatusCode::INTERNAL_SERVER_ERROR, "");
    publisher.unpublish().await;
    back_end.hears("on_unpublish x").await;
    ending.pod.hurry();
    ending.pod.stop().await;
    ending
        .reports("handed over", |report| report.hooks[0].pending == 0)
        .await;
    other.reports("taken over", |report| report.hooks[0].pending == 1).await;
    back_end.answer(StatusCode::OK, "0");
    other.reports("told", |report| report.hooks[0].pending == 0).await;
    let told = back_end.heard();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(back_end.heard(), told, "it is told no more");
    let clients: Vec<_> = back_end.calls().iter().map(|call| call["client_id"].clone()).collect();
    assert!(
        clients.iter().all(|client| *client == clients[0]),
        "all of one publisher: {clients:?}"
    );
}
