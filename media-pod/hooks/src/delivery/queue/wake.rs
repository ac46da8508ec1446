//! Lanes that wait for a later try, and what wakes them.

use std::sync::Arc;
use tokio::time::Instant;

use super::Queue;
use crate::delivery::lane::{LaneKey, State};
use crate::event::Stream;

/// How a lane is woken before its time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wake {
    /// One try that changes no schedule; not when the receiver asked for time.
    Early,
    /// The same, whatever the receiver asked for.
    Last,
    /// The schedule starts over.
    Anew,
}

impl Queue {
    /// Lets the lanes of a stream try at once, unless their receiver asked for time or is suspended.
    pub(crate) fn wake(&mut self, stream: &Stream, urls: usize) {
        for url in 0..urls {
            self.wake_lane(&LaneKey::of(url, stream.clone()), Wake::Early);
        }
    }

    /// The same for all lanes, and even if their receiver asked for time.
    pub(crate) fn wake_all(&mut self) {
        self.wake_sleeping(Wake::Last, |_| true);
    }

    /// Takes a URL out of suspension.
    pub(crate) fn resume(&mut self, url: usize) {
        if self.suspended.remove(&url) {
            self.wake_sleeping(Wake::Anew, |key| key.url() == url);
        }
    }

    /// The URLs changed and there are now `count`: all are tried anew, and what was for one that is gone is dead.
    pub(crate) fn urls_changed(&mut self, count: usize) {
        self.generation = self.generation.saturating_add(1);
        let gone: Vec<Arc<LaneKey>> = self.lanes.keys().filter(|key| key.url() >= count).cloned().collect();
        for key in gone {
            self.remove_lane(&key);
        }
        self.suspended.clear();
        for head in self.lanes.values_mut().filter_map(|lane| lane.notices.front_mut()) {
            head.failures = 0;
        }
        self.wake_sleeping(Wake::Anew, |_| true);
    }

    pub(super) fn wake_due(&mut self, now: Instant) {
        while let Some((until, key)) = self.sleeping.pop_first() {
            if until > now {
                self.sleeping.insert((until, key));
                return;
            }
            self.requeue(key);
        }
    }

    fn wake_sleeping(&mut self, wake: Wake, which: impl Fn(&LaneKey) -> bool) {
        let keys: Vec<Arc<LaneKey>> = self
            .sleeping
            .iter()
            .map(|(_, key)| key)
            .filter(|key| which(key))
            .cloned()
            .collect();
        for key in keys {
            self.wake_lane(&key, wake);
        }
    }

    fn wake_lane(&mut self, key: &LaneKey, wake: Wake) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let State::Sleeping { until, held } = lane.state else {
            return;
        };
        if self.suspended.contains(&key.url()) || (held && wake == Wake::Early) {
            return;
        }
        let key = Arc::clone(&lane.key);
        self.sleeping.remove(&(until, Arc::clone(&key)));
        lane.early = (wake != Wake::Anew).then_some(until);
        if let Some(head) = lane.notices.front_mut().filter(|_| wake == Wake::Anew) {
            head.failures = 0;
        }
        self.requeue(key);
    }
}
