//! What is known of one connection, and who waits for it.

use futures::task::AtomicWaker;
use mio::event::Event;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// Both ways of a connection.
#[derive(Default)]
pub(super) struct Gate {
    pub(super) reading: Way,
    pub(super) writing: Way,
}

/// One way. True until a try says otherwise, so that nobody waits for what came before.
pub(super) struct Way {
    open: AtomicBool,
    /// The peer has closed it, which is said once, maybe together with the last that came: there is an end to be found behind that.
    ended: AtomicBool,
    waiting: AtomicWaker,
}

impl Default for Way {
    fn default() -> Self {
        Self {
            open: AtomicBool::new(true),
            ended: AtomicBool::new(false),
            waiting: AtomicWaker::new(),
        }
    }
}

impl Gate {
    pub(super) fn open(&self, event: &Event) {
        if event.is_read_closed() || event.is_error() {
            self.reading.ended.store(true, Ordering::Release);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.reading.open();
        }
        if event.is_writable() || event.is_write_closed() || event.is_error() {
            self.writing.open();
        }
    }
}

impl Way {
    fn open(&self) {
        self.open.store(true, Ordering::Release);
        self.waiting.wake();
    }

    /// Ready when a try may succeed. One task waits at a time.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.open.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        self.waiting.register(cx.waker());
        if self.open.load(Ordering::Acquire) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Does what may succeed. It stays open unless it would block, or `exhausts` says of what was done that nothing is left and there is no end either.
    pub(super) fn pass(
        &self,
        exhausts: impl FnOnce(usize) -> bool,
        act: impl FnOnce() -> io::Result<usize>,
    ) -> io::Result<usize> {
        // Closed first: what comes while it is done opens it again.
        if !self.open.swap(false, Ordering::AcqRel) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let done = act();
        let is_exhausted = match &done {
            Ok(count) => exhausts(*count) && !self.ended.load(Ordering::Acquire),
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        if !is_exhausted {
            self.open.store(true, Ordering::Release);
        }
        done
    }
}
