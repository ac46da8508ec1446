//! When a publisher is read: as soon as something comes or, where nobody is the worse for it, now and then all that came meanwhile.
//!
//! Most of what a publisher costs is to be woken and to read a message of a kilobyte or two, 68 times a second. Its viewers get what goes out in a
//! merge window together: what waits that long in the connection, and goes out at once when it is read, comes no later and costs a fraction.

use std::time::Duration;
use tokio::time::Instant;

/// So much may be waiting: more in its connection could make the peer wait, who has sent it.
const WAITING_MAX: u32 = 32 << 10;

/// See the module.
pub(super) struct Hearing {
    /// Since when there are beats: see [`Hearing::exhausted`].
    base: Instant,
    /// All that came before was read.
    from: Instant,
    /// Bytes that were read since then.
    taken: u64,
    /// Until when more may wait.
    rest: Option<Instant>,
    /// What is read now may have waited.
    waited: bool,
}

impl Hearing {
    pub(super) fn new(base: Instant, now: Instant) -> Self {
        Self {
            base,
            from: now,
            taken: 0,
            rest: None,
            waited: false,
        }
    }

    /// Until when nothing is to be read.
    pub(super) fn rests(&self) -> Option<Instant> {
        self.rest
    }

    pub(super) fn wake(&mut self) {
        self.rest = None;
    }

    /// So many bytes were read. Since when they may have been there.
    pub(super) fn heard(&mut self, bytes: u64, now: Instant) -> Instant {
        self.taken = self.taken.saturating_add(bytes);
        if self.waited { self.from } else { now }
    }

    /// All was read that came up to `pause` ago; what comes may wait as long as `hold`, that included. All publishers are read in beats of a pause, so
    /// that the thread wakes for many of them at once.
    pub(super) fn exhausted(&mut self, hold: Duration, pause: Duration, now: Instant) {
        let over = now.duration_since(self.from);
        let rest = rest(hold, self.taken, over).saturating_sub(pause);
        self.waited = rest > pause;
        let until = now.checked_add(rest).filter(|_| self.waited);
        self.rest = until.map(|until| beat(until, self.base, pause));
        // What is read a hold behind this is due, also when that is up to a pause earlier.
        self.from = now.checked_sub(pause.saturating_mul(2)).unwrap_or(now);
        self.taken = 0;
    }
}

/// The last beat at this time.
fn beat(at: Instant, base: Instant, pause: Duration) -> Instant {
    let since = at.duration_since(base).as_nanos();
    let past = since.checked_rem(pause.as_nanos()).unwrap_or(0);
    let past = Duration::from_nanos(u64::try_from(past).unwrap_or(0));
    at.checked_sub(past).unwrap_or(at)
}

/// The hold, or as long as [`WAITING_MAX`] takes to come at the rate of `bytes` in the time `over`.
fn rest(hold: Duration, bytes: u64, over: Duration) -> Duration {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    let full = over.saturating_mul(WAITING_MAX).checked_div(bytes);
    full.map_or(hold, |full| full.min(hold))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(5);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn what_is_read_may_have_come_when_all_before_it_was_read_and_is_due_when_it_is_read_again() {
        let begun = Instant::now();
        let at = |after| begun.checked_add(millis(after)).unwrap();
        for (read, again, came) in [(20, 115, 10), (22, 115, 12), (24, 115, 14), (25, 120, 15)] {
            let mut hearing = Hearing::new(begun, begun);
            assert_eq!(hearing.heard(1_000, at(read)), at(read), "it was heard as it came");
            hearing.exhausted(millis(100), PAUSE, at(read));
            assert_eq!(hearing.rests(), Some(at(again)));
            hearing.wake();
            assert_eq!((hearing.rests(), hearing.heard(9_000, at(again))), (None, at(came)));
            assert!(at(came) + millis(100) <= at(again));
            assert_eq!(hearing.heard(9_000, at(again + 1)), at(came), "and so the rest of it");
            hearing.exhausted(Duration::ZERO, PAUSE, at(again + 1));
            assert_eq!(
                (hearing.rests(), hearing.heard(1, at(again + 2))),
                (None, at(again + 2))
            );
        }
    }

    #[test]
    fn a_hold_that_is_hardly_longer_than_the_pause_between_rounds_is_none() {
        let now = Instant::now();
        for (hold, rests) in [(0, false), (5, false), (10, false), (11, true)] {
            let mut hearing = Hearing::new(now, now);
            hearing.exhausted(millis(hold), PAUSE, now);
            assert_eq!(hearing.rests().is_some(), rests, "{hold}");
        }
    }

    #[test]
    fn who_sends_much_is_read_before_too_much_of_it_waits() {
        let hold = millis(100);
        let cases = [
            (0, 0, 100),
            (0, 50, 100),
            (12_500, 100, 100),
            (65_536, 100, 50),
            (4_194_304, 100, 0),
        ];
        for (bytes, over, expected) in cases {
            assert_eq!(
                rest(hold, bytes, millis(over)).as_millis(),
                expected,
                "{bytes} in {over} ms"
            );
        }
        assert!(rest(hold, u64::MAX, millis(100)) < millis(1));
        assert_eq!(
            rest(hold, 1, Duration::ZERO),
            Duration::ZERO,
            "more than was counted came at once"
        );
    }
}
