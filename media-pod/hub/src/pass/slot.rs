//! One viewer of a pass: its place in the ring, and what its socket has not taken yet. No waiting here.

use super::outlet::Outlet;
use crate::batch::Batch;
use crate::ring::Taken;
use crate::{EndReason, Player};
use bytes::{Buf, Bytes};
use futures::future::AbortHandle;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// Packets that a viewer takes at once when it goes by itself, and slices of one write.
const TAKE: usize = 256;

/// See the module.
pub(crate) struct Slot {
    player: Player,
    outlet: Arc<dyn Outlet>,
    /// What was taken and not sent: always to the end of a packet.
    pending: VecDeque<Bytes>,
    /// How much of it the connection had to say.
    said: usize,
    /// Bytes that the socket took.
    written: u64,
    /// Since when it has not taken all that it was offered.
    stuck: Option<Instant>,
    patience: Duration,
    /// Waits for room.
    waiting: Option<AbortHandle>,
    paused: bool,
    over: bool,
}

/// How a viewer came out of its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It has all there is, or is not to have more.
    Done,
    /// Its socket is full: somebody must wait for room.
    Full,
}

impl Slot {
    pub(crate) fn new(player: Player, outlet: Arc<dyn Outlet>, first: Vec<Bytes>, patience: Duration) -> Self {
        Self {
            player,
            outlet,
            pending: first.into(),
            said: 0,
            written: 0,
            stuck: None,
            patience,
            waiting: None,
            paused: false,
            over: false,
        }
    }

    pub(super) fn outlet(&self) -> &Arc<dyn Outlet> {
        &self.outlet
    }

    pub(super) fn player(&self) -> &Player {
        &self.player
    }

    /// The first turn: what it begins with goes out together.
    pub(super) fn begin(&mut self, scratch: &mut Vec<Bytes>) -> Turn {
        self.take(scratch);
        self.catch_up(scratch)
    }

    /// The turn of one that is not in step.
    pub(super) fn offer(&mut self, batch: &Batch, scratch: &mut Vec<Bytes>) -> Turn {
        if self.waiting.is_some() || self.over || self.paused {
            return Turn::Done;
        }
        let Some(rest) = self.player.cursor.rest_of(batch) else {
            return self.catch_up(scratch);
        };
        if rest.is_empty() {
            return Turn::Done;
        }
        match self.outlet.offer(&[IoSlice::new(&rest)]) {
            Ok(0) => self.refused(&io::ErrorKind::WriteZero.into()),
            Ok(written) => self.took(batch, rest, written, scratch),
            Err(error) => self.refused(&error),
        }
    }

    /// Of the rest of a batch, the socket took so much.
    pub(super) fn took(&mut self, batch: &Batch, mut rest: Bytes, written: usize, scratch: &mut Vec<Bytes>) -> Turn {
        self.written = self.written.saturating_add(written as u64);
        self.player.handed_out(rest.len());
        self.player.cursor.reach(batch.to);
        rest.advance(written.min(rest.len()));
        if rest.is_empty() {
            return self.push_out();
        }
        self.pending.push_back(rest);
        self.catch_up(scratch)
    }

    /// It was in step up to `next`, and was sent so many bytes meanwhile.
    pub(super) fn step_out(&mut self, next: u64, bytes: u64) {
        self.player.cursor.reach(next);
        self.player.admitted.live.step_out(bytes);
        self.written = self.written.saturating_add(bytes);
    }

