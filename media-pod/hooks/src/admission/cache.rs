//! Decisions that are kept: for as long as they hold, and behind that for when no answer comes. Bounded; the least used goes first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use crate::dialect::PublishOptions;
use crate::failure::Failure;

/// Decisions that are kept for one endpoint.
const ENTRIES_MAX: usize = 100_000;

/// What a question is known by: a hash.
pub(crate) type Key = [u8; 32];

/// What a back end said.
pub(crate) type Decision = Result<PublishOptions, Failure>;

/// A decision and how long it is good.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) decision: Decision,
    /// The StreamKey that had opened the door.
    pub(crate) stream_key: Option<Arc<str>>,
    /// The client's port, where nothing else tells one client of an address from the other.
    pub(crate) port: Option<u16>,
    pub(crate) fresh_until: Instant,
    pub(crate) stale_until: Instant,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Cache {
    entries: HashMap<Key, (u64, Kept)>,
    /// The keys by when they were last used.
    used: BTreeMap<u64, Key>,
    clock: u64,
    max: usize,
}

impl Default for Cache {
    fn default() -> Self {
        Self::of(ENTRIES_MAX)
    }
}

impl Kept {
    /// A decision that holds for `fresh`, and may stand in for `stale` more.
    pub(crate) fn new(decision: Decision, (fresh, stale): (Duration, Duration), now: Instant) -> Self {
        let fresh_until = now.checked_add(fresh).unwrap_or(now);
        Self {
            decision,
            stream_key: None,
            port: None,
            fresh_until,
            stale_until: fresh_until.checked_add(stale).unwrap_or(fresh_until),
        }
    }
}

impl Cache {
    fn of(max: usize) -> Self {
        Self {
            entries: HashMap::new(),
            used: BTreeMap::new(),
            clock: 0,
            max,
        }
    }

    /// A decision that holds.
    pub(crate) fn fresh(&mut self, key: &Key, port: Option<u16>, now: Instant) -> Option<Decision> {
        self.find(key, |kept| now < kept.fresh_until && kept.port == port)
    }

    /// One that held not too long ago.
    pub(crate) fn stale(&mut self, key: &Key, now: Instant) -> Option<Decision> {
        self.find(key, |kept| now < kept.stale_until)
    }

    /// Keeps a decision in the place of an older one.
    pub(crate) fn put(&mut self, key: Key, kept: Kept) {
        self.remove(&key);
        let at = self.tick();
        self.entries.insert(key, (at, kept));
        self.used.insert(at, key);
        while self.entries.len() > self.max
            && let Some((_, oldest)) = self.used.pop_first()
        {
            self.entries.remove(&oldest);
        }
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        if let Some((at, _)) = self.entries.remove(key) {
            self.used.remove(&at);
        }
    }

    /// Forgets what was decided behind a door that one of these StreamKeys opened.
    pub(crate) fn purge(&mut self, is_gone: impl Fn(&str) -> bool) {
        let gone = |kept: &Kept| kept.stream_key.as_deref().is_some_and(&is_gone);
        let used = &mut self.used;
        self.entries.retain(|_, (at, kept)| {
            let goes = gone(kept);
            if goes {
                used.remove(at);
            }
            !goes
        });
    }

    fn find(&mut self, key: &Key, good: impl Fn(&Kept) -> bool) -> Option<Decision> {
        let next = self.tick();
        let (at, kept) = self.entries.get_mut(key)?;
        if !good(kept) {
            return None;
        }
        self.used.remove(at);
        self.used.insert(next, *key);
        *at = next;
        Some(kept.decision.clone())
    }

    fn tick(&mut self) -> u64 {
        self.clock = self.clock.saturating_add(1);
        self.clock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn kept(fresh: u32, stale: u32, now: Instant) -> Kept {
        let times = [fresh, stale].map(|seconds| SECOND.saturating_mul(seconds));
        Kept::new(Ok(PublishOptions::default()), times.into(), now)
    }

    #[tokio::test(start_paused = true)]
    async fn a_decision_holds_and_then_stands_in_and_then_is_gone() {
        let (now, mut cache) = (Instant::now(), Cache::default());
        cache.put([1; 32], kept(10, 5, now));
        let table = [
            (9, true, true),
            (10, false, true),
            (14, false, true),
            (15, false, false),
        ];
        for (seconds, fresh, stale) in table {
            let then = now.checked_add(SECOND.saturating_mul(seconds)).expect("not so late");
            assert_eq!(cache.fresh(&[1; 32], None, then).is_some(), fresh, "{seconds}");
            assert_eq!(cache.stale(&[1; 32], then).is_some(), stale, "{seconds}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_only_the_port_tells_clients_apart_it_must_be_the_same_for_a_decision_to_hold() {
        let (now, mut cache) = (Instant::now(), Cache::default());
        let port = Some(1234);
        cache.put(
            [1; 32],
            Kept {
                port,
                ..kept(10, 5, now)
            },
        );
        assert!(cache.fresh(&[1; 32], port, now).is_some());
        assert!(cache.fresh(&[1; 32], Some(1235), now).is_none());
        assert!(cache.stale(&[1; 32], now).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_least_used_goes_first() {
        let (now, mut cache) = (Instant::now(), Cache::of(3));
        for n in 0..3 {
            cache.put([n; 32], kept(10, 0, now));
        }
        assert!(cache.fresh(&[0; 32], None, now).is_some());
        cache.put([3; 32], kept(10, 0, now));
        let there = [0, 1, 2, 3].map(|n| cache.fresh(&[n; 32], None, now).is_some());
        assert_eq!(there, [true, false, true, true]);
        assert_eq!((cache.entries.len(), cache.used.len()), (3, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_key_opened_goes_with_the_key() {
        let (now, mut cache) = (Instant::now(), Cache::default());
        let of = |key: &str| Kept {
            stream_key: Some(key.into()),
            ..kept(10, 300, now)
        };
        cache.put([1; 32], of("alice"));
        cache.put([2; 32], of("bob"));
        cache.put([3; 32], kept(10, 0, now));
        cache.purge(|key| key == "alice");
        let there = [1, 2, 3].map(|n| cache.stale(&[n; 32], now).is_some());
        assert_eq!(there, [false, true, true]);
        assert_eq!(cache.used.len(), 2);
    }
}
