//! The task that goes over the viewers.

use super::desk::{Ask, Desk};
use super::outlet::Outlet;
use super::slot::{Slot, Turn};
use super::step::{Given, Stance, Step};
use crate::batch::Batch;
use crate::hub::Inner;
use crate::ring::Ring;
use bytes::Bytes;
use futures::future::{AbortHandle, Abortable, Aborted};
use futures::stream::{FuturesUnordered, StreamExt};
use indexmap::IndexMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// Viewers between two looks at the clock.
const CHUNK: usize = 32;
/// After so long others have their turn: publishers, and who wants in or out.
const SLICE: Duration = Duration::from_micros(500);
/// How often it is looked who is stuck or waits in vain.
const REVIEW: Duration = Duration::from_millis(500);

/// See the module.
pub(super) struct Pass {
    ring: Arc<Ring>,
    hub: Arc<Inner>,
    desk: Arc<Desk>,
    slots: IndexMap<u64, Slot>,
    /// Of each slot, in the same order.
    stances: Vec<Stance>,
    step: Step,
    /// Those whose sockets are full.
    full: FuturesUnordered<Abortable<Room>>,
    scratch: Vec<Bytes>,
}

/// Resolves to the viewer whose socket may have room again.
struct Room {
    id: u64,
    outlet: Arc<dyn Outlet>,
}

impl Future for Room {
    type Output = u64;

    /// An error is found by the write that follows.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u64> {
        self.outlet.poll_room(cx).map(|_| self.id)
    }
}

impl Pass {
    pub(super) fn new(ring: Arc<Ring>, hub: Arc<Inner>, desk: Arc<Desk>) -> Self {
        Self {
            step: Step::new(ring.head()),
            stances: Vec::new(),
            ring,
            hub,
            desk,
            slots: IndexMap::new(),
            full: FuturesUnordered::new(),
            scratch: Vec::new(),
        }
    }

