//! What the operator may ask; what pods may is in [`super::peers`].

use super::caller::authorize;
use super::{ledger, outbox, peers, reports};
use crate::pod::Pod;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, put};
use axum::{Json, Router, middleware};
use headgate_control::{
    CONFIG_PATH, DRAIN_PATH, DrainRequest, LEDGER_PATH, PodConfig, Problem, REPORT_PATH, SESSIONS_PATH,
};
use std::sync::Arc;
use uuid::Uuid;

/// Bytes of one config: room for 10,000 keys and then some.
const CONFIG_MAX: usize = 16 * 1024 * 1024;

/// The routes.
pub fn router(pod: Arc<Pod>) -> Router {
    Router::new()
        .route(CONFIG_PATH, put(config).layer(DefaultBodyLimit::max(CONFIG_MAX)))
        .route(DRAIN_PATH, put(drain).delete(undrain))
        .route(REPORT_PATH, get(report))
        .route(&format!("{SESSIONS_PATH}/{{id}}"), delete(end_session))
        .route(LEDGER_PATH, get(ledger))
        .merge(peers::router())
        .merge(outbox::router())
        .layer(middleware::from_fn(authorize))
        .with_state(pod)
}

async fn config(State(pod): State<Arc<Pod>>, body: Bytes) -> Response {
    let applied = match serde_json::from_slice::<PodConfig>(&body) {
        Ok(config) => pod.apply(config).map_err(Problem::from),
        Err(error) => Err(unreadable(&error)),
    };
    match applied {
        Ok(applied) => Json(applied).into_response(),
        Err(problem) => {
            tracing::warn!(reason = %problem.reason, message = %problem.message, "a config was refused");
            (StatusCode::UNPROCESSABLE_ENTITY, Json(problem)).into_response()
        }
    }
}

/// Where it broke, without what stands there.
fn unreadable(error: &serde_json::Error) -> Problem {
    Problem {
        reason: "BadConfig".into(),
        message: format!(
            "the config cannot be read at line {} column {}",
            error.line(),
            error.column()
        ),
    }
}

async fn report(State(pod): State<Arc<Pod>>) -> Response {
    json_lines(Body::from_stream(reports::lines(pod)))
}

async fn ledger(State(pod): State<Arc<Pod>>) -> Response {
    json_lines(Body::from_stream(ledger::lines(&pod)))
}

fn json_lines(lines: Body) -> Response {
    ([(CONTENT_TYPE, "application/x-ndjson")], lines).into_response()
}

async fn drain(State(pod): State<Arc<Pod>>, Json(request): Json<DrainRequest>) -> StatusCode {
    pod.drain(request.deadline);
    StatusCode::NO_CONTENT
}

async fn undrain(State(pod): State<Arc<Pod>>) -> Response {
    match pod.undrain() {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => {
            let (reason, message) = ("Stopping".into(), error.to_string());
            (StatusCode::CONFLICT, Json(Problem { reason, message })).into_response()
        }
    }
}

async fn end_session(State(pod): State<Arc<Pod>>, Path(id): Path<Uuid>) -> StatusCode {
    if pod.kick(id) {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}
