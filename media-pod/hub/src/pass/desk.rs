//! Where viewers come to a pass, and what is asked of it.

use super::seated::Seated;
use super::slot::Slot;
use super::sweep::Pass;
use crate::hub::Inner;
use crate::live::Live;
use crate::ring::Ring;
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

/// Viewers of a pass before another core's is opened: fewer are not worth a second wake-up.
const SHARE: usize = 128;

/// The passes over one ring.
#[derive(Default)]
pub(crate) struct Passes(Mutex<Vec<Arc<Desk>>>);

/// What is asked of a pass.
pub(super) enum Ask {
    Join(u64, Box<Slot>),
    Say(u64, Bytes),
    Pause(u64, bool),
    /// The answer is what was begun and must still be sent.
    Leave(u64, Option<oneshot::Sender<Vec<Bytes>>>),
}

/// Of one pass.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) asked: Notify,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    asks: Vec<Ask>,
    /// Viewers so far, which numbers them.
    ever: u64,
    viewers: usize,
}

impl Passes {
    /// Finds a place for a viewer.
    pub(crate) fn seat(&self, ring: &Arc<Ring>, hub: Arc<Inner>, live: Arc<Live>, slot: Slot) -> Seated {
        let mut desks = self.0.lock();
        let emptiest = desks.iter().min_by_key(|desk| desk.viewers()).cloned();
        let cores = Handle::current().metrics().num_workers();
        let desk = emptiest.filter(|desk| desk.viewers() < SHARE || desks.len() >= cores);
        let desk = desk.unwrap_or_else(|| {
            let desk = Arc::new(Desk::default());
            hub.admissions
                .spawn(Pass::new(Arc::clone(ring), Arc::clone(&hub), Arc::clone(&desk)).run());
            desks.push(Arc::clone(&desk));
            desk
        });
        let id = desk.join(slot);
        drop(desks);
        Seated::new(id, live, hub, desk)
    }

    /// Closes a pass that has no viewer. False when one has come meanwhile.
    pub(super) fn close(&self, desk: &Arc<Desk>) -> bool {
        let mut desks = self.0.lock();
        let idle = desk.book.lock().asks.is_empty();
        if idle {
            desks.retain(|other| !Arc::ptr_eq(other, desk));
        }
        idle
    }

    /// Closes a pass whatever it has: the viewers it is asked to take are over.
    pub(super) fn abandon(&self, desk: &Arc<Desk>) {
        let mut desks = self.0.lock();
        desks.retain(|other| !Arc::ptr_eq(other, desk));
        drop(desks);
        drop(desk.take());
    }
}

impl Desk {
    fn viewers(&self) -> usize {
        self.book.lock().viewers
    }

    fn join(&self, slot: Slot) -> u64 {
        let mut book = self.book.lock();
        let id = book.ever;
        book.ever = id.wrapping_add(1);
        book.viewers = book.viewers.saturating_add(1);
        book.asks.push(Ask::Join(id, Box::new(slot)));
        drop(book);
        self.asked.notify_one();
        id
    }

    pub(super) fn ask(&self, ask: Ask) {
        self.book.lock().asks.push(ask);
        self.asked.notify_one();
    }

    /// All that was asked since the last time.
    pub(super) fn take(&self) -> Vec<Ask> {
        std::mem::take(&mut self.book.lock().asks)
    }

    pub(super) fn left(&self) {
        let mut book = self.book.lock();
        book.viewers = book.viewers.saturating_sub(1);
    }
}
