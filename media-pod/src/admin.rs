//! The admin port: `/healthz`, `/readyz`, `/metrics`, `/hooks` (the latest calls of back ends), and standalone `/resources`.

use crate::pod::Pod;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use headgate_hooks::EndpointAttempts;
use prometheus::{Encoder, TextEncoder};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Makes the text of `/resources`.
pub type Resources = Arc<dyn Fn() -> String + Send + Sync>;

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, pod: Arc<Pod>, resources: Option<Resources>, stop: CancellationToken) {
    let served = axum::serve(listener, router(pod, resources));
    if let Err(error) = served.with_graceful_shutdown(stop.cancelled_owned()).await {
        tracing::error!(%error, "the admin port ended");
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
