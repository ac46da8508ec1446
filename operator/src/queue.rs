//! What is to be reconciled, and when: no key twice at a time, none lost, failures tried again ever more slowly.
//!
//! [`Core`] is the decision, with the clock passed in; [`Queue`] waits for it.

use crate::names::ObjectKey;
use crate::room::give_back;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_mins(5);
/// Room for so many keys is kept when all are taken. A start puts every object there is into a queue, once.
const ROOM_KEPT: usize = 256;

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Again after this time, unless something happens before.
    Again(Duration),
    /// Not until something happens, and nothing of it is remembered: the most of what there is.
    Forget,
    /// Again, the later the more often it failed.
    Failed,
}

/// Keys to reconcile.
#[derive(Debug, Default)]
pub struct Queue {
    core: Mutex<Core>,
    wake: Notify,
}

impl Queue {
    /// As soon as may be.
    pub fn add(&self, key: ObjectKey) {
        self.core.lock().add(key);
        self.wake.notify_one();
    }

    /// The next key. Must be given back with [`Self::done`].
    pub async fn next(&self) -> ObjectKey {
        loop {
            let taken = self.core.lock().take(Instant::now());
            match taken {
                Taken::Key(key) => return key,
                Taken::Nothing(None) => self.wake.notified().await,
                Taken::Nothing(Some(until)) => {
                    tokio::select! {
                        () = self.wake.notified() => {}
                        () = sleep_until(until) => {}
                    }
                }
            }
        }
    }

    /// How many keys are to be reconciled now, with those that are being.
    pub fn depth(&self) -> usize {
        let core = self.core.lock();
        core.ready.len().saturating_add(core.running.len())
    }

    /// Nothing is to be reconciled.
    pub fn clear(&self) {
        *self.core.lock() = Core::default();
    }

    /// Gives a key back.
    pub fn done(&self, key: ObjectKey, outcome: Outcome) {
        let mut core = self.core.lock();
        core.done(key, outcome, Instant::now(), rand::random());
        drop(core);
        self.wake.notify_one();
    }
}

#[derive(Debug, Default)]
struct Core {
    ready: VecDeque<ObjectKey>,
    queued: HashSet<ObjectKey>,
    /// With whether it was added again meanwhile.
    running: HashMap<ObjectKey, bool>,
    later: BTreeSet<(Instant, ObjectKey)>,
    due: HashMap<ObjectKey, Instant>,
    failures: HashMap<ObjectKey, u32>,
}

enum Taken {
    Key(ObjectKey),
    /// Nothing before that time.
    Nothing(Option<Instant>),
}

impl Core {
    fn add(&mut self, key: ObjectKey) {
        if let Some(again) = self.running.get_mut(&key) {
            *again = true;
        } else if self.queued.insert(key.clone()) {
            self.cancel(&key);
            self.ready.push_back(key);
        }
    }

    fn take(&mut self, now: Instant) -> Taken {
        while self.later.first().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, key)) = self.later.pop_first() {
                self.due.remove(&key);
                give_back(&mut self.due);
                self.add(key);
            }
        }
        match self.ready.pop_front() {
            Some(key) => {
                self.queued.remove(&key);
                if self.ready.is_empty() && self.ready.capacity() > ROOM_KEPT {
                    self.ready = VecDeque::new();
                    self.queued = HashSet::new();
                }
                self.running.insert(key.clone(), false);
                Taken::Key(key)
            }
            None => Taken::Nothing(self.later.first().map(|(due, _)| *due)),
        }
    }

    fn done(&mut self, key: ObjectKey, outcome: Outcome, now: Instant, jitter: f64) {
        let again = self.running.remove(&key).unwrap_or(false);
        give_back(&mut self.failures);
        let wait = match outcome {
            Outcome::Again(wait) => {
                self.failures.remove(&key);
                Some(wait)
            }
            Outcome::Forget => {
                self.failures.remove(&key);
                None
            }
            Outcome::Failed => {
                let failures = self.failures.entry(key.clone()).or_insert(0);
                *failures = failures.saturating_add(1);
                Some(backoff(*failures, jitter))
            }
        };
        // A key that fails waits even when it was added again: its trouble is seldom over at once.
        if again && outcome != Outcome::Failed {
            self.add(key);
        } else if let Some(due) = wait.and_then(|w| now.checked_add(w)) {
            self.due.insert(key.clone(), due);
            self.later.insert((due, key));
        }
    }

    fn cancel(&mut self, key: &ObjectKey) {
        if let Some(due) = self.due.remove(key) {
            give_back(&mut self.due);
            self.later.remove(&(due, key.clone()));
        }
    }
}

