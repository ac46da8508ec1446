//! A viewer's session: a cursor into the ring of one (stream, format).

use crate::client::Admitted;
use crate::pass::{Outlet, Seated, Slot};
use crate::ring::{Cursor, Ring, Taken};
use crate::{EndReason, Format, Protocol, Session, Settings};
use bytes::Bytes;
use prometheus::IntCounter;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long the frames of a stream may come before it has a track that a viewer's format carries: pictures and sound do not begin together.
pub(crate) const UNFIT_MAX: Duration = Duration::from_secs(3);

/// An admitted viewer. Dropped, its session ends as [`EndReason::PeerClosed`].
pub struct Player {
    pub(crate) admitted: Admitted,
    pub(crate) ring: Arc<Ring>,
    pub(crate) cursor: Cursor,
    /// Nothing is taken before: the merge window.
    rest: Option<Instant>,
    admitted_at: Instant,
    egress: IntCounter,
}

impl Player {
    pub(crate) fn new(admitted: Admitted, format: &Arc<dyn Format>) -> Self {
        let (live, hub) = (&admitted.live, admitted.hub());
        let settings = hub.settings.load();
        let ring = live.stream.attach(format, &settings);
        let cursor = ring.join(settings.gop_cache);
        let egress = hub
            .metrics
            .egress_bytes
            .with_label_values(&[live.session.connection.protocol.as_str()]);
        drop(settings);
        Self {
            admitted,
            ring,
            cursor,
            rest: None,
            admitted_at: Instant::now(),
            egress,
        }
    }

    /// The session.
    pub fn session(&self) -> &Arc<Session> {
        &self.admitted.live.session
    }

    /// The format that the stream's frames go through: the one that was asked with, or an equal one that was there before.
    pub fn format(&self) -> &dyn Format {
        &*self.ring.format
    }

    /// For a viewer that takes nothing from here, since its format puts the media elsewhere: why its session has ended, if it has. Ends it when the
    /// stream did not come or is gone for longer than the linger time. `had` says whether it ever had anything.
    pub fn look(&self, had: bool) -> Option<EndReason> {
        let gone = || self.deadline() <= Instant::now();
        let ended = self.admitted.live.ended();
        ended.or_else(|| gone().then(|| self.admitted.end(self.absence(had))))
    }

    /// Counts what a viewer was sent that takes nothing from here.
    pub fn count(&self, bytes: u64) {
        self.admitted.live.sent(bytes);
        self.egress.inc_by(bytes);
    }

    /// Waits until there is something, and after the first time at least the merge window since the last time. Then appends about `max` packets to
    /// `out`; the first of all is the format's start. A viewer that has fallen behind goes on at the newest key frame.
    ///
    /// An error says that the session has ended, and why: kicked, the stream did not come or is gone for longer than the linger time, or too
    /// many skips. Can be dropped and called again without loss.
    pub async fn next(&mut self, out: &mut Vec<Bytes>, max: usize) -> Result<(), EndReason> {
        self.merge().await;
        self.wait(|player| {
            let taken = player.take(out, max)?;
            if taken == Taken::All {
                let hub = player.admitted.hub();
                player.rest = rest(&hub.settings.load(), hub.viewers.load(Ordering::Relaxed));
            }
            Ok(taken != Taken::Nothing)
        })
        .await
    }

    /// Waits until there is something to take. An error is that of [`Player::next`].
    pub async fn begun(&mut self) -> Result<(), EndReason> {
        self.wait(|player| Ok(player.ring.has(&mut player.cursor))).await
    }

    /// Tries until there is something, or the end.
    async fn wait(&mut self, mut try_it: impl FnMut(&mut Self) -> Result<bool, EndReason>) -> Result<(), EndReason> {
        loop {
            if let Some(reason) = self.admitted.live.ended() {
                return Err(reason);
            }
            let ring = Arc::clone(&self.ring);
            let news = ring.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            if try_it(self)? {
                return Ok(());
            }
            let deadline = self.deadline();
            tokio::select! {
                _ = self.admitted.live.end() => {}
                waited = timeout_at(deadline, news) => if waited.is_err() { self.give_up(deadline)? },
            }
        }
    }

