//! What of a status only counts. It follows at leisure: with thousands of streams that come and go, the counts of their keys and servers
//! would else be written as often as the streams themselves, and these would wait for them.

use super::Of;
use crate::pace::Pace;
use crate::room::give_back;
use headgate_api::{HookEndpointStatus, MediaServerStatus, StreamKeyStatus, StreamStatus};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Between two statuses of which only counts are new, over all objects.
const EACH: Duration = Duration::from_millis(15);
/// So many times as long while streams wait to be shown.
const BUSY: u32 = 4;
/// So many at once after a rest, so that where little happens nobody waits.
const BURST: u32 = 100;
/// A turn that nobody took is forgotten after this time.
const KEPT: Duration = Duration::from_secs(10);
const REMEMBERED: usize = 1024;

/// A status that counts something.
pub trait Counted {
    /// Takes over from `old` what only counts.
    fn count_as(&mut self, old: &Self);
}

impl Counted for MediaServerStatus {
    fn count_as(&mut self, old: &Self) {
        self.streams = old.streams;
        self.viewers.clone_from(&old.viewers);
    }
}

impl Counted for StreamKeyStatus {
    fn count_as(&mut self, old: &Self) {
        self.publishers = old.publishers;
    }
}

impl Counted for HookEndpointStatus {
    fn count_as(&mut self, old: &Self) {
        self.pending.clone_from(&old.pending);
        self.dead.clone_from(&old.dead);
    }
}

impl Counted for StreamStatus {
    fn count_as(&mut self, old: &Self) {
        self.viewers.clone_from(&old.viewers);
        self.bitrate.clone_from(&old.bitrate);
        self.frames_per_second = old.frames_per_second;
    }
}

/// Whose turn it is to have its counts written.
#[derive(Debug)]
pub struct Turns(Mutex<Given>);

#[derive(Debug)]
struct Given {
    pace: Pace,
    turns: HashMap<Of, Instant>,
}

impl Default for Turns {
    fn default() -> Self {
        Self(Mutex::new(Given {
            pace: Pace::new(EACH, EACH.saturating_mul(BURST)),
            turns: HashMap::new(),
        }))
    }
}

impl Turns {
    /// How long until it is the object's turn; `None` when it is. Who asks again before keeps its turn. `busy`: others are more urgent.
    pub(super) fn wait(&self, of: &Of, busy: bool, now: Instant) -> Option<Duration> {
        let mut given = self.0.lock();
        if let Some(turn) = given.turns.get(of).copied() {
            let wait = turn.saturating_duration_since(now);
            if !wait.is_zero() {
                return Some(wait);
            }
            given.turns.remove(of);
            give_back(&mut given.turns);
            if now.saturating_duration_since(turn) <= KEPT {
                return None;
            }
        }
        let wait = given.pace.charge(if busy { BUSY } else { 1 }, now);
        let turn = now.checked_add(wait).filter(|_| !wait.is_zero())?;
        given.forget(now);
        given.turns.insert(of.clone(), turn);
        Some(wait)
    }
}

impl Given {
    /// Those of objects that had nothing to say when it was their turn.
    fn forget(&mut self, now: Instant) {
        if self.turns.len() >= REMEMBERED && self.turns.len().is_power_of_two() {
            self.turns
                .retain(|_, turn| now.saturating_duration_since(*turn) <= KEPT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::ObjectKey;

    fn of(n: u32) -> Of {
        ("StreamKey", ObjectKey::new("n", n.to_string()))
    }

    fn after(now: Instant, time: Duration) -> Instant {
        now.checked_add(time).unwrap()
    }

    #[test]
    fn counts_of_many_objects_are_written_one_after_the_other_and_those_of_few_at_once() {
        let (turns, now) = (Turns::default(), Instant::now());
        let waits: Vec<Option<Duration>> = (0..150).map(|n| turns.wait(&of(n), false, now)).collect();
        assert!(waits[..100].iter().all(Option::is_none));
        assert_eq!(waits[100], Some(EACH));
        assert_eq!(waits[149], Some(EACH * 50));
    }

    #[test]
    fn an_object_that_waits_keeps_its_turn_and_takes_it_once() {
        let (turns, now) = (Turns::default(), Instant::now());
        assert!((0..100).all(|n| turns.wait(&of(n), false, now).is_none()));
        assert_eq!(turns.wait(&of(100), false, now), Some(EACH));
        assert_eq!(turns.wait(&of(101), false, now), Some(EACH * 2));
        let half = after(now, EACH / 2);
        assert_eq!(turns.wait(&of(100), false, half), Some(EACH / 2));
        let then = after(now, EACH);
        assert_eq!(turns.wait(&of(100), false, then), None);
        assert_eq!(
            turns.wait(&of(100), false, then),
            Some(EACH * 2),
            "behind the other one"
        );
    }

    #[test]
    fn counts_are_slower_while_streams_wait() {
        let (turns, now) = (Turns::default(), Instant::now());
        assert!((0..100).all(|n| turns.wait(&of(n), false, now).is_none()));
        assert_eq!(turns.wait(&of(100), true, now), Some(EACH * BUSY));
        assert_eq!(turns.wait(&of(101), false, now), Some(EACH * (BUSY + 1)));
    }

    #[test]
    fn turns_that_nobody_takes_are_forgotten() {
        let (turns, now) = (Turns::default(), Instant::now());
        for n in 0..20_000 {
            turns.wait(&of(n), false, after(now, EACH * n / 2));
        }
        let given = turns.0.lock().turns.len();
        assert!(given < 16_384, "{given}");
    }
}
