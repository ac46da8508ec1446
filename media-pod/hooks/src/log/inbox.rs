//! [`Inbox`]: what is on its way to the writer. Putting something in is a lock and a push: no I/O, no wait.
//!
//! It is bounded without ever refusing what must not be lost: whoever opens a session waits for room, and every other record ends something that is
//! open or pending, of which there is only so much.

use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};

use super::record::Record;

/// From so many on those who open sessions wait.
const ROOM: usize = 8192;

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
}

#[derive(Default)]
struct State {
    ops: VecDeque<Op>,
    closed: bool,
}

impl Inbox {
    pub(crate) fn put(&self, record: Record, sync: bool, ack: Option<oneshot::Sender<bool>>) {
        let op = Op {
            record,
            sync,
            submitted: Instant::now(),
            ack,
        };
        let mut state = self.state.lock();
        state.ops.push_back(op);
        let first = state.ops.len() == 1;
        drop(state);
        if first {
            self.filled.notify_one();
        }
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
            match patience {
                None => self.filled.wait(&mut state),
                Some(patience) => {
                    if self.filled.wait_for(&mut state, patience).timed_out() {
                        return Some(VecDeque::new());
                    }
                }
            }
        }
        let ops = std::mem::take(&mut state.ops);
        let over = state.closed && ops.is_empty();
        drop(state);
        self.emptied.notify_waiters();
        (!over).then_some(ops)
    }

    /// Nothing more will come.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_one();
    }
}
