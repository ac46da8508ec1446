//! What is known of one connection, and who waits for it.

use futures::task::AtomicWaker;
use nix::sys::epoll::EpollFlags;
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
    /// Who wants nothing but the end.
    watching: AtomicWaker,
}

impl Default for Way {
    fn default() -> Self {
        Self {
            open: AtomicBool::new(true),
            ended: AtomicBool::new(false),
            waiting: AtomicWaker::new(),
            watching: AtomicWaker::new(),
        }
    }
}

impl Gate {
    pub(super) fn open(&self, ready: EpollFlags) {
        let failed = EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP;
        let ended = failed | EpollFlags::EPOLLRDHUP;
        if ready.intersects(ended) {
            self.reading.end();
        }
        if ready.intersects(ended | EpollFlags::EPOLLIN) {
            self.reading.open();
        }
        if ready.intersects(failed | EpollFlags::EPOLLOUT) {
            self.writing.open();
        }
    }
}

impl Way {
    /// There may be something: a try is worth it.
    pub(super) fn open(&self) {
        self.open.store(true, Ordering::Release);
        self.waiting.wake();
    }

    fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.watching.wake();
    }

    /// Whether a try may succeed.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Ready when the peer has closed this way, whether or not all before that was taken. One task waits at a time.
    pub(super) fn poll_end(&self, cx: &Context<'_>) -> Poll<()> {
        poll_flag(&self.ended, &self.watching, cx)
    }

    /// Ready when a try may succeed. One task waits at a time.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        poll_flag(&self.open, &self.waiting, cx)
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

fn poll_flag(flag: &AtomicBool, waiting: &AtomicWaker, cx: &Context<'_>) -> Poll<()> {
    if flag.load(Ordering::Acquire) {
        return Poll::Ready(());
    }
    waiting.register(cx.waker());
    if flag.load(Ordering::Acquire) {
        Poll::Ready(())
    } else {
        Poll::Pending
    }
}