/// Doubles from 0.2 s up to 5 min; `jitter` in 0..1 takes off up to half.
pub fn backoff(failures: u32, jitter: f64) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
    FIRST_RETRY
        .saturating_mul(factor)
        .min(LAST_RETRY)
        .mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("n", name)
    }

    fn taken(core: &mut Core, now: Instant) -> Option<ObjectKey> {
        match core.take(now) {
            Taken::Key(key) => Some(key),
            Taken::Nothing(_) => None,
        }
    }

    fn after(now: Instant, time: Duration) -> Instant {
        now.checked_add(time).unwrap()
    }

    #[test]
    fn a_key_that_is_running_runs_once_more_when_it_was_added_meanwhile() {
        let (mut core, now) = (Core::default(), Instant::now());
        core.add(key("a"));
        core.add(key("a"));
        assert_eq!(taken(&mut core, now), Some(key("a")));
        core.add(key("a"));
        core.add(key("a"));
        assert_eq!(taken(&mut core, now), None);
        core.done(key("a"), Outcome::Forget, now, 0.0);
        assert_eq!(taken(&mut core, now), Some(key("a")));
        core.done(key("a"), Outcome::Forget, now, 0.0);
        assert_eq!(taken(&mut core, now), None);
    }

    #[test]
    fn a_failure_waits_longer_each_time_and_a_success_forgets_it() {
        let waits: Vec<u128> = (1..=14).map(|n| backoff(n, 0.0).as_millis()).collect();
        assert_eq!(waits[..4], [200, 400, 800, 1600]);
        assert_eq!(waits[13], 300_000);
        assert_eq!(backoff(1, 1.0).as_millis(), 100);

        let (mut core, now) = (Core::default(), Instant::now());
        for _ in 0..3 {
            core.add(key("a"));
            assert!(taken(&mut core, now).is_some());
            core.done(key("a"), Outcome::Failed, now, 0.0);
        }
        assert_eq!(taken(&mut core, after(now, Duration::from_millis(799))), None);
        assert!(taken(&mut core, after(now, Duration::from_millis(800))).is_some());
        core.done(key("a"), Outcome::Again(Duration::from_hours(1)), now, 0.0);
        assert!(core.failures.is_empty());
    }

    #[test]
    fn what_happens_meanwhile_does_not_shorten_a_failures_wait() {
        let (mut core, now) = (Core::default(), Instant::now());
        core.add(key("a"));
        assert!(taken(&mut core, now).is_some());
        core.add(key("a"));
        core.done(key("a"), Outcome::Failed, now, 0.0);
        assert_eq!(taken(&mut core, now), None);
        assert!(taken(&mut core, after(now, FIRST_RETRY)).is_some());
    }

    #[test]
    fn something_that_happens_comes_before_the_time_that_was_set() {
        let (mut core, now) = (Core::default(), Instant::now());
        core.add(key("a"));
        assert!(taken(&mut core, now).is_some());
        core.done(key("a"), Outcome::Again(Duration::from_hours(1)), now, 0.0);
        core.add(key("a"));
        assert!(taken(&mut core, now).is_some());
        core.done(key("a"), Outcome::Forget, now, 0.0);
        assert_eq!(taken(&mut core, after(now, Duration::from_hours(2))), None);
    }

    #[test]
    fn the_room_of_a_crowd_is_given_back_when_all_of_it_is_taken() {
        let (mut core, now) = (Core::default(), Instant::now());
        (0..10_000).for_each(|n| core.add(key(&n.to_string())));
        let taken = std::iter::from_fn(|| taken(&mut core, now)).count();
        assert_eq!((taken, core.running.len()), (10_000, 10_000));
        assert!(core.ready.capacity() <= ROOM_KEPT && core.queued.capacity() <= ROOM_KEPT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_wakes_for_what_is_added_and_for_what_is_due() {
        let queue = Queue::default();
        queue.add(key("a"));
        assert_eq!(queue.next().await, key("a"));
        queue.done(key("a"), Outcome::Again(Duration::from_mins(1)));
        let start = Instant::now();
        assert_eq!(queue.next().await, key("a"));
        assert!(start.elapsed() >= Duration::from_mins(1));
    }

    #[derive(Clone, Debug)]
    enum Act {
        Add(u8),
        Take,
        Done(u8, u8),
        Pass(u16),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            (0..4_u8).prop_map(Act::Add),
            Just(Act::Take),
            (0..4_u8, 0..3_u8).prop_map(|(k, o)| Act::Done(k, o)),
            (0..1000_u16).prop_map(Act::Pass),
        ]
    }

    proptest! {
        #[test]
        fn a_key_that_was_added_is_taken_after_its_last_addition(acts in proptest::collection::vec(act(), 0..80)) {
            let (mut core, mut now) = (Core::default(), Instant::now());
            let mut owed: HashSet<ObjectKey> = HashSet::new();
            for act in acts {
                match act {
                    Act::Add(k) => { let k = key(&k.to_string()); owed.insert(k.clone()); core.add(k); }
                    Act::Take => if let Some(k) = taken(&mut core, now) { owed.remove(&k); },
                    Act::Pass(ms) => now = after(now, Duration::from_millis(ms.into())),
                    Act::Done(k, o) => {
                        let k = key(&k.to_string());
                        if core.running.contains_key(&k) {
                            let outcome = [Outcome::Failed, Outcome::Forget, Outcome::Again(Duration::from_secs(1))][usize::from(o)];
                            core.done(k, outcome, now, 0.5);
                        }
                    }
                }
            }
            let running: Vec<ObjectKey> = core.running.keys().cloned().collect();
            for k in running { core.done(k, Outcome::Forget, now, 0.0); }
            now = after(now, Duration::from_hours(1));
            while let Some(k) = taken(&mut core, now) { owed.remove(&k); core.done(k, Outcome::Forget, now, 0.0); }
            prop_assert!(owed.is_empty());
        }
    }
}
