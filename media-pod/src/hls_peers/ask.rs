//! The asking side.

use super::alive::Alive;
use super::metrics::{Metrics, Outcome};
use super::{rename, without_hops};
use axum::body::Bytes;
use axum::http::header::HOST;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use futures::future::BoxFuture;
use headgate_control::{PEER_CLIENT_HEADER, PEER_HLS_PATH, PEER_HOST_HEADER};
use headgate_http::{Elsewhere, Home, Question};
use headgate_relay::{Peer, Peers};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Questions that are under way at one time; a session whose pod could not be asked goes on here.
const UNDER_WAY_MAX: usize = 2048;
/// Bytes of one answer: a segment is at most a quarter of what a stream may take of memory.
const ANSWER_MAX: usize = 64 << 20;
/// KiB of all answers that are kept at one time, until they are sent.
const ALL_MAX: usize = 256 << 10;

/// See the module.
pub struct HlsPeers {
    peers: Arc<Peers>,
    alive: Alive,
    under_way: Semaphore,
    room: Arc<Semaphore>,
    metrics: Metrics,
}

impl HlsPeers {
    /// Asks these.
    pub fn new(peers: Arc<Peers>, metrics: Metrics) -> Self {
        Self {
            peers,
            alive: Alive::default(),
            under_way: Semaphore::new(UNDER_WAY_MAX),
            room: Arc::new(Semaphore::new(ALL_MAX)),
            metrics,
        }
    }

    async fn answer(&self, home: Home, question: Question) -> Option<Response<Bytes>> {
        let peer = self.peers.all().into_iter().find(|peer| Home::of(&peer.name) == home)?;
        let answer = self.answer_of(&peer, question).await;
        let outcome = answer.as_ref().err().copied().unwrap_or(Outcome::Answered);
        self.metrics.count(outcome);
        answer
            .inspect_err(|outcome| tracing::debug!(peer = %peer.name, reason = %outcome, "no answer for a viewer of another pod"))
            .ok()
    }

    async fn answer_of(&self, peer: &Peer, question: Question) -> Result<Response<Bytes>, Outcome> {
        if self.alive.is_known_to_hang(peer).await {
            return Err(Outcome::PeerHangs);
        }
        let _one_of_many = self.under_way.try_acquire().map_err(|_| Outcome::LimitReached)?;
        let patience = question.patience;
        tokio::select! {
            asked = timeout(patience, self.ask_one(peer, question)) => asked.unwrap_or(Err(Outcome::PeerTimedOut)),
            () = self.alive.hangs(peer) => Err(Outcome::PeerHangs),
        }
    }

    async fn ask_one(&self, peer: &Peer, question: Question) -> Result<Response<Bytes>, Outcome> {
        let response = send(peer, question).await.map_err(|_| Outcome::PeerUnreachable)?;
        if response.status() == StatusCode::MISDIRECTED_REQUEST {
            return Err(Outcome::PeerLeaving);
        }
        let (status, mut headers) = (response.status(), response.headers().clone());
        without_hops(&mut headers);
        let mut answer = Response::new(self.body(response).await?);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }

    /// The whole body, whose bytes count as long as anybody holds them.
    async fn body(&self, mut response: reqwest::Response) -> Result<Bytes, Outcome> {
        let is_too_large = |bytes: u64| bytes > ANSWER_MAX as u64;
        if response.content_length().is_some_and(is_too_large) {
            return Err(Outcome::TooLarge);
        }
        let mut held = Held::default();
        while let Some(piece) = response.chunk().await.map_err(|_| Outcome::PeerUnreachable)? {
            if is_too_large(held.bytes.len().saturating_add(piece.len()) as u64) {
                return Err(Outcome::TooLarge);
            }
            let kibibytes = u32::try_from(piece.len().div_ceil(1024)).unwrap_or(u32::MAX);
            let place = Arc::clone(&self.room).try_acquire_many_owned(kibibytes);
            held.take(&piece, place.map_err(|_| Outcome::LimitReached)?);
        }
        Ok(Bytes::from_owner(held))
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

/// Bytes with their place among those of all answers.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    place: Option<OwnedSemaphorePermit>,
}

impl Held {
    fn take(&mut self, piece: &[u8], place: OwnedSemaphorePermit) {
        self.bytes.extend_from_slice(piece);
        match &mut self.place {
            Some(all) => all.merge(place),
            none => *none = Some(place),
        }
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

async fn send(peer: &Peer, question: Question) -> Result<reqwest::Response, reqwest::Error> {
    let mut url = peer.url(PEER_HLS_PATH);
    url.query_pairs_mut().append_pair("target", &question.target);
    let mut headers = question.headers;
    rename(&mut headers, &HOST, &HeaderName::from_static(PEER_HOST_HEADER));
    without_hops(&mut headers);
    if let Ok(client) = HeaderValue::from_str(&question.client.to_string()) {
        headers.insert(PEER_CLIENT_HEADER, client);
    }
    peer.client().get(url).headers(headers).send().await
}
