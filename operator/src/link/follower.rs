//! Keeps the stream of a pod's ledger open. It outlives the rest of the link: what a pod says while it ends is heard even when its object is
//! gone already.

use super::ledger::{LINE_MAX, Ledger};
use super::ledgers::Siblings;
use super::lines::Lines;
use super::transport::{LinkError, Peer};
use super::{Changes, View, Wake};
use crate::names::ObjectKey;
use crate::queue::backoff;
use headgate_control::{LEDGER_PATH, LedgerLine};
use http::StatusCode;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

/// The longest wait before a stream that broke is opened again.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// What a pod reports is heard first, if it comes in this time.
const REPORT_FIRST: Duration = Duration::from_secs(3);
/// A pod whose image knows no ledger is asked again after this time.
const UNKNOWN_WAIT: Duration = Duration::from_mins(5);

/// Whose ledger is followed, and who is told.
pub struct Follower<W> {
    /// The server.
    pub server: ObjectKey,
    /// The pod.
    pub pod: ObjectKey,
    /// How to reach it; its sender goes when the pod is not to be dialled any more.
    pub wanted: watch::Receiver<W>,
    /// Where the lines go.
    pub ledger: Arc<Mutex<Ledger>>,
    /// Those of the other pods, of which this one may have closed a session.
    pub siblings: Siblings,
    /// Told when sessions are left out, and when none is any more.
    pub wake: Wake,
    /// Whose turn it is to open one.
    pub opening: Arc<Semaphore>,
}

impl<W: AsRef<Peer> + Send + Sync> Follower<W> {
    /// The same, once the pod reports. One that does not may yet say what it has open.
    pub async fn run_after(self, mut view: watch::Receiver<View>) {
        let _ = timeout(REPORT_FIRST, view.wait_for(|view| view.connected)).await;
        drop(view);
        self.run().await;
    }

    /// Until dropped. A stream that is open when nobody wants the pod any more is read to its end, and not opened again.
    pub async fn run(mut self) {
        let mut failures = 0_u32;
        loop {
            let error = self.follow().await;
            let was_open = self.ledger.lock().silence(Instant::now()).is_some();
            self.ledger.lock().broke();
            failures = if was_open { 1 } else { failures.saturating_add(1) };
            tracing::debug!(pod = %self.pod, reason = error.reason(), %error, "ledger stream broken");
            let wait = match error {
                LinkError::Status(_, StatusCode::NOT_FOUND, _) => UNKNOWN_WAIT,
                _ => backoff(failures, rand::random()).min(WAIT_MAX),
            };
            tokio::select! {
                () = sleep(wait) => if self.wanted.has_changed().is_err() { return },
                changed = self.wanted.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn follow(&mut self) -> LinkError {
        let peer = self.wanted.borrow_and_update().as_ref().clone();
        let turn = self.opening.clone().acquire_owned().await;
        let opened = Box::pin(Lines::open(&peer, LEDGER_PATH, LINE_MAX)).await;
        drop(turn);
        let mut lines = match opened {
            Ok(lines) => lines,
            Err(error) => return error,
        };
        self.ledger.lock().opened(Instant::now());
        let mut wanted = true;
        loop {
            if wanted && self.ledger.lock().is_asked_again() {
                return LinkError::Ended(peer.address);
            }
            tokio::select! {
                line = lines.next::<LedgerLine>() => match line {
                    Ok(line) => self.take(line),
                    Err(error) => return error,
                },
                changed = self.wanted.changed(), if wanted => match changed {
                    Err(_) => wanted = false,
                    Ok(()) if *self.wanted.borrow_and_update().as_ref() == peer => {}
                    Ok(()) => return LinkError::Ended(peer.address),
                },
            }
        }
    }

    fn take(&self, line: LedgerLine) {
        if let LedgerLine::Closed { session } = &line
            && !self.ledger.lock().is_open(session)
            && self.siblings.closed(&self.server, session)
        {
            return self.ledger.lock().alive(Instant::now());
        }
        let mut ledger = self.ledger.lock();
        let (before, known) = (ledger.left_out(), ledger.is_known());
        ledger.take(line, Instant::now());
        let (after, now_known) = (ledger.left_out(), ledger.is_known());
        drop(ledger);
        if (before == 0) != (after == 0) {
            tracing::warn!(pod = %self.pod, left_out = after, "the pod's ledger has more open sessions than are remembered");
        }
        if (before == 0) != (after == 0) || known != now_known {
            let changes = Changes {
                server: true,
                ..Changes::default()
            };
            (self.wake)(&self.server, changes);
        }
    }
}