    /// Ends with the last viewer.
    pub(super) async fn run(mut self) {
        let (ring, desk) = (Arc::clone(&self.ring), Arc::clone(&self.desk));
        let mut review = interval(REVIEW);
        review.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let news = ring.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            self.answer();
            if self.slots.is_empty() && ring.passes.close(&desk) {
                return;
            }
            let due = self.due();
            let wait = async {
                match due {
                    // A timer is not so fine.
                    Some(due) if due <= Instant::now() => {}
                    Some(due) => sleep_until(due).await,
                    None => news.await,
                }
            };
            tokio::select! {
                biased;
                () = desk.asked.notified() => {}
                _ = review.tick() => self.review(),
                Some(room) = self.full.next(), if !self.full.is_empty() => self.resume(room),
                () = wait => if due.is_some() { self.sweep().await },
            }
        }
    }

    /// When what is new must go out; `None` when there is nothing.
    fn due(&self) -> Option<Instant> {
        let came = self.ring.came(self.step.next)?;
        let viewers = self.hub.viewers.load(Ordering::Relaxed);
        came.checked_add(self.hub.settings.load().window(viewers))
    }

    /// What comes meanwhile waits for its own time: over many viewers a pass takes so long that there would else be no end of small ones.
    async fn sweep(&mut self) {
        let until = self.ring.head();
        while self.step.next < until {
            let Some(batch) = self.ring.batch(self.step.next) else {
                return;
            };
            if !self.step.goes_on(&batch) {
                self.break_step();
            }
            self.pass_over(&batch).await;
        }
    }

    /// Who comes or goes meanwhile has its turn by itself.
    async fn pass_over(&mut self, batch: &Batch) {
        let (mut at, mut since) = (0_usize, std::time::Instant::now());
        while at < self.slots.len() {
            let end = at.saturating_add(CHUNK).min(self.slots.len());
            let given = (at..end).fold(0_u64, |given, at| given.saturating_add(self.give(at, batch).into()));
            self.step.count(given, batch);
            at = end;
            if since.elapsed() > SLICE {
                tokio::task::yield_now().await;
                self.answer();
                since = std::time::Instant::now();
            }
        }
    }

    /// One viewer's turn. True when it was in step, and still is.
    fn give(&mut self, at: usize, batch: &Batch) -> bool {
        let slot = || self.slots.get_index(at).map(|(_, slot)| slot);
        let in_step = self.stances.get_mut(at).filter(|stance| stance.needs(batch));
        let given = in_step.map_or(Given::Nothing, |stance| stance.give(batch, slot));
        match given {
            Given::All => return true,
            Given::Some(written) => {
                self.turn(at, |slot, scratch| {
                    slot.took(batch, batch.bytes.clone(), written, scratch)
                });
            }
            Given::Nothing => self.turn(at, |slot, scratch| slot.offer(batch, scratch)),
        }
        false
    }

    /// Everybody goes by himself.
    fn break_step(&mut self) {
        for (stance, slot) in self.stances.iter_mut().zip(self.slots.values_mut()) {
            stance.step_out(slot);
        }
    }

    /// Does what was asked.
    fn answer(&mut self) {
        for ask in self.desk.take() {
            match ask {
                Ask::Join(id, slot) => {
                    self.stances.push(Stance::of(&slot));
                    self.slots.insert(id, *slot);
                    self.turn_of(id, Slot::begin);
                }
                Ask::Say(id, bytes) => self.turn_of(id, |slot, scratch| slot.say(bytes, scratch)),
                Ask::Pause(id, on) => self.turn_of(id, |slot, scratch| slot.pause(on, scratch)),
                Ask::Leave(id, answer) => {
                    let unsent = self.take_out(id).map(Slot::leave).unwrap_or_default();
                    self.desk.left();
                    // Who does not wait for it does not need it.
                    answer.map(|answer| answer.send(unsent));
                }
            }
        }
    }

    fn take_out(&mut self, id: u64) -> Option<Slot> {
        let (at, _, mut slot) = self.slots.swap_remove_full(&id)?;
        if at < self.stances.len() {
            self.stances.swap_remove(at).step_out(&mut slot);
        }
        // The last one stands in its place now: where a pass under way has been already, perhaps.
        if self.stances.get(at).is_some_and(|stance| !stance.is_level(&self.step)) {
            self.turn(at, Slot::unless_waiting);
        }
        Some(slot)
    }

    fn resume(&mut self, room: Result<u64, Aborted>) {
        if let Ok(id) = room {
            self.turn_of(id, Slot::resume);
        }
    }

    /// One viewer's turn out of order.
    fn turn_of(&mut self, id: u64, take: impl FnOnce(&mut Slot, &mut Vec<Bytes>) -> Turn) {
        if let Some(at) = self.slots.get_index_of(&id) {
            self.turn(at, take);
        }
    }

    /// One viewer's turn out of step, and into it when it has all there is.
    fn turn(&mut self, at: usize, take: impl FnOnce(&mut Slot, &mut Vec<Bytes>) -> Turn) {
        let (Some((id, slot)), Some(stance)) = (self.slots.get_index_mut(at), self.stances.get_mut(at)) else {
            return;
        };
        stance.step_out(slot);
        match take(slot, &mut self.scratch) {
            Turn::Full => wait_for_room(&self.full, *id, slot),
            Turn::Done => stance.step_in(slot, &mut self.step),
        }
    }

    fn review(&mut self) {
        let Some((_, first)) = self.slots.first() else { return };
        let gone = first.player().admitted.live.stream.gone_since();
        let unfit = first.player().unfit_at();
        let (now, stall_max) = (Instant::now(), self.hub.settings.load().stall_max);
        for (stance, slot) in self.stances.iter_mut().zip(self.slots.values_mut()) {
            if gone.is_none() && unfit.is_none() && stance.is_in_step() {
                continue;
            }
            slot.review(now, slot.player().patience_ends(gone).or(unfit), stall_max);
            if slot.is_over() {
                stance.step_out(slot);
            }
        }
    }
}

fn wait_for_room(full: &FuturesUnordered<Abortable<Room>>, id: u64, slot: &mut Slot) {
    let (handle, registration) = AbortHandle::new_pair();
    let outlet = Arc::clone(slot.outlet());
    full.push(Abortable::new(Room { id, outlet }, registration));
    slot.wait(handle);
}

impl Drop for Pass {
    /// Also when it was cut off: its viewers' sessions end with it.
    fn drop(&mut self) {
        self.break_step();
        self.ring.passes.abandon(&self.desk);
    }
}
