//! `/healthz`, `/readyz` and `/metrics`.

use crate::cache::Word;
use crate::context::Context;
use crate::hook_endpoint::Hooks;
use crate::media_server::{POD_STATES, Servers};
use crate::runner::Kind as _;
use crate::stream::Streams;
use crate::stream_key::Keys;
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
    count(&ctx);
    match ctx.metrics.render() {
        Ok(text) => (StatusCode::OK, [(CONTENT_TYPE, "text/plain; version=0.0.4")], text),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(CONTENT_TYPE, "text/plain")],
            error.to_string().into_bytes(),
        ),
    }
}

/// What is counted when it is asked for. Only the leader counts pods, so that the sum over all operators is right.
fn count(ctx: &Context) {
    let leads = ctx.metrics.leader.get() == 1;
    for state in POD_STATES {
        let pods = if leads {
            ctx.caches.pods.count(&Word::state(state))
        } else {
            0
        };
        ctx.metrics.pods.with_label_values(&[state]).set(whole(pods));
    }
    let queues = &ctx.queues;
    let depths = [
        (Servers::NAME, &queues.servers),
        (Keys::NAME, &queues.keys),
        (Hooks::NAME, &queues.hooks),
        (Streams::NAME, &queues.streams),
    ];
    for (kind, queue) in depths {
        ctx.metrics.queued.with_label_values(&[kind]).set(whole(queue.depth()));
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
