//! [`Allowance`]: how much media a publisher may send.
//!
//! The rule: peaks are smoothed over [`BURST`]. What goes beyond is slowed down: the publisher is not read from for a while, so that its
//! connection fills up, which encoders know from full networks and answer by sending less. One that has to be slowed down again and again
//! for [`PATIENCE`] is cut, because its viewers would fall behind more and more.

use std::time::Duration;
use tokio::time::Instant;

/// How much a publisher may be ahead of its rate.
const BURST: Duration = Duration::from_secs(5);
/// How long a publisher may have to be slowed down in a row.
const PATIENCE: Duration = Duration::from_secs(10);
/// After so long without it, it is not in a row any more.
const APART: Duration = Duration::from_secs(2);

/// What is left of a publisher's rate.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    /// When all that came would have come at its rate.
    even: Option<Instant>,
    /// Since when it is slowed down, and until when it was the last time.
    held: Option<(Instant, Instant)>,
}

/// What a publisher must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Go on.
    Go,
    /// Nothing before that time.
    Wait(Instant),
    /// It sends too fast for too long.
    TooFast,
}

impl Allowance {
    /// So many bytes have come, where `rate` bytes a second may.
    pub(crate) fn take(&mut self, bytes: u64, rate: u64, now: Instant) -> Pace {
        let nanos = u128::from(bytes).saturating_mul(1_000_000_000);
        let nanos = nanos.checked_div(rate.into()).unwrap_or(0);
        let worth = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let even = self.even.map_or(now, |even| even.max(now)).checked_add(worth);
        self.even = even;
        let ahead = even.map_or(Duration::MAX, |even| even.saturating_duration_since(now));
        let wait = ahead.saturating_sub(BURST);
        if wait.is_zero() {
            return Pace::Go;
        }
        let Some(until) = now.checked_add(wait).filter(|_| wait < PATIENCE) else {
            return Pace::TooFast;
        };
        let in_a_row = self
            .held
            .filter(|(_, last)| now.saturating_duration_since(*last) < APART);
        let since = in_a_row.map_or(now, |(since, _)| since);
        if now.saturating_duration_since(since) >= PATIENCE {
            return Pace::TooFast;
        }
        self.held = Some((since, until));
        Pace::Wait(until)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may fail by panic")]
mod tests {
    use super::*;

    /// Sends `factor` percent of the rate in pieces of 40 ms for as many seconds, as far as it is let. Says for how long it was held and
    /// when it was cut.
    fn send(allowance: &mut Allowance, now: &mut Instant, factor: u64, seconds: u64) -> (Duration, Option<u64>) {
        const RATE: u64 = 1_000_000;
        const PIECE: Duration = Duration::from_millis(40);
        let (start, mut held) = (*now, Duration::ZERO);
        let mut due = start;
        for _ in 0..seconds * 25 {
            due += PIECE;
            *now = due.max(*now);
            match allowance.take(RATE * factor / 100 / 25, RATE, *now) {
                Pace::Go => {}
                Pace::Wait(until) => {
                    held += until - *now;
                    *now = until;
                }
                Pace::TooFast => return (held, Some((*now - start).as_secs())),
            }
        }
        (held, None)
    }

    #[test]
    fn who_keeps_to_the_rate_is_never_held() {
        let (mut allowance, mut now) = (Allowance::default(), Instant::now());
        assert_eq!(send(&mut allowance, &mut now, 100, 3600), (Duration::ZERO, None));
    }

    #[test]
    fn a_peak_of_some_seconds_passes_at_full_speed() {
        let (mut allowance, mut now) = (Allowance::default(), Instant::now());
        assert_eq!(send(&mut allowance, &mut now, 200, 4), (Duration::ZERO, None));
        assert_eq!(send(&mut allowance, &mut now, 50, 10), (Duration::ZERO, None));
        assert_eq!(send(&mut allowance, &mut now, 200, 4), (Duration::ZERO, None));
    }

    #[test]
    fn who_sends_too_much_is_slowed_down_and_goes_on_when_it_sends_less() {
        let (mut allowance, mut now) = (Allowance::default(), Instant::now());
        let (held, cut) = send(&mut allowance, &mut now, 150, 14);
        assert!(held > Duration::from_secs(1) && cut.is_none(), "{held:?} {cut:?}");
        assert_eq!(send(&mut allowance, &mut now, 80, 600).1, None);
        assert_eq!(
            send(&mut allowance, &mut now, 150, 14).1,
            None,
            "the next time is not the same time"
        );
    }

    #[test]
    fn who_goes_on_sending_too_much_is_cut_after_the_patience() {
        let (mut allowance, mut now) = (Allowance::default(), Instant::now());
        let (_, cut) = send(&mut allowance, &mut now, 200, 600);
        // Five seconds of burst are used up after five, then ten of patience.
        assert!((14..=16).contains(&cut.unwrap()), "{cut:?}");
    }

    #[test]
    fn one_frame_that_would_take_longer_than_the_patience_is_too_much_at_once() {
        let mut allowance = Allowance::default();
        assert_eq!(allowance.take(16_000_000, 1_000_000, Instant::now()), Pace::TooFast);
        assert_eq!(Allowance::default().take(u64::MAX, 1, Instant::now()), Pace::TooFast);
    }
}
