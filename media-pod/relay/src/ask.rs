//! Claims and evictions: one small request to each peer, at the same time.

use crate::relay::Inner;
use crate::{Peer, PeerError};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use headgate_control::{Claim, ClaimAnswer, PEER_CLAIMS_PATH, PEER_EVICTIONS_PATH, PeerStream};
use headgate_hub::{Answer, StreamName};
use reqwest::StatusCode;
use std::future::Future;
use std::time::Duration;
use tokio::time::timeout;

pub(crate) fn peer_stream(name: &StreamName) -> PeerStream {
    PeerStream {
        vhost: name.vhost.to_string(),
        app: name.app.to_string(),
        stream: name.stream.to_string(),
    }
}

impl Inner {
    /// Asks all; the first who stands against it settles it.
    pub(crate) async fn claim(&self, peers: &[Peer], claim: &Claim) -> Answer {
        let patience = self.patience.claim;
        let ask = |peer| async move { (peer, within(patience, twice(|| claim_one(peer, claim))).await) };
        let mut asked: FuturesUnordered<_> = peers.iter().map(ask).collect();
        while let Some((peer, answer)) = asked.next().await {
            if self.noted(peer, answer) == Some(ClaimAnswer::Taken) {
                return Answer::Taken;
            }
        }
        Answer::Free
    }

    /// Has all end whom this one displaced.
    pub(crate) async fn evict(&self, peers: &[Peer], claim: &Claim) {
        let patience = self.patience.eviction;
        let ask = |peer| async move { (peer, within(patience, twice(|| evict_one(peer, claim))).await) };
        let mut asked: FuturesUnordered<_> = peers.iter().map(ask).collect();
        while let Some((peer, answer)) = asked.next().await {
            self.noted(peer, answer);
        }
    }
}

pub(crate) async fn within<T>(
    patience: Duration,
    asked: impl Future<Output = Result<T, PeerError>>,
) -> Result<T, PeerError> {
    timeout(patience, asked)
        .await
        .unwrap_or(Err(PeerError::TimedOut(patience)))
}

/// A pooled connection may just have been closed; a claim and an eviction can be said twice.
async fn twice<T, F: Future<Output = Result<T, PeerError>>>(ask: impl Fn() -> F) -> Result<T, PeerError> {
    match ask().await {
        Err(PeerError::Unreachable(_)) => ask().await,
        answer => answer,
    }
}

async fn claim_one(peer: &Peer, claim: &Claim) -> Result<ClaimAnswer, PeerError> {
    let asked = peer
        .client()
        .post(peer.url(PEER_CLAIMS_PATH))
        .json(claim)
        .send()
        .await?;
    if asked.status() != StatusCode::OK {
        return Err(PeerError::BadAnswer(asked.status().to_string()));
    }
    asked.json().await.map_err(|e| PeerError::BadAnswer(e.to_string()))
}

async fn evict_one(peer: &Peer, claim: &Claim) -> Result<(), PeerError> {
    let asked = peer
        .client()
        .post(peer.url(PEER_EVICTIONS_PATH))
        .json(claim)
        .send()
        .await?;
    if asked.status() == StatusCode::NO_CONTENT {
        Ok(())
    } else {
        Err(PeerError::BadAnswer(asked.status().to_string()))
    }
}
