//! The heads of media responses.

use crate::format::{Container, Framing};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use std::convert::Infallible;

/// The headers of every media response, wherever it is written.
pub(crate) fn media(container: Container) -> [(HeaderName, HeaderValue); 4] {
    let media = HeaderValue::from_static(container.content_type());
    [
        (header::CONTENT_TYPE, media),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store")),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (header::CONNECTION, HeaderValue::from_static("close")),
    ]
}

/// The body of an answer to HEAD whose GET would be answered at a length that nobody knows before: an empty one would be declared
/// to have zero bytes, and a declared length must be that of the GET (RFC 9110, 8.6).
pub(crate) fn of_unknown_length() -> Body {
    Body::from_stream(futures::stream::empty::<Result<Bytes, Infallible>>())
}

/// The head before a body of media.
pub(crate) fn ok(container: Container, framing: Framing) -> Bytes {
    let chunked = HeaderValue::from_static("chunked");
    let coding = (framing == Framing::Chunked).then_some((header::TRANSFER_ENCODING, chunked));
    put("200 OK", media(container).into_iter().chain(coding))
}

/// The head after which WebSocket is spoken.
pub(crate) fn switching(accept: &str) -> Bytes {
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
    ];
    let accept = HeaderValue::from_str(accept).ok();
    let accept = accept.map(|value| (header::SEC_WEBSOCKET_ACCEPT, value));
    put("101 Switching Protocols", headers.into_iter().chain(accept))
}

fn put(status: &str, headers: impl Iterator<Item = (HeaderName, HeaderValue)>) -> Bytes {
    let mut head = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for (name, value) in headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.extend_from_slice(b"\r\n");
    head.into()
}
