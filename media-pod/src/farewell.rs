//! The last thing a pod does: what its back ends have not taken it hands to another pod of its server.
//!
//! Alone, or where nobody takes it, it goes on to deliver until the process must end. Without a cluster what is left stays in the state folder.

use crate::pod::Pod;
use headgate_control::{PEER_LETTERS_PATH, PEER_OUTBOX_PATH};
use headgate_hooks::HandoverRecord;
use headgate_relay::Peer;
use reqwest::StatusCode;
use serde::Serialize;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// How long back ends have where nobody else can be asked.
const FLUSH: Duration = Duration::from_secs(10);
/// How long a pod that has nobody in it any more waits for a back end that takes nothing, where no other pod does either: who deletes a
/// server or a namespace waits as long.
const PATIENCE: Duration = Duration::from_secs(30);
/// For the dead letters.
const LETTERS: Duration = Duration::from_secs(10);
/// For the answer of another pod.
const ANSWER: Duration = Duration::from_secs(5);
/// How long back ends have before the other pods are asked, and before they are asked again.
const AGAIN: Duration = Duration::from_secs(5);
/// Bytes of one request, about.
const PIECE: usize = 4 * 1024 * 1024;

impl Pod {
    /// Gets rid of all notifications and hands over the dead letters, until then at most. Says how many notifications are left.
    pub(crate) async fn empty_outbox(&self, until: Instant) -> usize {
        let left = self.empty(until).await;
        // Whoever deletes the last pod waits for nobody.
        let until = Instant::now()
            .checked_add(LETTERS)
            .map_or(until, |letters| letters.min(until));
        let _ = timeout_at(until, self.hand_over_letters()).await;
        left
    }

    /// To the first of the other pods that keeps them. A pod of an older version does not.
    async fn hand_over_letters(&self) {
        for peer in &self.peers().all() {
            loop {
                let letters = self.hooks().letters().await;
                if letters.is_empty() {
                    return;
                }
                let piece = letters.get(..fitting(&letters)).unwrap_or(&letters);
                if !takes(peer, PEER_LETTERS_PATH, piece).await {
                    break;
                }
                self.hooks().letters_taken(piece).await;
                tracing::info!(peer = %peer.name, count = piece.len(), "dead letters are handed over");
            }
        }
    }

    async fn empty(&self, until: Instant) -> usize {
        if !self.peers().can_be() {
            return self.hooks().flush(FLUSH.min(rest(until))).await;
        }
        let until = Instant::now()
            .checked_add(PATIENCE)
            .map_or(until, |patience| patience.min(until));
        loop {
            let left = self.hooks().flush(AGAIN.min(rest(until))).await;
            if left == 0 || rest(until).is_zero() {
                return left;
            }
            let peers = self.peers().all();
            if let Some(taker) = self.taker(&peers, until).await
                && let Ok(()) = timeout_at(until, self.hand_over_all(taker, &peers)).await
            {
                return 0;
            }
        }
    }

    /// The first that says it would take something. Asked before anything is handed over, because with that we stop to deliver.
    async fn taker<'a>(&self, peers: &'a [Peer], until: Instant) -> Option<&'a Peer> {
        for peer in peers {
            if timeout_at(until, takes::<HandoverRecord>(peer, PEER_OUTBOX_PATH, &[]))
                .await
                .is_ok_and(|taken| taken)
            {
                return Some(peer);
            }
        }
        None
    }

    /// To one peer after the other, again and again, until all is handed over.
    async fn hand_over_all(&self, first: &Peer, peers: &[Peer]) {
        let others = peers.iter().filter(|peer| peer.name != first.name);
        let order: Vec<&Peer> = std::iter::once(first).chain(others).collect();
        for peer in order.iter().cycle() {
            if self.hand_over_to(peer).await {
                return;
            }
            tracing::warn!(peer = %peer.name, "a pod has stopped to take notifications");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// True when nothing is left.
    async fn hand_over_to(&self, peer: &Peer) -> bool {
        loop {
            let records = self.hooks().hand_over();
            if records.is_empty() {
                return true;
            }
            let piece = records.get(..fitting(&records)).unwrap_or(&records);
            if !takes(peer, PEER_OUTBOX_PATH, piece).await {
                return false;
            }
            self.hooks().handed_over(piece).await;
            tracing::info!(peer = %peer.name, count = piece.len(), "notifications are handed over");
        }
    }
}

/// How many of the first go into one request; at least one.
fn fitting<T: Serialize>(records: &[T]) -> usize {
    let mut bytes = 0_usize;
    let size = |record: &T| serde_json::to_vec(record).map_or(0, |line| line.len());
    let fits = |record: &&T| {
        bytes = bytes.saturating_add(size(record));
        bytes <= PIECE
    };
    records.iter().take_while(fits).count().max(1)
}

async fn takes<T: Serialize>(peer: &Peer, path: &str, records: &[T]) -> bool {
    let lines: Result<Vec<String>, _> = records.iter().map(serde_json::to_string).collect();
    let Ok(lines) = lines else { return false };
    let asked = peer.client().post(peer.url(path)).body(lines.join("\n")).send();
    match timeout(ANSWER, asked).await {
        Ok(Ok(answer)) if answer.status() == StatusCode::NO_CONTENT => true,
        Ok(Ok(answer)) => {
            tracing::info!(peer = %peer.name, status = %answer.status(), path, "a pod does not take what is handed over");
            false
        }
        Ok(Err(error)) => {
            tracing::info!(peer = %peer.name, error = %error.without_url(), "a pod cannot be reached");
            false
        }
        Err(_) => {
            tracing::info!(peer = %peer.name, "a pod does not answer");
            false
        }
    }
}

fn rest(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}
