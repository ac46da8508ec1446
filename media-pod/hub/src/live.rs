//! An admitted session while it lives, and the one place where it ends.

use crate::stream::Stream;
use crate::{EndReason, Session, Traffic};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;

/// Bytes that everybody had who is in step with a pass, counted once for all of them.
pub(crate) type Tide = Arc<AtomicU64>;

/// Shared by the registry and by the handle that the protocol holds.
pub(crate) struct Live {
    pub(crate) session: Arc<Session>,
    pub(crate) stream: Arc<Stream>,
    sent: Mutex<Sent>,
    received: AtomicU64,
    /// Bytes that wait to be said to a viewer between its packets.
    pub(crate) unsaid: AtomicUsize,
    /// Set once: whoever sets it tells the gate.
    reason: OnceLock<EndReason>,
    /// Held while the gate is told something that must come before the end.
    telling: Mutex<()>,
    over: CancellationToken,
}

/// What a viewer was sent.
#[derive(Default)]
struct Sent {
    bytes: u64,
    /// While it is in step, what it was sent since then is what came to this since it stood there.
    step: Option<(Tide, u64)>,
}

impl Live {
    pub(crate) fn new(session: Arc<Session>, stream: Arc<Stream>) -> Self {
        Self {
            session,
            stream,
            sent: Mutex::default(),
            received: AtomicU64::new(0),
            unsaid: AtomicUsize::new(0),
            reason: OnceLock::new(),
            telling: Mutex::new(()),
            over: CancellationToken::new(),
        }
    }

    pub(crate) fn sent(&self, bytes: u64) {
        let mut sent = self.sent.lock();
        sent.bytes = sent.bytes.saturating_add(bytes);
    }

    /// It has what all have who are in step, and nothing is counted for it alone.
    pub(crate) fn step_in(&self, tide: &Tide) {
        self.sent.lock().step = Some((Arc::clone(tide), tide.load(Ordering::Relaxed)));
    }

    /// It goes by itself again; since it stepped in it was sent so many bytes.
    pub(crate) fn step_out(&self, bytes: u64) {
        let mut sent = self.sent.lock();
        sent.step = None;
        sent.bytes = sent.bytes.saturating_add(bytes);
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn traffic(&self) -> Traffic {
        let sent = self.sent.lock();
        let in_step = sent.step.as_ref();
        let since = in_step.map_or(0, |(tide, from)| tide.load(Ordering::Relaxed).saturating_sub(*from));
        Traffic {
            sent: sent.bytes.saturating_add(since),
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
