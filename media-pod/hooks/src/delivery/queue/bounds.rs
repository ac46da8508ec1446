//! The bounds of a queue: what is oldest gives way, and indexes forget what is gone.

use std::collections::HashSet;
use std::sync::Arc;

use super::Queue;
use crate::delivery::lane::{Death, LaneKey, State};

impl Queue {
    /// Keeps the limits: what is oldest and not in flight gives way.
    pub(super) fn bound(&mut self) {
        while self.count > self.limits.count || self.bytes > self.limits.bytes {
            let Some((key, at)) = self.pop_oldest_idle() else { break };
            self.remove_at(&key, at, Some(Death::Overflow));
        }
        self.compact();
    }

    /// Lane and place in it of the oldest notice that no attempt is under way for.
    fn pop_oldest_idle(&mut self) -> Option<(Arc<LaneKey>, usize)> {
        let mut in_flight = Vec::new();
        let mut found = None;
        while let Some((number, key)) = self.arrivals.pop_front() {
            let Some(lane) = self.lanes.get(&key) else { continue };
            let Some(head) = lane.notices.front().filter(|head| head.number <= number) else {
                continue;
            };
            if lane.state == State::InFlight && head.number == number {
                in_flight.push((number, key));
                continue;
            }
            let at = usize::from(lane.state == State::InFlight);
            found = Some((key, at));
            break;
        }
        for entry in in_flight.into_iter().rev() {
            self.arrivals.push_front(entry);
        }
        found
    }

    /// Drops index entries of what is gone, seldom enough to cost little per push.
    fn compact(&mut self) {
        let lanes = &self.lanes;
        if self.arrivals.len() > self.count.saturating_mul(2).saturating_add(64) {
            let first = |key: &LaneKey| {
                lanes
                    .get(key)
                    .and_then(|lane| lane.notices.front())
                    .map(|notice| notice.number)
            };
            self.arrivals
                .retain(|(number, key)| first(key).is_some_and(|first| first <= *number));
        }
        if self.ready.len() > lanes.len().saturating_mul(2).saturating_add(64) {
            let mut seen = HashSet::new();
            let is_ready = |key: &LaneKey| lanes.get(key).is_some_and(|lane| lane.state == State::Ready);
            self.ready.retain(|key| is_ready(key) && seen.insert(key.clone()));
        }
    }
}
