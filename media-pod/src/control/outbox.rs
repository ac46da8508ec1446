//! What a pod that ends hands over: the notifications that nobody has taken from it, and its dead letters.

use crate::pod::Pod;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use headgate_control::{PEER_LETTERS_PATH, PEER_OUTBOX_PATH, Problem};
use headgate_hooks::{HandoverRecord, LetterRecord, TakeOverError};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Bytes of one request. The sender cuts at a part of it.
const BODY_MAX: usize = 32 * 1024 * 1024;

/// The route.
pub fn router() -> Router<Arc<Pod>> {
    let limit = || DefaultBodyLimit::max(BODY_MAX);
    Router::new()
        .route(PEER_OUTBOX_PATH, post(take_over).layer(limit()))
        .route(PEER_LETTERS_PATH, post(take_letters).layer(limit()))
}

/// A body without a line asks whether this pod would take one.
async fn take_over(State(pod): State<Arc<Pod>>, body: Bytes) -> Response {
    let records: Vec<HandoverRecord> = match lines(&pod, &body) {
        Ok(records) => records,
        Err(refused) => return *refused,
    };
    let count = records.len();
    let taken = pod.hooks().take_over(records).await;
    answer(taken, count, "notifications of another pod are taken over")
}

async fn take_letters(State(pod): State<Arc<Pod>>, body: Bytes) -> Response {
    let records: Vec<LetterRecord> = match lines(&pod, &body) {
        Ok(records) => records,
        Err(refused) => return *refused,
    };
    let count = records.len();
    let taken = pod.hooks().take_letters(records).await;
    answer(taken, count, "dead letters of another pod are kept")
}

fn lines<T: DeserializeOwned>(pod: &Pod, body: &Bytes) -> Result<Vec<T>, Box<Response>> {
    if pod.is_leaving() {
        let said = "this pod is on its way out itself";
        return Err(Box::new(problem(StatusCode::SERVICE_UNAVAILABLE, "Draining", said)));
    }
    let lines = body.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    let records: Result<Vec<T>, _> = lines.map(serde_json::from_slice).collect();
    let bad = |_| {
        problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            "BadRecord",
            "a line is not what it should be",
        )
    };
    records.map_err(bad).map_err(Box::new)
}

fn answer(taken: Result<(), TakeOverError>, count: usize, what: &str) -> Response {
    match taken {
        Ok(()) => {
            if count > 0 {
                tracing::info!(count, "{what}");
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
