//! What a pod that ends hands over: the notifications that nobody has taken from it.

use crate::pod::Pod;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use headgate_control::{PEER_OUTBOX_PATH, Problem};
use headgate_hooks::HandoverRecord;
use std::sync::Arc;

/// Bytes of one request. The sender cuts at a part of it.
const BODY_MAX: usize = 32 * 1024 * 1024;

/// The route.
pub fn router() -> Router<Arc<Pod>> {
    Router::new().route(PEER_OUTBOX_PATH, post(take_over).layer(DefaultBodyLimit::max(BODY_MAX)))
}

/// A body without a line asks whether this pod would take one.
async fn take_over(State(pod): State<Arc<Pod>>, body: Bytes) -> Response {
    if pod.is_leaving() {
        return problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "Draining",
            "this pod is on its way out itself",
        );
    }
    let lines = body.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    let records: Result<Vec<HandoverRecord>, _> = lines.map(serde_json::from_slice).collect();
    let Ok(records) = records else {
        return problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            "BadRecord",
            "a line is no notification",
        );
    };
    let count = records.len();
    match pod.hooks().take_over(records).await {
        Ok(()) => {
            if count > 0 {
                tracing::info!(count, "notifications of another pod are taken over");
            }
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => problem(StatusCode::SERVICE_UNAVAILABLE, error.reason(), &error.to_string()),
    }
}

fn problem(status: StatusCode, reason: &str, message: &str) -> Response {
    let (reason, message) = (reason.into(), message.into());
    (status, Json(Problem { reason, message })).into_response()
}
