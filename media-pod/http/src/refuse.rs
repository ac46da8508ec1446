//! Answers that are not media.

use axum::Json;
use axum::response::{IntoResponse, Response};
use headgate_hub::{EndReason, Reason, Refusal};
use http::{HeaderValue, StatusCode, header};

/// The HTTP status of a refusal.
pub(crate) fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::KeyMissing => StatusCode::UNAUTHORIZED,
        Reason::KeyWrong
        | Reason::KeyNotYetValid
        | Reason::KeyExpired
        | Reason::KeySuspended
        | Reason::PermissionMissing
        | Reason::AddressNotAllowed
        | Reason::HookDenied => StatusCode::FORBIDDEN,
        Reason::UnknownVhost | Reason::UnknownApp | Reason::StreamNotFound => StatusCode::NOT_FOUND,
        Reason::CodecsNotCarried => StatusCode::NOT_ACCEPTABLE,
        Reason::NameBusy => StatusCode::CONFLICT,
        Reason::LimitReached => StatusCode::TOO_MANY_REQUESTS,
        Reason::HookTimeout
        | Reason::HookUnreachable
        | Reason::HookBadStatus
        | Reason::HookBadAnswer
        | Reason::HookCircuitOpen
        | Reason::Draining => StatusCode::SERVICE_UNAVAILABLE,
        Reason::BadRequest => StatusCode::BAD_REQUEST,
        Reason::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// `{"reason": …, "message": …}`.
pub(crate) fn problem(status: StatusCode, reason: &str, message: &str) -> Response {
    let body = serde_json::json!({ "reason": reason, "message": message });
    with_cors((status, Json(body)).into_response())
}

pub(crate) fn refused(refusal: &Refusal) -> Response {
    let answer = problem(status(refusal.reason), refusal.reason.as_str(), &refusal.message);
    if refusal.reason == Reason::Draining {
        return elsewhere(answer);
    }
    answer
}

/// The next request goes to another server, which takes a connection of its own.
fn elsewhere(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

/// A session that was admitted and ended before there was anything to send.
pub(crate) fn ended(reason: EndReason) -> Response {
    match reason {
        EndReason::StreamNotFound | EndReason::StreamEnded => problem(
            StatusCode::NOT_FOUND,
            Reason::StreamNotFound.as_str(),
            "nobody publishes this stream",
        ),
        EndReason::CodecsNotCarried => problem(
            StatusCode::NOT_ACCEPTABLE,
            Reason::CodecsNotCarried.as_str(),
            "this format carries none of the codecs of this stream",
        ),
        EndReason::Draining => elsewhere(problem(
            StatusCode::SERVICE_UNAVAILABLE,
            Reason::Draining.as_str(),
            "this server is on its way out: come again",
        )),
        other => problem(StatusCode::SERVICE_UNAVAILABLE, other.as_str(), "the session was ended"),
    }
}

/// Answer to a preflight request.
pub(crate) fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "*"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    with_cors((StatusCode::NO_CONTENT, headers).into_response())
}

pub(crate) fn with_cors(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    response
}

/// What scripts may read beyond the little that they always may.
const EXPOSED: &str = "content-length, content-range, etag, retry-after";
