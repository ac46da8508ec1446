//! Claims and evictions: one small request to each peer, at the same time.

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

/// Asks all; the first who stands against it settles it. `failed` hears of each who does not answer.
pub(crate) async fn claim(
    peers: &[Peer],
    claim: &Claim,
    patience: Duration,
    failed: impl Fn(&Peer, PeerError),
) -> Answer {
    let ask = |peer| async move { (peer, within(patience, twice(|| claim_one(peer, claim))).await) };
    let mut asked: FuturesUnordered<_> = peers.iter().map(ask).collect();
    while let Some((peer, answer)) = asked.next().await {
        match answer {
            Ok(ClaimAnswer::Taken) => return Answer::Taken,
            Ok(ClaimAnswer::Free) => {}
            Err(error) => failed(peer, error),
        }
    }
    Answer::Free
}

/// Has all end a publisher of the name that is not this one.
pub(crate) async fn evict(peers: &[Peer], claim: &Claim, patience: Duration, failed: impl Fn(&Peer, PeerError)) {
    let ask = |peer| async move { (peer, within(patience, twice(|| evict_one(peer, claim))).await) };
    let mut asked: FuturesUnordered<_> = peers.iter().map(ask).collect();
    while let Some((peer, answer)) = asked.next().await {
        if let Err(error) = answer {
            failed(peer, error);
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