    /// Whether it has all there is up to `next`, and takes what comes.
    pub(super) fn is_level(&self, next: u64, epoch: Option<u64>) -> bool {
        let held = self.over || self.paused || self.waiting.is_some() || !self.pending.is_empty();
        !held && self.player.cursor.is_at(next, epoch)
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// The turn of one that goes by itself: all that is there for it.
    pub(super) fn catch_up(&mut self, scratch: &mut Vec<Bytes>) -> Turn {
        while !self.over {
            if self.flush() == Turn::Full {
                return Turn::Full;
            }
            self.stuck = None;
            if self.paused || !self.take(scratch) {
                break;
            }
        }
        if self.pending.is_empty() {
            self.pending = VecDeque::new();
        }
        Turn::Done
    }

    /// Its socket may have room again.
    pub(super) fn resume(&mut self, scratch: &mut Vec<Bytes>) -> Turn {
        self.waiting = None;
        self.catch_up(scratch)
    }

    /// Somebody waits for room.
    pub(super) fn wait(&mut self, handle: AbortHandle) {
        self.waiting = Some(handle);
    }

    /// The connection has something to say behind what was begun.
    pub(super) fn say(&mut self, bytes: Bytes, scratch: &mut Vec<Bytes>) -> Turn {
        self.said = self.said.saturating_add(bytes.len());
        self.pending.push_back(bytes);
        self.unless_waiting(scratch)
    }

    pub(super) fn pause(&mut self, on: bool, scratch: &mut Vec<Bytes>) -> Turn {
        if self.paused && !on {
            let player = &mut self.player;
            player.ring.rejoin(&mut player.cursor);
        }
        self.paused = on;
        self.unless_waiting(scratch)
    }

    /// The turn of one for whom something may have come, or whom a pass has missed.
    pub(super) fn unless_waiting(&mut self, scratch: &mut Vec<Bytes>) -> Turn {
        if self.waiting.is_some() {
            return Turn::Done;
        }
        self.catch_up(scratch)
    }

    /// Now and then: ends who is stuck, and who has nothing to see, from `in_vain` on.
    pub(super) fn review(&mut self, now: Instant, in_vain: Option<Instant>, stall_max: Duration) {
        if self.over {
            return;
        }
        let patience = self.patience.min(stall_max);
        if self.stuck.is_some_and(|since| now.duration_since(since) > patience) {
            self.end(EndReason::TooSlow);
        } else if in_vain.is_some_and(|until| until <= now) {
            self.over = true;
            self.player.miss();
        }
    }

    /// What was begun; the session is over with it.
    pub(super) fn leave(mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.pending).into()
    }

    fn end(&mut self, reason: EndReason) {
        self.over = true;
        self.player.admitted.end(reason);
    }

    /// True when there was something.
    fn take(&mut self, scratch: &mut Vec<Bytes>) -> bool {
        let taken = self.player.take(scratch, TAKE);
        self.over |= taken.is_err();
        self.pending.extend(scratch.drain(..));
        taken.is_ok_and(|taken| taken != Taken::Nothing)
    }

    /// Sends what was begun, as far as it goes.
    fn flush(&mut self) -> Turn {
        while !self.pending.is_empty() {
            let slices: SmallVec<[IoSlice<'_>; TAKE]> =
                self.pending.iter().take(TAKE).map(|b| IoSlice::new(b)).collect();
            let written = self.outlet.offer(&slices);
            drop(slices);
            match written {
                Ok(written) if written > 0 => self.advance(written),
                Ok(_) => return self.refused(&io::ErrorKind::WriteZero.into()),
                Err(error) => return self.refused(&error),
            }
        }
        self.player.admitted.live.unsaid.fetch_sub(self.said, Ordering::Relaxed);
        self.said = 0;
        self.push_out()
    }

    fn push_out(&mut self) -> Turn {
        match self.outlet.push_out() {
            Ok(()) => Turn::Done,
            Err(error) => self.refused(&error),
        }
    }

    fn advance(&mut self, mut written: usize) {
        self.written = self.written.saturating_add(written as u64);
        while let Some(first) = self.pending.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written = written.saturating_sub(first.len());
            self.pending.pop_front();
        }
    }

    fn refused(&mut self, error: &io::Error) -> Turn {
        if error.kind() == io::ErrorKind::WouldBlock {
            self.stuck = self.stuck.or_else(|| Some(Instant::now()));
            return Turn::Full;
        }
        self.end(EndReason::PeerClosed);
        Turn::Done
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.player.admitted.link.sent(self.written);
        if let Some(waiting) = &self.waiting {
            waiting.abort();
        }
    }
}
