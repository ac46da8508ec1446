//! [`Relay`]: the hub's way to the other pods.

use crate::ask::peer_stream;
use crate::{Metrics, Peer, PeerError, Peers};
use futures::future::BoxFuture;
use headgate_control::Claim;
use headgate_hub::{Answer, Edge, Elsewhere, Session};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Streams that peers are asked for at one time.
const ASKING_MAX: usize = 64;

/// Bounds on the time of peers.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the answer to a claim, connection and all.
    pub claim: Duration,
    /// For the answer to an eviction.
    pub eviction: Duration,
    /// For the head of a media response.
    pub media: Duration,
    /// Silence of a peer that sends a stream.
    pub idle: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            claim: Duration::from_millis(300),
            eviction: Duration::from_secs(1),
            media: Duration::from_secs(1),
            idle: Duration::from_secs(6),
        }
    }
}

/// See the crate. Without an identity there are no other pods. A clone is the same relay. Its tasks end with the edges that the hub gave it.
#[derive(Clone)]
pub struct Relay(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) peers: Arc<Peers>,
    pub(crate) patience: Patience,
    pub(crate) metrics: Metrics,
    pub(crate) asking: Semaphore,
}

impl Relay {
    /// To these peers.
    pub fn new(peers: Arc<Peers>, patience: Patience, metrics: Metrics) -> Self {
        Self(Arc::new(Inner {
            peers,
            patience,
            metrics,
            asking: Semaphore::new(ASKING_MAX),
        }))
    }
}

impl Elsewhere for Relay {
    fn claim<'a>(&'a self, session: &'a Arc<Session>, takeover: bool) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let (peers, claim) = (self.0.peers.all(), claim(session, takeover));
            self.0.claim(&peers, &claim).await
        })
    }

    fn established<'a>(&'a self, session: &'a Arc<Session>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let (peers, claim) = (self.0.peers.all(), claim(session, true));
            self.0.evict(&peers, &claim).await;
        })
    }

    fn wanted(&self, edge: Edge) {
        if self.0.peers.can_be() {
            let relay = Arc::clone(&self.0);
            // Without a runtime the process is at its end.
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(async move { relay.keep(edge).await });
            }
        }
    }

    fn patience(&self) -> Duration {
        if self.0.peers.can_be() {
            self.0.patience.claim
        } else {
            Duration::ZERO
        }
    }
}

impl Inner {
    /// Keeps count of how a peer's request went, and hands its answer on.
    pub(crate) fn noted<T>(&self, peer: &Peer, answer: Result<T, PeerError>) -> Option<T> {
        peer.note(answer.as_ref().err());
        answer.inspect_err(|_| self.metrics.failures.inc()).ok()
    }
}

fn claim(session: &Session, takeover: bool) -> Claim {
    Claim {
        name: peer_stream(&session.name),
        session: session.id,
        takeover,
    }
}
