//! An admitted session while it lives, and the one place where it ends.

use crate::stream::Stream;
use crate::{EndReason, Session, Traffic};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;

/// Shared by the registry and by the handle that the protocol holds.
pub(crate) struct Live {
    pub(crate) session: Arc<Session>,
    pub(crate) stream: Arc<Stream>,
    sent: AtomicU64,
    received: AtomicU64,
    /// Bytes that wait to be said to a viewer between its packets.
    pub(crate) unsaid: AtomicUsize,
    /// Set once: whoever sets it tells the gate.
    reason: OnceLock<EndReason>,
    /// Held while the gate is told something that must come before the end.
    telling: Mutex<()>,
    over: CancellationToken,
}

impl Live {
    pub(crate) fn new(session: Arc<Session>, stream: Arc<Stream>) -> Self {
        Self {
            session,
            stream,
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            unsaid: AtomicUsize::new(0),
            reason: OnceLock::new(),
            telling: Mutex::new(()),
            over: CancellationToken::new(),
        }
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
        }
    }

    /// Tells the gate something unless the session has ended; its end is told after it.
    pub(crate) fn tell(&self, tell: impl FnOnce()) {
        let _telling = self.telling.lock();
        if self.ended().is_none() {
            tell();
        }
    }

    /// True for the one caller who must end the session.
    pub(crate) fn claim_end(&self, reason: EndReason) -> bool {
        let _telling = self.telling.lock();
        self.reason.set(reason).is_ok()
    }

    /// Wakes who waits for the end.
    pub(crate) fn announce_end(&self) {
        self.over.cancel();
    }

    /// Why it ended, once it has.
    pub(crate) fn ended(&self) -> Option<EndReason> {
        self.reason.get().copied()
    }

    /// Resolves when it has ended.
    pub(crate) async fn end(&self) -> EndReason {
        self.over.cancelled().await;
        self.ended().unwrap_or(EndReason::PeerClosed)
    }
}
