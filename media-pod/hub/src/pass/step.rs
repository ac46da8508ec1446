//! Viewers in step: those who have all that the pass has been over, and whose sockets take what comes. They are nearly all, and need nearly nothing: a
//! descriptor and a place, side by side for all of them, so that their turns come fast behind each other. What else there is of a viewer has left the
//! processor's caches by then, and is not touched until it falls out of step.

use super::outlet::Outlet;
use super::slot::Slot;
use crate::Protocol;
use crate::batch::Batch;
use crate::live::Tide;
use nix::sys::socket::{MsgFlags, send};
use prometheus::IntCounter;
use std::io::IoSlice;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering;

/// Of one viewer.
pub(super) struct Stance {
    /// Of its outlet, which the viewer's slot keeps open.
    descriptor: Option<RawFd>,
    /// The next packet; `None` for one who goes by itself.
    next: Option<u64>,
    /// What it was sent since it is in step.
    bytes: u64,
}

/// How much of a batch a viewer in step took.
pub(super) enum Given {
    All,
    Some(usize),
    /// Its socket is full, or failed: who asks it again hears which.
    Nothing,
}

/// What those in step have in common.
#[derive(Default)]
pub(super) struct Step {
    /// What is before was offered to all.
    pub(super) next: u64,
    epoch: Option<u64>,
    tide: Tide,
    /// What they speak, and where their bytes are counted together.
    kind: Option<(Protocol, IntCounter)>,
}

impl Stance {
    /// Of somebody who is new.
    pub(super) fn of(slot: &Slot) -> Self {
        Self {
            descriptor: slot.outlet().descriptor(),
            next: None,
            bytes: 0,
        }
    }

    /// Whether it needs this batch and nothing else.
    pub(super) fn needs(&self, batch: &Batch) -> bool {
        self.next == Some(batch.from)
    }

    /// Whether it is in step and has all that was offered.
    pub(super) fn is_level(&self, step: &Step) -> bool {
        self.next == Some(step.next)
    }

    pub(super) fn is_in_step(&self) -> bool {
        self.next.is_some()
    }

    /// Sends a batch to one who needs it. `slot` is looked at only where there is no shorter way.
    pub(super) fn give<'a>(&mut self, batch: &Batch, slot: impl FnOnce() -> Option<&'a Slot>) -> Given {
        let bytes = &batch.bytes;
        let (written, has_left) = match self.descriptor {
            Some(descriptor) => {
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                (send(descriptor, bytes, flags).unwrap_or(0), true)
            }
            None => slot().map_or((0, true), |slot| push(&**slot.outlet(), bytes)),
        };
        match written {
            0 => Given::Nothing,
            some if some < bytes.len() || !has_left => Given::Some(some),
            all => {
                self.next = Some(batch.to);
                self.bytes = self.bytes.saturating_add(all as u64);
                Given::All
            }
        }
    }

    /// Takes a viewer out of step, if it is in: it goes by itself from now on.
    pub(super) fn step_out(&mut self, slot: &mut Slot) {
        if let Some(next) = self.next.take() {
            slot.step_out(next, std::mem::take(&mut self.bytes));
        }
    }

    /// Takes a viewer in that has all there is to have.
    pub(super) fn step_in(&mut self, slot: &mut Slot, step: &mut Step) {
        let (protocol, counter) = slot.player().counted_by();
        let (kind, _) = step.kind.get_or_insert_with(|| (protocol, counter.clone()));
        if *kind == protocol && slot.is_level(step.next, step.epoch) {
            slot.player().admitted.live.step_in(&step.tide);
            self.next = Some(step.next);
        }
    }
}

/// Through an outlet that does more than sending: how much it took, and whether nothing of that waits inside.
fn push(outlet: &dyn Outlet, bytes: &[u8]) -> (usize, bool) {
    let taken = outlet.offer(&[IoSlice::new(bytes)]).unwrap_or(0);
    (taken, outlet.push_out().is_ok())
}

impl Step {
    pub(super) fn new(next: u64) -> Self {
        Self {
            next,
            ..Self::default()
        }
    }

    /// All are to have this batch now. False when it is of another publisher than those before: nobody is in step with it.
    pub(super) fn goes_on(&mut self, batch: &Batch) -> bool {
        self.next = batch.to;
        self.tide.fetch_add(batch.bytes.len() as u64, Ordering::Relaxed);
        self.epoch.replace(batch.epoch) == Some(batch.epoch)
    }

    /// So many viewers in step took this batch.
    pub(super) fn count(&self, viewers: u64, batch: &Batch) {
        if let Some((_, egress)) = &self.kind {
            egress.inc_by(viewers.saturating_mul(batch.bytes.len() as u64));
        }
    }
}
