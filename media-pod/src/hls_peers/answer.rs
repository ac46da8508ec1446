//! The answering side.

use super::{rename, without_hops};
use crate::pod::Pod;
use axum::extract::{Query, State};
use axum::http::header::HOST;
use axum::http::{HeaderMap, HeaderName, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use headgate_control::{PEER_CLIENT_HEADER, PEER_HOST_HEADER, PeerRequest};
use std::net::SocketAddr;
use std::sync::Arc;

/// A pod that is to go has no playlists for viewers of other pods: they go on there.
pub async fn answer(
    State(pod): State<Arc<Pod>>,
    Query(asked): Query<PeerRequest>,
    mut headers: HeaderMap,
) -> Result<Response, StatusCode> {
    let bad = |_| StatusCode::BAD_REQUEST;
    let uri: Uri = asked.target.parse().map_err(|_| StatusCode::BAD_REQUEST)?;
    let client = headers.remove(PEER_CLIENT_HEADER).ok_or(StatusCode::BAD_REQUEST)?;
    let client = client.to_str().map_err(|_| StatusCode::BAD_REQUEST)?;
    let client: SocketAddr = client.parse().map_err(bad)?;
    if pod.unready().is_some() && uri.path().rsplit('.').next() == Some("m3u8") {
        return Ok(StatusCode::MISDIRECTED_REQUEST.into_response());
    }
    without_hops(&mut headers);
    rename(&mut headers, &HeaderName::from_static(PEER_HOST_HEADER), &HOST);
    let (mut request, ()) = Request::new(()).into_parts();
    request.uri = uri;
    request.headers = headers;
    Ok(pod.hls_home().answer(&request, client).await)
}