    /// Gives the viewer to the pass over its like: from now on `outlet` gets `first`, and then all there is. Needs a tokio runtime around it.
    ///
    /// What the socket has not taken `patience` after it was full ends the session as [`EndReason::TooSlow`].
    pub fn seat(self, outlet: Arc<dyn Outlet>, first: Vec<Bytes>, patience: Duration) -> Seated {
        let (live, hub) = (Arc::clone(&self.admitted.live), Arc::clone(self.admitted.hub()));
        let ring = Arc::clone(&self.ring);
        ring.passes
            .seat(&ring, hub, live, Slot::new(self, outlet, first, patience))
    }

    /// To be polled beside each write: resolves when the write must be given up, because the session was ended or the viewer does not read.
    pub async fn stalled(&self) -> EndReason {
        let (live, hub) = (&self.admitted.live, self.admitted.hub());
        let stall_max = hub.settings.load().stall_max;
        match tokio::time::timeout(stall_max, live.end()).await {
            Ok(reason) => reason,
            Err(_) => self.admitted.end(EndReason::TooSlow),
        }
    }

    /// Ends the session for a reason.
    pub fn finish(self, reason: EndReason) {
        self.admitted.end(reason);
    }

    async fn merge(&mut self) {
        if let Some(rest) = self.rest {
            tokio::select! {
                () = sleep_until(rest) => {}
                _ = self.admitted.live.end() => {}
            }
            self.rest = None;
        }
    }

    /// Appends packets without waiting.
    pub(crate) fn take(&mut self, out: &mut Vec<Bytes>, max: usize) -> Result<Taken, EndReason> {
        let (skipped, had) = (self.cursor.skipped, out.len());
        let taken = self.ring.take(&mut self.cursor, out, max);
        let hub = self.admitted.hub();
        let settings = hub.settings.load();
        if self.cursor.skipped > skipped {
            hub.metrics.skips.inc();
        }
        if self.cursor.skips >= settings.skips_max {
            drop(settings);
            return Err(self.admitted.end(EndReason::TooSlow));
        }
        drop(settings);
        let new = out.iter().skip(had);
        self.handed_out(new.fold(0_usize, |sum, b| sum.saturating_add(b.len())));
        Ok(taken)
    }

    /// Counts media.
    pub(crate) fn handed_out(&self, bytes: usize) {
        self.admitted.live.sent(bytes as u64);
        self.egress.inc_by(bytes as u64);
    }

    /// What it speaks, and where bytes of that are counted.
    pub(crate) fn counted_by(&self) -> (Protocol, &IntCounter) {
        (self.admitted.live.session.connection.protocol, &self.egress)
    }

    /// Until when to wait for news before asking whether the stream is still there.
    fn deadline(&self) -> Instant {
        const WHILE_LIVE: Duration = Duration::from_hours(1);
        let until = self.patience_ends(self.admitted.live.stream.gone_since());
        until
            .or_else(|| self.unfit_at())
            .or_else(|| Instant::now().checked_add(WHILE_LIVE))
            .unwrap_or_else(Instant::now)
    }

    /// When this viewer has waited long enough for a stream that is gone since then.
    pub(crate) fn patience_ends(&self, gone: Option<Instant>) -> Option<Instant> {
        let usual = self.admitted.hub().settings.load().linger;
        let linger = self.admitted.live.stream.linger(usual);
        gone?.max(self.admitted_at).checked_add(linger)
    }

    /// When this viewer has waited long enough for a track that its format carries.
    pub(crate) fn unfit_at(&self) -> Option<Instant> {
        let since = self.admitted.live.stream.unfit_since(self.format());
        since?.checked_add(UNFIT_MAX)
    }

    /// Nothing came in time: the end, unless a publisher has come meanwhile.
    fn give_up(&self, deadline: Instant) -> Result<(), EndReason> {
        if self.deadline() > deadline {
            return Ok(());
        }
        Err(self.miss())
    }

    /// Ends the session because there is nothing to see.
    pub(crate) fn miss(&self) -> EndReason {
        self.admitted.end(self.absence(!self.cursor.is_fresh()))
    }

    /// Why there is nothing to see for a viewer that ever had something, or did not.
    fn absence(&self, had: bool) -> EndReason {
        if self.unfit_at().is_some() {
            EndReason::CodecsNotCarried
        } else if had {
            EndReason::StreamEnded
        } else {
            EndReason::StreamNotFound
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.admitted.live.stream.detach(&self.ring);
    }
}

fn rest(settings: &Settings, viewers: usize) -> Option<Instant> {
    let window = settings.window(viewers);
    if window.is_zero() {
        None
    } else {
        Instant::now().checked_add(window)
    }
}
