//! Whether another pod is there, while it takes its time over an answer: a playlist may come late, and a pod that hangs gives none.

use headgate_control::PEER_STREAM_PATH;
use headgate_relay::Peer;
use moka::future::Cache;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long an answer may take before the pod is asked whether it is there, and then from one time to the next.
const EVERY: Duration = Duration::from_secs(1);
/// How long that may take: nothing has to be waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long it is known then, so that many who wait ask once.
const KNOWN_FOR: Duration = Duration::from_secs(2);
/// Pods of a server, and more.
const PODS_MAX: u64 = 1024;

/// See the module. By the name of the pod.
pub(super) struct Alive(Cache<Arc<str>, bool>);

impl Default for Alive {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(PODS_MAX).time_to_live(KNOWN_FOR).build())
    }
}

impl Alive {
    /// Whether it was found to hang a moment ago.
    pub(super) async fn is_known_to_hang(&self, peer: &Peer) -> bool {
        self.0.get(&peer.name).await == Some(false)
    }

    /// Resolves when it hangs.
    pub(super) async fn hangs(&self, peer: &Peer) {
        loop {
            sleep(EVERY).await;
            if !self.0.get_with(Arc::clone(&peer.name), answers(peer)).await {
                return;
            }
        }
    }
}

/// Any answer is one: it is asked for a stream that has no name.
async fn answers(peer: &Peer) -> bool {
    let asked = peer.client().get(peer.url(PEER_STREAM_PATH)).send();
    matches!(timeout(PATIENCE, asked).await, Ok(Ok(_)))
}
