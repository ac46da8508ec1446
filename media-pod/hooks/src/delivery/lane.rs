//! What a [`Queue`](super::queue::Queue) is made of: lanes of notices, and what passes between it and who makes the attempts.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use super::schedule::MAX_AGE;
use crate::event::{Event, Stream};

/// Upper bounds of one endpoint's queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Notices.
    pub(crate) count: usize,
    /// About how many bytes they hold.
    pub(crate) bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            count: 100_000,
            bytes: 64 * 1024 * 1024,
        }
    }
}

/// Why a notice was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub(crate) enum Death {
    /// The queue was full and this was the oldest.
    Overflow,
    /// Older than the maximum age.
    Expired,
    /// The receiver will never take it.
    Rejected,
    /// Its endpoint or URL went away.
    EndpointGone,
}

impl Death {
    /// Every way.
    pub(crate) const ALL: [Self; 4] = [Self::Overflow, Self::Expired, Self::Rejected, Self::EndpointGone];
}

/// Which notices, by the URL they go to and the stream they are about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LaneKey {
    /// Index into the endpoint's URLs.
    pub(crate) url: usize,
    /// The stream.
    pub(crate) stream: Stream,
}

/// One attempt to make.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Its lane.
    pub(crate) key: LaneKey,
    /// What to tell.
    pub(crate) event: Arc<Event>,
    /// Counts from 1.
    pub(crate) attempt: u32,
    /// Which notice of the queue.
    pub(super) number: u64,
    /// How often the URLs had changed by then.
    pub(super) generation: u64,
}

/// What to do with the notice of a [`Job`] after its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settle {
    /// It is done with.
    Done,
    /// Again after this time; `held` when the receiver asked for it, so that nothing may wake it earlier.
    Retry { wait: Duration, held: bool },
    /// It will never be taken.
    Dead,
    /// Its URL is to be left alone.
    Suspend,
}

/// One thing to tell.
pub(super) struct Notice {
    pub(super) event: Arc<Event>,
    /// Counts up through the whole queue.
    pub(super) number: u64,
    pub(super) pushed: Instant,
    pub(super) attempts: u32,
    /// Those of the attempts that lengthen the next wait.
    pub(super) failures: u32,
}

impl Notice {
    pub(super) fn expiry(&self) -> Instant {
        self.pushed.checked_add(MAX_AGE).unwrap_or(self.pushed)
    }
}

/// Where a lane stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// In `ready`.
    Ready,
    /// An attempt is under way.
    InFlight,
    /// In `sleeping` under this time.
    Sleeping { until: Instant, held: bool },
}

/// Notices in the order in which they are told.
pub(super) struct Lane {
    pub(super) notices: VecDeque<Notice>,
    pub(super) state: State,
    /// Woken before its time, which was this: one more failure then changes nothing.
    pub(super) early: Option<Instant>,
}
