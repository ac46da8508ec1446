//! Hooks fire where the session is, and tell of one stream.

use crate::client::RtmpClient;
use crate::place::Server;
use crate::watch::{Viewer, announce, pictures};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// Port of the pod, event, and the stream's id.
type Heard = Arc<Mutex<Vec<(u16, String, String)>>>;

async fn hear(State(heard): State<Heard>, Path(pod): Path<u16>, Json(body): Json<Value>) -> &'static str {
    let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
    heard.lock().push((pod, text("action"), text("stream_id")));
    "0"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewers_hooks_fire_in_its_own_pod_with_the_origins_stream() {
    let heard = Heard::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let back_end = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/{pod}", post(hear)).with_state(Arc::clone(&heard));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let server = Server::start(2, "Reject").await;
    let pods = &server.0;
    for pod in pods {
        pod.hook(&back_end);
    }
    let mut sender = RtmpClient::publish(pods[0].rtmp, "cam").await.unwrap();
    announce(&mut sender).await;
    pictures(&mut sender, 0, 3).await;
    let mut viewer = Viewer::rtmp(pods[1].rtmp, "cam").await;
    assert_eq!(viewer.numbers(3).await, [0, 1, 2]);
    drop(viewer);
    let start = Instant::now();
    while heard.lock().len() < 3 && start.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let heard = heard.lock().clone();
    let events: Vec<_> = heard.iter().map(|(pod, event, _)| (*pod, event.as_str())).collect();
    let (origin, edge) = (pods[0].rtmp, pods[1].rtmp);
    assert_eq!(events, [(origin, "on_publish"), (edge, "on_play"), (edge, "on_stop")]);
    assert!(heard.iter().all(|(_, _, id)| *id == heard[0].2), "{heard:?}");
}

/// Takes every question and no end.
async fn take_nothing(Json(body): Json<Value>) -> (StatusCode, &'static str) {
    let is_end = body["action"] == "on_unpublish";
    (
        if is_end {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::OK
        },
        "0",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_ends_in_peace_hands_its_dead_letters_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let back_end = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/{pod}", post(take_nothing));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let server = Server::start(2, "Reject").await;
    let pods = &server.0;
    for pod in pods {
        pod.hook(&back_end);
    }
    let mut sender = RtmpClient::publish(pods[0].rtmp, "cam").await.unwrap();
    announce(&mut sender).await;
    sender.unpublish().await;
    let letters = |pod: usize| pods[pod].metric("headgate_hook_deadletters");
    let start = Instant::now();
    while letters(0) < 1.0 {
        assert!(start.elapsed() < Duration::from_secs(10), "it is not given up");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    pods[0].pod.stop().await;
    assert_eq!((letters(0), letters(1)), (0.0, 1.0));
}
