//! HLS among the pods of a server: what one asks another in a viewer's place, over the control ports.

use crate::pod::Pod;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use headgate_control::{PEER_CLIENT_HEADER, PEER_HLS_PATH, PEER_HOST_HEADER, PeerRequest};
use headgate_http::{Elsewhere, Home, Question};
use headgate_relay::{Peer, Peers};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Questions that are under way at one time; a session whose pod could not be asked goes on here.
const UNDER_WAY_MAX: usize = 2048;
/// What is about a connection and not about what is said over it.
const HOP_BY_HOP: [HeaderName; 4] = [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];

/// The asking side.
pub struct HlsPeers {
    peers: Arc<Peers>,
    under_way: Semaphore,
}

impl HlsPeers {
    /// Asks these.
    pub fn new(peers: Arc<Peers>) -> Self {
        Self {
            peers,
            under_way: Semaphore::new(UNDER_WAY_MAX),
        }
    }

    async fn answer(&self, home: Home, question: Question) -> Option<Response<Bytes>> {
        let peer = self.peers.all().into_iter().find(|peer| Home::of(&peer.name) == home)?;
        let _one_of_many = self.under_way.try_acquire().ok()?;
        let patience = question.patience;
        match timeout(patience, asked(&peer, question)).await {
            Ok(Ok(answer)) => (answer.status() != StatusCode::MISDIRECTED_REQUEST).then_some(answer),
            Ok(Err(error)) => {
                tracing::debug!(peer = %peer.name, %error, "a peer was not asked about a viewer");
                None
            }
            Err(_) => {
                tracing::debug!(peer = %peer.name, ?patience, "a peer did not answer about a viewer in time");
                None
            }
        }
    }
}

impl Elsewhere for HlsPeers {
    fn own(&self) -> Home {
        Home::of(&self.peers.own_name())
    }

    fn ask(&self, home: Home, question: Question) -> BoxFuture<'_, Option<Response<Bytes>>> {
        Box::pin(self.answer(home, question))
    }
}

async fn asked(peer: &Peer, question: Question) -> Result<Response<Bytes>, reqwest::Error> {
    let mut url = peer.url(PEER_HLS_PATH);
    url.query_pairs_mut().append_pair("target", &question.target);
    let mut headers = question.headers;
    rename(&mut headers, &HOST, &HeaderName::from_static(PEER_HOST_HEADER));
    without_hops(&mut headers);
    if let Ok(client) = HeaderValue::from_str(&question.client.to_string()) {
        headers.insert(PEER_CLIENT_HEADER, client);
    }
    let response = peer.client().get(url).headers(headers).send().await?;
    let (status, mut headers) = (response.status(), response.headers().clone());
    without_hops(&mut headers);
    let mut answer = Response::new(response.bytes().await?);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Ok(answer)
}

fn without_hops(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Whatever stood under the new name is gone.
fn rename(headers: &mut HeaderMap, from: &HeaderName, to: &HeaderName) {
    let value = headers.remove(from);
    headers.remove(to);
    if let Some(value) = value {
        headers.insert(to, value);
    }
}

/// The answering side. A pod that is to go has no playlists for viewers of other pods: they go on there.
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
