//! A viewer in a pass, as its connection's task sees it.

use super::desk::{Ask, Desk};
use crate::hub::Inner;
use crate::live::Live;
use crate::{EndReason, Session};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;

/// A viewer that a pass writes to. Dropped, it is out, and its session ends as [`EndReason::PeerClosed`].
pub struct Seated {
    id: u64,
    live: Arc<Live>,
    hub: Arc<Inner>,
    desk: Arc<Desk>,
    has_left: bool,
}

impl Seated {
    /// What may wait to be said to a viewer: a peer that asks more and does not read is cut.
    const UNSAID_MAX: usize = 64 << 10;

    pub(super) fn new(id: u64, live: Arc<Live>, hub: Arc<Inner>, desk: Arc<Desk>) -> Self {
        let has_left = false;
        Self {
            id,
            live,
            hub,
            desk,
            has_left,
        }
    }

    /// The session.
    pub fn session(&self) -> &Arc<Session> {
        &self.live.session
    }

    /// Resolves when the session has ended: kicked, nothing to see any more, the socket failed, or the viewer was too slow. Can be dropped and
    /// called again without loss.
    pub async fn over(&self) -> EndReason {
        self.live.end().await
    }

    /// Sends this between two packets.
    pub fn say(&self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let before = self.live.unsaid.fetch_add(bytes.len(), Ordering::Relaxed);
        if before.saturating_add(bytes.len()) > Self::UNSAID_MAX {
            self.hub.end(&self.live, EndReason::TooSlow);
        } else {
            self.desk.ask(Ask::Say(self.id, bytes));
        }
    }

    /// Holds the media back, or goes on, at the newest key frame.
    pub fn pause(&self, on: bool) {
        self.desk.ask(Ask::Pause(self.id, on));
    }

    /// Ends the session, if it has not ended, and takes the viewer out. Gives what was begun: without it the peer cannot make sense of what
    /// follows.
    pub async fn leave(mut self, reason: EndReason) -> Vec<Bytes> {
        self.hub.end(&self.live, reason);
        self.has_left = true;
        let (answer, answered) = oneshot::channel();
        self.desk.ask(Ask::Leave(self.id, Some(answer)));
        answered.await.unwrap_or_default()
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        if !self.has_left {
            self.desk.ask(Ask::Leave(self.id, None));
        }
    }
}
