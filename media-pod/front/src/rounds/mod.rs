//! [`Rounds`]: many connections that are looked at together, once in so long, instead of each when something comes.
//!
//! A publisher's message comes every 15 ms or so. Where there are hundreds, one comes every few microseconds, each to a thread that went to sleep after
//! the one before, and to wake it costs more than to read the message. In rounds the thread wakes once for all that came meanwhile. Who comes
//! after a silence is heard at once, so that few publishers, and a pod at rest, pay nothing and wait for nothing.
//!
//! The connections are in a poll of their own, not in that of the runtime, which would wake for each.

mod gate;
mod member;

pub(crate) use member::Member;

use gate::Gate;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use parking_lot::Mutex;
use slab::Slab;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

/// Connections that are told in one look; who is not comes with the next, at once.
const EVENTS: usize = 1024;
/// Between two looks of a row, where the pause has just become nothing.
const LEAST: Duration = Duration::from_millis(1);

/// Whose connections come together. A clone is the same.
#[derive(Clone)]
pub struct Rounds(Arc<Shared>);

struct Shared {
    poll: Epoll,
    /// By the number that their events bear.
    gates: Mutex<Slab<Arc<Gate>>>,
}

/// What looks at the connections. Nothing comes on them unless [`Caller::keep`] runs.
pub struct Caller {
    events: Vec<EpollEvent>,
    rounds: Rounds,
    /// When the last look was.
    last: Option<Instant>,
}

impl Rounds {
    /// And who is to look at them.
    pub fn new() -> io::Result<(Self, Caller)> {
        let rounds = Self(Arc::new(Shared {
            poll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            gates: Mutex::default(),
        }));
        let caller = Caller {
            events: vec![EpollEvent::empty(); EVENTS],
            rounds: rounds.clone(),
            last: None,
        };
        Ok((rounds, caller))
    }

    /// Connections that are heard in them.
    pub fn members(&self) -> usize {
        self.0.gates.lock().len()
    }

    fn join(&self, connection: BorrowedFd<'_>) -> io::Result<(usize, Arc<Gate>)> {
        let gate = Arc::<Gate>::default();
        let place = self.0.gates.lock().insert(Arc::clone(&gate));
        if let Err(error) = self.0.poll.add(connection, event(place, true)) {
            self.0.gates.lock().try_remove(place);
            return Err(error.into());
        }
        Ok((place, gate))
    }

    fn listen(&self, connection: BorrowedFd<'_>, place: usize, listens: bool) -> io::Result<()> {
        Ok(self.0.poll.modify(connection, &mut event(place, listens))?)
    }

    fn leave(&self, connection: BorrowedFd<'_>, place: usize) {
        // It fails only where the poll does not know the connection.
        let _ = self.0.poll.delete(connection);
        self.0.gates.lock().try_remove(place);
    }
}

/// What is told of a connection, each time when that is news.
fn event(place: usize, listens: bool) -> EpollEvent {
    let mut flags = EpollFlags::EPOLLET | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLOUT;
    flags.set(EpollFlags::EPOLLIN, listens);
    EpollEvent::new(flags, place as u64)
}

impl Caller {
    /// Wakes whose connections can be read or written: at once after a silence of `pause`, else that long after the last time. Never ends.
    pub async fn keep(mut self, pause: impl Fn() -> Duration) {
        loop {
            match self.watched() {
                Ok(watched) => self.attend(&watched, &pause).await,
                Err(error) => tracing::debug!(%error, "the runtime cannot say when something comes"),
            }
            // Not watched any more: the runtime is not to wake for each of many.
            loop {
                let from = self.last.unwrap_or_else(Instant::now);
                sleep_until(from.checked_add(pause().max(LEAST)).unwrap_or(from)).await;
                if self.look() == 0 {
                    break;
                }
            }
        }
    }

    /// Looks when something comes, as long as it comes rarely.
    async fn attend(&mut self, watched: &AsyncFd<RawFd>, pause: impl Fn() -> Duration) {
        while let Ok(mut ready) = watched.readable().await {
            if self.last.is_some_and(|last| last.elapsed() < pause()) {
                return;
            }
            // Who comes while this looks is in this look, or wakes the next.
            ready.clear_ready();
            drop(ready);
            self.look();
        }
    }

    /// The poll itself, for the runtime to wait for.
    #[allow(
        deprecated,
        reason = "what is to be used instead is unsafe, since a descriptor could be closed meanwhile: this one is the poll's, which stays"
    )]
    fn watched(&self) -> io::Result<AsyncFd<RawFd>> {
        AsyncFd::with_interest(self.rounds.0.poll.0.as_raw_fd(), tokio::io::Interest::READABLE)
    }

    /// How many could do something.
    fn look(&mut self) -> usize {
        self.last = Some(Instant::now());
        let mut all = 0_usize;
        loop {
            let count = match self.rounds.0.poll.wait(&mut self.events, EpollTimeout::ZERO) {
                Err(Errno::EINTR) => continue,
                Err(error) => {
                    tracing::warn!(%error, "cannot look at connections");
                    return all;
                }
                Ok(count) => count,
            };
            let gates = self.rounds.0.gates.lock();
            for event in self.events.iter().take(count) {
                let place = usize::try_from(event.data()).ok();
                if let Some(gate) = place.and_then(|place| gates.get(place)) {
                    gate.open(event.events());
                }
            }
            drop(gates);
            all = all.saturating_add(count);
            if count < EVENTS {
                return all;
            }
        }
    }
}
