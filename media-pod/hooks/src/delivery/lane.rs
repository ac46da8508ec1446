//! What a [`Queue`](super::queue::Queue) is made of: lanes of notices, and what passes between it and who makes the attempts.

use jiff::Timestamp;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

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

/// Which notices, by the URL they go to and the stream they are about, or a single one. There may be as many as notices, so it is kept small.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LaneKey {
    url: u32,
    /// The stream.
    pub(crate) stream: Stream,
    /// 0 where the stream's notices keep their order; else a number of the lane's only notice. After four billion they come again, and two that meet
    /// are told one after the other.
    alone: u32,
}

impl LaneKey {
    /// The lane in which the notices of a stream keep their order.
    pub(super) fn of(url: usize, stream: Stream) -> Self {
        Self {
            url: url.try_into().unwrap_or(u32::MAX),
            stream,
            alone: 0,
        }
    }

    /// The lane of a single notice.
    pub(super) fn alone(url: usize, stream: Stream, number: u64) -> Self {
        let number = number.checked_rem(u64::from(u32::MAX)).unwrap_or(0);
        Self {
            alone: u32::try_from(number).unwrap_or(0).saturating_add(1),
            ..Self::of(url, stream)
        }
    }

    /// Index into the endpoint's URLs.
    pub(crate) fn url(&self) -> usize {
        usize::try_from(self.url).unwrap_or(usize::MAX)
    }

    /// Whether it is the lane of a single notice.
    pub(super) fn is_alone(&self) -> bool {
        self.alone > 0
    }
}

/// One attempt to make.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Its lane.
    pub(crate) key: Arc<LaneKey>,
    /// What to tell.
    pub(crate) event: Arc<Event>,
    /// Counts from 1.
    pub(crate) attempt: u32,
    /// It was a dead letter.
    pub(crate) replay: bool,
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

/// What is appended to a queue.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Index into the endpoint's URLs.
    pub(crate) url: usize,
    pub(crate) event: Arc<Event>,
    /// Its number in the log.
    pub(crate) log: u64,
    /// When it was appended first, in this process or one before it.
    pub(crate) at: Timestamp,
    /// How long ago that was.
    pub(crate) age: Duration,
    /// It was a dead letter.
    pub(crate) replay: bool,
}

impl Entry {
    /// The same as a notice, from `now` on.
    pub(super) fn notice(self, number: u64, now: Instant, max_age: Duration) -> Notice {
        let left = max_age.saturating_sub(self.age);
        Notice {
            number,
            expiry: now.checked_add(left).unwrap_or(now),
            attempts: 0,
            failures: 0,
            event: self.event,
            log: self.log,
            at: self.at.as_microsecond(),
            replay: self.replay,
        }
    }
}

/// A notice that was given up.
#[derive(Clone, Debug)]
pub(crate) struct Dead {
    pub(crate) event: Arc<Event>,
    pub(crate) death: Death,
    /// Index into the URLs that its endpoint had.
    pub(crate) url: usize,
}

/// One thing to tell. There may be a hundred thousand, so it is kept small.
pub(super) struct Notice {
    pub(super) event: Arc<Event>,
    /// Its number in the log.
    pub(super) log: u64,
    /// When it was appended first, in microseconds of Unix time.
    pub(super) at: i64,
    /// Counts up through the whole queue.
    pub(super) number: u64,
    pub(super) expiry: Instant,
    pub(super) attempts: u32,
    /// Those of the attempts that lengthen the next wait.
    pub(super) failures: u16,
    pub(super) replay: bool,
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
    /// Its own, for those who point to it often.
    pub(super) key: Arc<LaneKey>,
    pub(super) notices: VecDeque<Notice>,
    pub(super) state: State,
    /// Woken before its time, which was this: one more failure then changes nothing.
    pub(super) early: Option<Instant>,
}

impl Lane {
    /// An empty one whose turn will come.
    pub(super) fn new(key: Arc<LaneKey>) -> Self {
        Self {
            key,
            notices: VecDeque::with_capacity(1),
            state: State::Ready,
            early: None,
        }
    }
}
