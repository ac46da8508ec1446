//! `/healthz`, `/readyz` and `/metrics`.

use crate::context::Context;
use crate::media_server::{is_leaving, is_ready};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, ctx: Arc<Context>, stop: CancellationToken) -> std::io::Result<()> {
    axum::serve(listener, router(ctx))
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

fn router(ctx: Arc<Context>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(ctx)
}

/// Ready to lead: every watch has read everything once. A standby is ready too.
async fn ready(State(ctx): State<Arc<Context>>) -> impl IntoResponse {
    if ctx.caches.are_synced() {
        (StatusCode::OK, "ok\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "watches have not read everything yet\n",
        )
    }
}

async fn metrics(State(ctx): State<Arc<Context>>) -> impl IntoResponse {
    count_pods(&ctx);
    match ctx.metrics.render() {
        Ok(text) => (StatusCode::OK, [(CONTENT_TYPE, "text/plain; version=0.0.4")], text),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(CONTENT_TYPE, "text/plain")],
            error.to_string().into_bytes(),
        ),
    }
}

/// Only the leader counts, so that the sum over all operators is right.
fn count_pods(ctx: &Context) {
    let leads = ctx.metrics.leader.get() == 1;
    let mut counts = [("Ready", 0_i64), ("NotReady", 0), ("Draining", 0), ("Deleting", 0)];
    for key in ctx.caches.pods.keys() {
        let Some(pod) = ctx.caches.pods.get(&key).filter(|_| leads) else {
            continue;
        };
        let state = match (pod.metadata.deletion_timestamp.is_some(), is_leaving(&pod)) {
            (true, _) => "Deleting",
            (false, true) => "Draining",
            _ if is_ready(&pod) => "Ready",
            _ => "NotReady",
        };
        for (name, count) in &mut counts {
            *count = count.saturating_add(i64::from(*name == state));
        }
    }
    for (name, count) in counts {
        ctx.metrics.pods.with_label_values(&[name]).set(count);
    }
}
