//! The task that goes over the viewers.

use super::desk::{Ask, Desk};
use super::outlet::Outlet;
use super::slot::{Slot, Turn};
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
    /// Those whose sockets are full.
    full: FuturesUnordered<Abortable<Room>>,
    /// What is before was offered to all.
    next: u64,
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
            next: ring.head(),
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
        let came = self.ring.pushed(self.next)?;
        let viewers = self.hub.viewers.load(Ordering::Relaxed);
        came.checked_add(self.hub.settings.load().window(viewers))
    }

    async fn sweep(&mut self) {
        while let Some(batch) = self.ring.batch(self.next) {
            self.next = batch.to;
            self.pass_over(&batch).await;
        }
    }

    /// Who comes or goes meanwhile can make this leave somebody out: that one catches up next time.
    async fn pass_over(&mut self, batch: &Batch) {
        let (mut at, mut since) = (0_usize, std::time::Instant::now());
        loop {
            let end = at.saturating_add(CHUNK).min(self.slots.len());
            let Some(chunk) = self.slots.get_range_mut(at..end).filter(|chunk| !chunk.is_empty()) else {
                return;
            };
            // What is not in the processor's cache comes together then, and not one after the other.
            chunk.values().for_each(Slot::touch);
            for (id, slot) in chunk {
                if slot.offer(batch, &mut self.scratch) == Turn::Full {
                    wait_for_room(&self.full, *id, slot);
                }
            }
            at = end;
            if since.elapsed() > SLICE {
                tokio::task::yield_now().await;
                self.answer();
                since = std::time::Instant::now();
            }
        }
    }

    /// Does what was asked.
    fn answer(&mut self) {
        for ask in self.desk.take() {
            match ask {
                Ask::Join(id, slot) => {
                    self.slots.insert(id, *slot);
                    self.turn(id, Slot::begin);
                }
                Ask::Say(id, bytes) => self.turn(id, |slot, scratch| slot.say(bytes, scratch)),
                Ask::Pause(id, on) => self.turn(id, |slot, scratch| slot.pause(on, scratch)),
                Ask::Leave(id, answer) => {
                    let slot = self.slots.swap_remove(&id);
                    self.desk.left();
                    let unsent = slot.map(Slot::leave).unwrap_or_default();
                    // Who does not wait for it does not need it.
                    answer.map(|answer| answer.send(unsent));
                }
            }
        }
    }

    fn resume(&mut self, room: Result<u64, Aborted>) {
        if let Ok(id) = room {
            self.turn(id, Slot::resume);
        }
    }

    /// One viewer's turn out of order.
    fn turn(&mut self, id: u64, take: impl FnOnce(&mut Slot, &mut Vec<Bytes>) -> Turn) {
        if let Some(slot) = self.slots.get_mut(&id)
            && take(slot, &mut self.scratch) == Turn::Full
        {
            wait_for_room(&self.full, id, slot);
        }
    }

    fn review(&mut self) {
        let Some((_, first)) = self.slots.first() else { return };
        let gone = first.player().admitted.live.stream.gone_since();
        let (now, stall_max) = (Instant::now(), self.hub.settings.load().stall_max);
        for slot in self.slots.values_mut() {
            slot.review(now, gone, stall_max);
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
        self.ring.passes.abandon(&self.desk);
    }
}
