//! Segments, parts and initialisation segments: they never change, so caches may keep them.

use super::elsewhere::Question;
use crate::conditional::{Wanted, has_already, wanted};
use crate::connection::Peer;
use crate::refuse::{problem, with_cors};
use crate::server::Shared;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use headgate_hub::Protocol;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::convert::Infallible;
use std::ops::Range;
use std::time::Duration;
use tokio::time::Instant;

/// How long caches may keep files.
const CACHE: &str = "public, max-age=300, immutable";
/// How long another pod may take at least.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a file is and consists of.
type Found = (&'static str, Vec<Bytes>);

/// Answers a GET or HEAD of a file that a playlist of any pod of the server named.
pub(super) async fn from_anywhere(shared: &Shared, name: &str, request: &Parts, peer: &Peer) -> Response {
    let found = match of_here(shared, name).await {
        None => of_elsewhere(shared, name, request, peer).await,
        here => here,
    };
    found.map_or_else(missing, |found| sent(shared, name, found, request))
}

/// Answers a GET or HEAD of a file that a playlist of this pod named.
pub(super) async fn answer(shared: &Shared, name: &str, request: &Parts) -> Response {
    let found = of_here(shared, name).await;
    found.map_or_else(missing, |found| sent(shared, name, found, request))
}

async fn of_here(shared: &Shared, name: &str) -> Option<Found> {
    let live = shared.options.hls.live(name.split('-').next().unwrap_or_default())?;
    let deadline = Instant::now().checked_add(live.target().saturating_mul(3));
    live.file(name, deadline.unwrap_or_else(Instant::now)).await
}

async fn of_elsewhere(shared: &Shared, name: &str, request: &Parts, peer: &Peer) -> Option<Found> {
    let hls = &shared.options.hls;
    let question = Question {
        target: request.uri.path().to_owned(),
        headers: HeaderMap::new(),
        client: peer.address,
        patience: hls.settings().segment.saturating_mul(3).max(PATIENCE),
    };
    let bytes = hls.fetched().file(hls.elsewhere()?, name, question).await?;
    let kind = if name.rsplit('.').next() == Some("ts") {
        "video/mp2t"
    } else {
        "video/mp4"
    };
    Some((kind, vec![bytes]))
}

fn sent(shared: &Shared, name: &str, (kind, pieces): Found, request: &Parts) -> Response {
    let tag = format!("\"{name}\"");
    if has_already(&request.headers, &tag) {
        return with(&tag, StatusCode::NOT_MODIFIED.into_response());
    }
    let length = pieces
        .iter()
        .fold(0_usize, |sum, piece| sum.saturating_add(piece.len()));
    let (status, part) = match wanted(&request.headers, &tag, length) {
        Wanted::Whole => (StatusCode::OK, 0..length),
        Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        Wanted::Beyond => return beyond(length),
    };
    shared.hub.count_egress(Protocol::Hls, part.len() as u64);
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_LENGTH, part.len().to_string()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
    ];
    let place = format!("bytes {}-{}/{length}", part.start, part.end.saturating_sub(1));
    let mut response = (status, headers, body(cut(pieces, part))).into_response();
    if status == StatusCode::PARTIAL_CONTENT {
        put(&mut response, &header::CONTENT_RANGE, &place);
    }
    with(&tag, response)
}

fn with(tag: &str, mut response: Response) -> Response {
    put(&mut response, &header::ETAG, tag);
    put(&mut response, &header::CACHE_CONTROL, CACHE);
    with_cors(response)
}

fn put(response: &mut Response, name: &header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Not to be remembered: the next playlist may name it.
pub(super) fn missing() -> Response {
    let said = "there is no such segment, or not any more";
    let mut response = problem(StatusCode::NOT_FOUND, "NotFound", said);
    put(&mut response, &header::CACHE_CONTROL, "no-store");
    response
}

fn beyond(length: usize) -> Response {
    let said = format!("there are {length} bytes");
    let mut response = problem(StatusCode::RANGE_NOT_SATISFIABLE, "RangeNotSatisfiable", &said);
    put(&mut response, &header::CONTENT_RANGE, &format!("bytes */{length}"));
    response
}

fn body(mut pieces: Vec<Bytes>) -> Body {
    match pieces.len() {
        0 | 1 => pieces.pop().unwrap_or_default().into(),
        _ => Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, Infallible>))),
    }
}

/// What of the pieces lies in the part.
fn cut(pieces: Vec<Bytes>, part: Range<usize>) -> Vec<Bytes> {
    let mut at = 0_usize;
    let inside = |piece: Bytes| {
        let (from, to) = (part.start.saturating_sub(at), part.end.saturating_sub(at));
        at = at.saturating_add(piece.len());
        let (from, to) = (from.min(piece.len()), to.min(piece.len()));
        (from < to).then(|| piece.slice(from..to))
    };
    pieces.into_iter().filter_map(inside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_pieces_is_cut_out_of_them() {
        let pieces = || ["abc", "", "defg"].map(Bytes::from).to_vec();
        let text = |part: Range<usize>| {
            let bytes: Vec<u8> = cut(pieces(), part).concat();
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(text(0..7), "abcdefg");
        assert_eq!(text(2..5), "cde");
        assert_eq!(text(3..4), "d");
        assert_eq!(text(6..7), "g");
    }
}
