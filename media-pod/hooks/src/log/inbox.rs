//! [`Inbox`]: what is on its way to the writer. Putting something in is a lock and a push: no I/O, no wait.
//!
//! It is bounded without ever refusing what must not be lost: whoever opens a session waits for room, and every other record ends something that is
//! open or pending, of which there is only so much.
//!
//! Waking a thread that sleeps costs whoever does it tens of microseconds, which is more than all else that the end of a session costs. So while there is
//! something to do the writer looks by itself every millisecond, and only who waits for a write wakes it.

use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};

use super::record::Record;

/// From so many on those who open sessions wait.
const ROOM: usize = 8192;
/// How often the writer looks without being woken,
const LOOK: Duration = Duration::from_millis(1);
/// and for how long after there was something to do.
const LOOKS: Duration = Duration::from_millis(50);

/// A record to write.
pub(crate) struct Op {
    pub(crate) record: Record,
    pub(crate) submitted: Instant,
    /// The disk must have it.
    pub(crate) sync: bool,
    /// Told whether it was written, once that was tried.
    pub(crate) ack: Option<oneshot::Sender<bool>>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Notify,
    /// So many of what came were written, or it was tried.
    passed: AtomicU64,
}

#[derive(Default)]
struct State {
    ops: VecDeque<Op>,
    /// So many came,
    put: u64,
    /// and so many of them the writer has or had.
    taken: u64,
    waits: Waits,
    /// Until when the writer looks by itself.
    looks: Option<Instant>,
    closed: bool,
}

/// What the writer does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Waits {
    /// It works, and looks here before it sleeps.
    #[default]
    Not,
    /// It sleeps, and looks soon.
    Soon,
    /// It sleeps until it is woken.
    ForWord,
}

impl Inbox {
    /// Hands records over, to be written in one go. Their place among all that came, for [`Inbox::has_passed`].
    pub(crate) fn put(
        &self,
        records: impl IntoIterator<Item = Record>,
        sync: bool,
        mut ack: Option<oneshot::Sender<bool>>,
    ) -> u64 {
        let (submitted, is_awaited) = (Instant::now(), ack.is_some());
        let mut records = records.into_iter().peekable();
        let mut state = self.state.lock();
        while let Some(record) = records.next() {
            let is_last = records.peek().is_none();
            state.ops.push_back(Op {
                record,
                sync,
                submitted,
                ack: ack.take_if(|_| is_last),
            });
            state.put = state.put.saturating_add(1);
        }
        let (place, waits) = (state.put, state.waits);
        let wakes = waits == Waits::ForWord || (waits == Waits::Soon && is_awaited);
        if wakes {
            state.waits = Waits::Not;
        }
        drop(state);
        if wakes {
            self.filled.notify_one();
        }
        place
    }

    /// Waits until there is room for what can wait.
    pub(crate) async fn room(&self) {
        loop {
            let mut emptied = pin!(self.emptied.notified());
            emptied.as_mut().enable();
            if self.state.lock().ops.len() < ROOM {
                return;
            }
            emptied.await;
        }
    }

    /// All that came, after waiting for the first of it, `patience` at most. `None` when nothing is left and nothing will come.
    pub(crate) fn take(&self, patience: Option<Duration>) -> Option<VecDeque<Op>> {
        let mut state = self.state.lock();
        while state.ops.is_empty() && !state.closed {
            let looks = patience.is_none() && state.looks.is_some_and(|until| Instant::now() < until);
            state.waits = if looks { Waits::Soon } else { Waits::ForWord };
            match patience {
                _ if looks => {
                    self.filled.wait_for(&mut state, LOOK);
                }
                None => self.filled.wait(&mut state),
                Some(patience) => {
                    if self.filled.wait_for(&mut state, patience).timed_out() {
                        state.waits = Waits::Not;
                        return Some(VecDeque::new());
                    }
                }
            }
            state.waits = Waits::Not;
        }
        let ops = std::mem::take(&mut state.ops);
        state.taken = state.put;
        state.looks = Instant::now().checked_add(LOOKS);
        let over = state.closed && ops.is_empty();
        drop(state);
        self.emptied.notify_waiters();
        (!over).then_some(ops)
    }

    /// What was taken is written, or waits for a disk that fails.
    pub(crate) fn pass(&self) {
        let taken = self.state.lock().taken;
        self.passed.store(taken, Ordering::SeqCst);
    }

    /// Whether the writer is done with what came up to this place.
    pub(crate) fn has_passed(&self, place: u64) -> bool {
        self.passed.load(Ordering::SeqCst) >= place
    }

    /// Nothing more will come.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    fn record() -> Record {
        Record::Done(vec![1])
    }

    fn waits(inbox: &Inbox, wanted: Waits) {
        let begun = Instant::now();
        while inbox.state.lock().waits != wanted {
            assert!(begun.elapsed() < Duration::from_secs(10), "the writer never waits so");
            thread::yield_now();
        }
    }

    #[test]
    fn the_writer_looks_by_itself_while_there_was_something_and_then_sleeps_until_it_is_woken() {
        let inbox = Arc::<Inbox>::default();
        let writer = thread::spawn({
            let inbox = Arc::clone(&inbox);
            move || {
                let mut taken = 0;
                while let Some(ops) = inbox.take(None) {
                    taken += ops.len();
                    inbox.pass();
                }
                taken
            }
        });
        waits(&inbox, Waits::ForWord);
        let first = inbox.put([record()], false, None);
        waits(&inbox, Waits::Soon);
        assert!(inbox.has_passed(first));
        let second = inbox.put([record(), record()], false, None);
        assert_eq!((first, second), (1, 3));
        let begun = Instant::now();
        while !inbox.has_passed(second) {
            assert!(begun.elapsed() < Duration::from_secs(10), "it never looked");
            thread::yield_now();
        }
        waits(&inbox, Waits::ForWord);
        let third = inbox.put([record()], false, None);
        waits(&inbox, Waits::Soon);
        assert!(inbox.has_passed(third));
        inbox.close();
        assert_eq!(writer.join().ok(), Some(4));
    }

    #[test]
    fn of_what_is_written_in_one_go_the_last_is_waited_for() {
        let inbox = Inbox::default();
        let (ack, mut written) = oneshot::channel();
        inbox.put([record(), record()], true, Some(ack));
        let ops = inbox.take(None).unwrap_or_default();
        let awaited: Vec<bool> = ops.iter().map(|op| op.ack.is_some() && op.sync).collect();
        assert_eq!(awaited, [false, true]);
        drop(ops);
        assert!(written.try_recv().is_err());
    }
}
