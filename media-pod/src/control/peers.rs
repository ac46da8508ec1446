//! What the other pods of the server may ask: whether a name is free, whether a stream is here, the stream itself, and what a viewer of HLS has here.

use crate::hls_peers;
use crate::pod::Pod;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::future::ready;
use futures::stream::{self, Stream, StreamExt};
use headgate_codec::{Frame, Timestamp, Track};
use headgate_control::{
    Claim, ClaimAnswer, Found, PEER_CLAIMS_PATH, PEER_EVICTIONS_PATH, PEER_HLS_PATH, PEER_MEDIA_PATH,
    PEER_SESSION_HEADER, PEER_STREAM_PATH, PeerStream,
};
use headgate_flv::{PADDING, file_header};
use headgate_hub::{Answer, Format, FormatId, Packet, Refusal, Start, StreamName, Tap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A stream that is silent for so long says that it is still there.
const SILENCE: Duration = Duration::from_secs(2);
/// Packets that are sent as one piece.
const BATCH: usize = 64;

/// The routes.
pub fn router() -> Router<Arc<Pod>> {
    Router::new()
        .route(PEER_CLAIMS_PATH, post(claim))
        .route(PEER_EVICTIONS_PATH, post(evict))
        .route(PEER_STREAM_PATH, get(find))
        .route(PEER_MEDIA_PATH, get(media))
        .route(PEER_HLS_PATH, get(hls_peers::answer))
}

async fn claim(State(pod): State<Arc<Pod>>, Json(claim): Json<Claim>) -> Result<Json<ClaimAnswer>, StatusCode> {
    let name = name(&claim.name)?;
    Ok(Json(match pod.hub().contend(&name, claim.session, claim.takeover) {
        Answer::Free => ClaimAnswer::Free,
        Answer::Taken => ClaimAnswer::Taken,
    }))
}

async fn evict(State(pod): State<Arc<Pod>>, Json(claim): Json<Claim>) -> Result<StatusCode, StatusCode> {
    pod.hub().evict(&name(&claim.name)?, claim.session);
    Ok(StatusCode::NO_CONTENT)
}

async fn find(State(pod): State<Arc<Pod>>, Query(stream): Query<PeerStream>) -> Result<Json<Found>, StatusCode> {
    let session = pod.hub().found(&name(&stream)?).ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(Found { session }))
}

async fn media(State(pod): State<Arc<Pod>>, Query(wanted): Query<PeerStream>) -> Result<Response, StatusCode> {
    let format: Arc<dyn Format> = Arc::new(Tags(headgate_http::flv()));
    let tap = pod.hub().tap(&name(&wanted)?, &format).ok_or(StatusCode::NOT_FOUND)?;
    let session = tap.publisher().to_string();
    let head = [(CONTENT_TYPE.as_str(), "video/x-flv"), (PEER_SESSION_HEADER, &session)];
    Ok((head, Body::from_stream(pieces(tap))).into_response())
}

fn name(stream: &PeerStream) -> Result<StreamName, StatusCode> {
    let bad = |_: Refusal| StatusCode::BAD_REQUEST;
    StreamName::parse(&stream.vhost, &stream.app, &stream.stream).map_err(bad)
}

/// The stream until it ends, behind a file's header, so that what it begins with can be silence.
fn pieces(tap: Tap) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let header = stream::once(ready(vec![file_header(true, true)]));
    let tags = stream::unfold(tap, |mut tap| async move {
        let mut packets = Vec::new();
        match timeout(SILENCE, tap.next(&mut packets, BATCH)).await {
            Ok(true) => Some((packets, tap)),
            Ok(false) => None,
            Err(_) => Some((vec![Bytes::from_static(&PADDING)], tap)),
        }
    });
    header
        .chain(tags)
        .flat_map(|packets| stream::iter(packets.into_iter().map(Ok)))
}

/// FLV tags without a file's header.
struct Tags<F>(F);

impl<F: Format> Format for Tags<F> {
    fn id(&self) -> FormatId {
        FormatId("flv-tags")
    }

    fn start(&self, start: &Start<'_>) -> Bytes {
        self.0.start(&Start {
            resumed: true,
            ..*start
        })
    }

    fn config(&self, track: &Track, at: Timestamp) -> Bytes {
        self.0.config(track, at)
    }

    fn metadata(&self, metadata: &Bytes, at: Timestamp) -> Bytes {
        self.0.metadata(metadata, at)
    }

    fn data(&self, data: &Bytes, at: Timestamp) -> Bytes {
        self.0.data(data, at)
    }

    fn frame(&self, track: &Track, frame: &Frame) -> Packet {
        self.0.frame(track, frame)
    }
}
