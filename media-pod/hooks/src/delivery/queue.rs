//! [`Queue`]: what one endpoint still has to be told, in lanes. A state machine without clock, I/O or lock.
//!
//! A lane is (URL, stream): strict FIFO, one attempt at a time, retries included; where order does not matter, it is a single notice. Lanes take turns, so
//! that none starves another; one that waits for its next try holds up nobody else. Count and bytes are bounded: what is oldest gives way and is dead.
//! Whichever way a notice leaves, its number in the log is in [`Queue::take_gone`].

mod bounds;
mod wake;

use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use super::lane::{Dead, Death, Entry, Job, Lane, LaneKey, Limits, Notice, Settle, State};
use super::schedule::MAX_AGE;
use crate::event::{Event, Stream};
use headgate_control::Ordering;

/// How the notices of a queue are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) ordering: Ordering,
    pub(crate) max_age: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            ordering: Ordering::PerStream,
            max_age: MAX_AGE,
        }
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Queue {
    limits: Limits,
    policy: Policy,
    /// Keys are shared between the indexes, and lanes stand outside of the table: of both there may be as many as of notices.
    lanes: HashMap<Arc<LaneKey>, Box<Lane>>,
    ready: VecDeque<Arc<LaneKey>>,
    sleeping: BTreeSet<(Instant, Arc<LaneKey>)>,
    /// Lanes by the age of what was pushed; entries of notices that are gone are skipped.
    arrivals: VecDeque<(u64, Arc<LaneKey>)>,
    suspended: HashSet<usize>,
    dead: Vec<Dead>,
    next: u64,
    generation: u64,
    count: usize,
    bytes: usize,
    /// Numbers in the log of what left since it was last asked for.
    gone: Vec<u64>,
    closed: bool,
    held: bool,
}

impl Queue {
    /// An empty queue.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// What comes from now on is treated so; the age holds for what is pending too.
    pub(crate) fn set_policy(&mut self, policy: Policy) {
        let old = std::mem::replace(&mut self.policy, policy);
        if old.max_age == policy.max_age {
            return;
        }
        for notice in self.lanes.values_mut().flat_map(|lane| &mut lane.notices) {
            let since = notice.expiry.checked_sub(old.max_age);
            notice.expiry = since
                .and_then(|since| since.checked_add(policy.max_age))
                .unwrap_or(notice.expiry);
        }
        let sleepers = std::mem::take(&mut self.sleeping);
        for (until, key) in sleepers {
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            let expiry = lane.notices.front().map_or(until, |head| head.expiry);
            if let State::Sleeping { until, .. } = &mut lane.state {
                *until = (*until).min(expiry);
                self.sleeping.insert((*until, key));
            }
        }
    }

    /// For how long a notice is tried.
    pub(crate) fn max_age(&self) -> Duration {
        self.policy.max_age
    }

    /// Whether a URL is left alone because it said 410.
    pub(crate) fn is_suspended(&self) -> bool {
        !self.suspended.is_empty()
    }

    /// Notices that are pending, those in flight with them.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// When the oldest pending notice will be too old.
    pub(crate) fn first_expiry(&self) -> Option<Instant> {
        self.lanes
            .values()
            .filter_map(|lane| lane.notices.front())
            .map(|notice| notice.expiry)
            .min()
    }

    /// Appends to a lane. What falls out at the other end is in [`Queue::take_dead`].
    pub(crate) fn push(&mut self, entry: Entry, now: Instant) {
        if self.closed {
            self.gone.push(entry.log);
            self.dead.push(Dead {
                event: entry.event,
                death: Death::EndpointGone,
                url: entry.url,
            });
            return;
        }
        let number = self.next;
        self.next = number.saturating_add(1);
        let stream = entry.event.stream.clone();
        let key = match self.policy.ordering {
            Ordering::PerStream => LaneKey::of(entry.url, stream),
            Ordering::None => LaneKey::alone(entry.url, stream, number),
        };
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(entry.event.size());
        let notice = entry.notice(number, now, self.policy.max_age);
        let lane = if let Some(lane) = self.lanes.get_mut(&key) {
            lane
        } else {
            let key = Arc::new(key);
            self.ready.push_back(Arc::clone(&key));
            let lane = Box::new(Lane::new(Arc::clone(&key)));
            self.lanes.entry(key).or_insert(lane)
        };
        self.arrivals.push_back((number, Arc::clone(&lane.key)));
        lane.notices.push_back(notice);
        self.bound();
    }

