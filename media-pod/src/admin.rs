//! The admin port: `/healthz`, `/readyz`, `/metrics`, `/hooks` (the latest calls of back ends), and standalone `/resources`.

use crate::pod::Pod;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use headgate_hooks::EndpointAttempts;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus::{Encoder, TextEncoder};
use socket2::SockRef;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections at one time: a kubelet, a Prometheus or two, and people.
const CONNECTIONS_MAX: usize = 256;
/// For the head of a request. A connection on which none begins for so long is closed too.
const PATIENCE: Duration = Duration::from_secs(10);
/// A peer that takes nothing of an answer for so long is gone.
const STALL: Duration = Duration::from_secs(20);

/// Makes the text of `/resources`.
pub type Resources = Arc<dyn Fn() -> String + Send + Sync>;

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, pod: Arc<Pod>, resources: Option<Resources>, stop: CancellationToken) {
    let (tasks, places) = (TaskTracker::new(), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
    let routes = router(pod, resources);
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(error) => {
                tracing::warn!(%error, "the admin port cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Who comes when all places are taken is closed.
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let (routes, stop) = (routes.clone(), stop.clone());
            tasks.spawn(async move {
                connection(socket, routes, &stop).await;
                drop(place);
            });
        }
    }
    tasks.close();
    tasks.wait().await;
}

/// What is under way when the port ends is answered.
async fn connection(socket: TcpStream, routes: Router, stop: &CancellationToken) {
    let _ = SockRef::from(&socket).set_tcp_user_timeout(Some(STALL));
    let mut http = http1::Builder::new();
    let http = http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let mut served = pin!(http.serve_connection(TokioIo::new(socket), TowerToHyperService::new(routes)));
    let ended = tokio::select! {
        ended = &mut served => Some(ended),
        () = stop.cancelled() => None,
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        served.as_mut().graceful_shutdown();
        served.await
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the admin port ended");
    }
}

/// The routes.
pub fn router(pod: Arc<Pod>, resources: Option<Resources>) -> Router {
    let mut routes = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/hooks", get(hooks))
        .with_state(pod);
    if let Some(resources) = resources {
        let page = move || async move { ([(CONTENT_TYPE, "application/yaml")], resources()) };
        routes = routes.route("/resources", get(page));
    }
    routes
}

async fn readyz(State(pod): State<Arc<Pod>>) -> (StatusCode, String) {
    match pod.unready() {
        None => (StatusCode::OK, "ok\n".into()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

/// The last hundred attempts at each endpoint. No secret is among what is kept of them.
async fn hooks(State(pod): State<Arc<Pod>>) -> Json<Vec<EndpointAttempts>> {
    Json(pod.hooks().attempts())
}

async fn metrics(State(pod): State<Arc<Pod>>) -> impl IntoResponse {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&pod.registry().gather(), &mut text) {
        Ok(()) => (StatusCode::OK, [(CONTENT_TYPE, "text/plain; version=0.0.4")], text),
        Err(error) => {
            let why = error.to_string().into_bytes();
            (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "text/plain")], why)
        }
    }
}
