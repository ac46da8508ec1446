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
use mio::{Events, Interest, Poll, Registry, Token};
use parking_lot::Mutex;
use slab::Slab;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
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
    registry: Registry,
    /// By their token.
    gates: Mutex<Slab<Arc<Gate>>>,
}

/// What looks at the connections. Nothing comes on them unless [`Caller::keep`] runs.
pub struct Caller {
    poll: Poll,
    events: Events,
    rounds: Rounds,
    /// When the last look was.
    last: Option<Instant>,
}

impl Rounds {
    /// And who is to look at them.
    pub fn new() -> io::Result<(Self, Caller)> {
        let poll = Poll::new()?;
        let rounds = Self(Arc::new(Shared {
            registry: poll.registry().try_clone()?,
            gates: Mutex::default(),
        }));
        let caller = Caller {
            poll,
            events: Events::with_capacity(EVENTS),
            rounds: rounds.clone(),
            last: None,
        };
        Ok((rounds, caller))
    }

    /// Connections that are heard in them.
    pub fn members(&self) -> usize {
        self.0.gates.lock().len()
    }

    fn join(&self, source: &mut impl mio::event::Source) -> io::Result<(usize, Arc<Gate>)> {
        let gate = Arc::<Gate>::default();
        let place = self.0.gates.lock().insert(Arc::clone(&gate));
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.0.registry.register(source, Token(place), interest) {
            self.0.gates.lock().try_remove(place);
            return Err(error);
        }
        Ok((place, gate))
    }

    fn leave(&self, source: &mut impl mio::event::Source, place: usize) {
        // It fails only where the poll does not know the connection.
        let _ = self.0.registry.deregister(source);
        self.0.gates.lock().try_remove(place);
    }
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
        AsyncFd::with_interest(self.poll.as_raw_fd(), tokio::io::Interest::READABLE)
    }

    /// How many could do something.
    fn look(&mut self) -> usize {
        self.last = Some(Instant::now());
        let mut all = 0_usize;
        loop {
            match self.poll.poll(&mut self.events, Some(Duration::ZERO)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::warn!(%error, "cannot look at connections");
                    return all;
                }
                Ok(()) => {}
            }
            let gates = self.rounds.0.gates.lock();
            let mut count = 0_usize;
            for event in &self.events {
                count = count.saturating_add(1);
                if let Some(gate) = gates.get(event.token().0) {
                    gate.open(event);
                }
            }
            all = all.saturating_add(count);
            if count < EVENTS {
                return all;
            }
        }
    }
}