    /// The next attempt to make now, if any.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Job> {
        if self.held {
            return None;
        }
        self.wake_due(now);
        while let Some(key) = self.ready.pop_front() {
            // A lane that ran empty and came again may stand in `ready` twice.
            let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.state == State::Ready) else {
                continue;
            };
            lane.state = State::InFlight;
            self.expire(&key, now);
            let Some(head) = self.lanes.get_mut(&key).and_then(|lane| lane.notices.front_mut()) else {
                continue;
            };
            if self.suspended.contains(&key.url()) {
                let until = head.expiry;
                self.sleep(key, until, true);
                continue;
            }
            head.attempts = head.attempts.saturating_add(1);
            return Some(Job {
                event: head.event.clone(),
                attempt: head.attempts,
                replay: head.replay,
                number: head.number,
                generation: self.generation,
                key,
            });
        }
        None
    }

    /// When [`Queue::take`] may have something that it has not now.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let first = self.sleeping.first().filter(|_| !self.held);
        first.map(|(until, _)| *until)
    }

    /// Failures of this notice so far, that count for its next wait.
    pub(crate) fn failures(&self, job: &Job) -> u32 {
        let head = self.lanes.get(&job.key).and_then(|lane| lane.notices.front());
        head.filter(|head| head.number == job.number)
            .map_or(0, |head| head.failures.into())
    }

    /// Ends an attempt. Of a notice that is gone by now it does nothing.
    pub(crate) fn settle(&mut self, job: &Job, settle: Settle, now: Instant) {
        let Some(lane) = self.lanes.get_mut(&job.key) else {
            return;
        };
        let Some(head) = lane.notices.front_mut().filter(|head| head.number == job.number) else {
            return;
        };
        let early = lane.early.take();
        match settle {
            Settle::Done => self.finish(&job.key, None),
            Settle::Dead => self.finish(&job.key, Some(Death::Rejected)),
            Settle::Suspend => {
                if job.generation == self.generation {
                    self.suspended.insert(job.key.url());
                }
                self.requeue(job.key.clone());
            }
            Settle::Retry { wait, held } => {
                let due = now.checked_add(wait).unwrap_or(now);
                let until = match early {
                    Some(due) if !held => due,
                    _ => {
                        head.failures = head.failures.saturating_add(1);
                        due
                    }
                };
                let until = until.min(head.expiry);
                self.sleep(job.key.clone(), until, held);
            }
        }
    }

    /// Gives everything up, and all that comes after.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        let keys: Vec<Arc<LaneKey>> = self.lanes.keys().cloned().collect();
        for key in keys {
            self.remove_lane(&key);
        }
    }

    /// Starts no attempt any more.
    pub(crate) fn hold(&mut self) {
        self.held = true;
    }

    /// The first `max` of what is pending, in the order in which it was appended.
    pub(crate) fn pending(&self, max: usize) -> Vec<Entry> {
        let notices = self
            .lanes
            .iter()
            .flat_map(|(key, lane)| lane.notices.iter().map(move |n| (key.url(), n)));
        let mut notices: Vec<(usize, &Notice)> = notices.collect();
        notices.sort_unstable_by_key(|(_, notice)| notice.number);
        let entry = |(url, notice): (usize, &Notice)| Entry {
            url,
            event: notice.event.clone(),
            log: notice.log,
            at: Timestamp::from_microsecond(notice.at).unwrap_or_default(),
            age: Duration::ZERO,
            replay: notice.replay,
        };
        notices.into_iter().take(max).map(entry).collect()
    }

    /// Whether this is pending.
    pub(crate) fn contains(&self, url: usize, event: &Event) -> bool {
        let has = |lane: &Lane| lane.notices.iter().any(|notice| notice.event.id == event.id);
        let in_order = self.lanes.get(&LaneKey::of(url, event.stream.clone()));
        let alone = || {
            let mut lanes = self.lanes.iter().filter(|(key, _)| key.is_alone() && key.url() == url);
            lanes.any(|(_, lane)| has(lane))
        };
        in_order.is_some_and(|lane| has(lane)) || (self.policy.ordering == Ordering::None && alone())
    }

    /// Takes out what has these numbers in the log. What is under way is left alone, unless `under_way`.
    pub(crate) fn remove(&mut self, log: &HashSet<u64>, death: Option<Death>, under_way: bool) {
        let keys: Vec<Arc<LaneKey>> = self.lanes.keys().cloned().collect();
        for key in keys {
            self.remove_from_lane(&key, log, death, under_way);
        }
    }

    /// Numbers in the log of what left since the last call.
    pub(crate) fn take_gone(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.gone)
    }

    /// What was given up since the last call.
    pub(crate) fn take_dead(&mut self) -> Vec<Dead> {
        std::mem::take(&mut self.dead)
    }

    /// Everything pushed from now on comes after this mark.
    pub(crate) fn mark(&self) -> u64 {
        self.next
    }

    /// Whether anything about a stream that was pushed before `mark`, and that `of` says yes to, is about to be sent.
    /// What waits for a later try is not.
    pub(crate) fn moving(&self, stream: &Stream, mark: u64, urls: usize, of: fn(&Event) -> bool) -> bool {
        (0..urls)
            .filter_map(|url| self.lanes.get(&LaneKey::of(url, stream.clone())))
            .any(|lane| {
                !matches!(lane.state, State::Sleeping { .. })
                    && lane
                        .notices
                        .iter()
                        .take_while(|n| n.number < mark)
                        .any(|n| of(&n.event))
            })
    }

    fn requeue(&mut self, key: Arc<LaneKey>) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.state = State::Ready;
            self.ready.push_back(key);
        }
    }

    fn sleep(&mut self, key: Arc<LaneKey>, until: Instant, held: bool) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.state = State::Sleeping { until, held };
            self.sleeping.insert((until, key));
        }
    }

    /// Takes the head off a lane that is in no index, and puts the lane back if there is more.
    fn finish(&mut self, key: &Arc<LaneKey>, death: Option<Death>) {
        self.remove_at(key, 0, death);
        self.requeue(key.clone());
    }

    /// Drops what is too old from the front of a lane that was just taken out of `ready`.
    fn expire(&mut self, key: &LaneKey, now: Instant) {
        let old = |lane: &Lane| lane.notices.front().is_some_and(|head| now >= head.expiry);
        while self.lanes.get(key).is_some_and(|lane| old(lane)) {
            self.remove_at(key, 0, Some(Death::Expired));
        }
    }

    /// Removes one notice, and its lane with the last.
    fn remove_at(&mut self, key: &LaneKey, at: usize, death: Option<Death>) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let Some(notice) = lane.notices.remove(at) else { return };
        if at == 0 {
            lane.early = None;
        }
        if lane.notices.is_empty() {
            self.remove_from_index(key);
            self.lanes.remove(key);
        }
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(notice.event.size());
        self.gone.push(notice.log);
        self.dead.extend(death.map(|death| Dead {
            event: notice.event,
            death,
            url: key.url(),
        }));
    }

    fn remove_from_lane(&mut self, key: &Arc<LaneKey>, log: &HashSet<u64>, death: Option<Death>, under_way: bool) {
        let Some(lane) = self.lanes.get(key) else { return };
        let busy = lane.state == State::InFlight;
        let spared = usize::from(busy && !under_way);
        let places = lane.notices.iter().enumerate().skip(spared);
        let places: Vec<usize> = places.filter(|(_, n)| log.contains(&n.log)).map(|(at, _)| at).collect();
        for at in places.iter().rev() {
            self.remove_at(key, *at, death);
        }
        if busy && places.first() == Some(&0) {
            self.requeue(key.clone());
        }
    }

    fn remove_lane(&mut self, key: &LaneKey) {
        while self.lanes.contains_key(key) {
            self.remove_at(key, 0, Some(Death::EndpointGone));
        }
    }

    fn remove_from_index(&mut self, key: &LaneKey) {
        // From `ready` it is not searched for: `take` passes over what is not there any more.
        if let Some(lane) = self.lanes.get(key)
            && let State::Sleeping { until, .. } = lane.state
        {
            self.sleeping.remove(&(until, Arc::clone(&lane.key)));
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
