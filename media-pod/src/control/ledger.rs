//! The stream of the ledger: all sessions that are open, then that this was all, then each change; and now and then that the stream is alive.
//!
//! A reader that is too slow to hear of every change loses the stream: asked for again it says all anew.

use crate::pod::Pod;
use axum::body::Bytes;
use futures::Stream;
use futures::stream::unfold;
use headgate_control::{LedgerEntry, LedgerLine};
use headgate_hooks::LedgerChanges;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The longest silence.
const EVERY: Duration = Duration::from_secs(3);
/// Lines that are sent as one piece.
const BATCH: usize = 256;

/// What a reader has not heard yet.
struct Unsaid {
    open: std::vec::IntoIter<LedgerEntry>,
    synced: bool,
    changes: LedgerChanges,
}

/// JSON lines, until the reader leaves, falls behind, or the pod is gone.
pub fn lines(pod: &Arc<Pod>) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let view = pod.hooks().ledger();
    let unsaid = Unsaid {
        open: view.open.into_iter(),
        synced: false,
        changes: view.changes,
    };
    unfold(unsaid, |mut unsaid| async move {
        let piece = unsaid.next().await?;
        Some((Ok(piece), unsaid))
    })
}

impl Unsaid {
    async fn next(&mut self) -> Option<Bytes> {
        let open: Vec<LedgerLine> = self.open.by_ref().take(BATCH).map(LedgerLine::Open).collect();
        if !open.is_empty() {
            return Some(text(&open));
        }
        if !std::mem::replace(&mut self.synced, true) {
            return Some(text(&[LedgerLine::Synced]));
        }
        match timeout(EVERY, self.changes.next()).await {
            Ok(line) => Some(text(&[line?])),
            Err(_) => Some(text(&[LedgerLine::Synced])),
        }
    }
}

fn text(lines: &[LedgerLine]) -> Bytes {
    let mut text = Vec::new();
    for line in lines {
        match serde_json::to_vec(line) {
            Ok(line) => text.extend(line.into_iter().chain([b'\n'])),
            Err(error) => tracing::error!(%error, "a ledger line cannot be written"),
        }
    }
    text.into()
}
