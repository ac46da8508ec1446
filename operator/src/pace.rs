//! How fast something may go on average, with a burst: so that one pod that floods is slowed down, and nobody else.

use std::time::Duration;
use tokio::time::Instant;

/// A rate with a burst.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    each: Duration,
    burst: Duration,
    /// When all that was taken is paid for.
    until: Option<Instant>,
}

impl Pace {
    /// One unit in `each` time; after a rest as many at once as `burst` pays for.
    pub const fn new(each: Duration, burst: Duration) -> Self {
        Self {
            each,
            burst,
            until: None,
        }
    }

    /// Takes `units` in any case; how long to rest before the next.
    pub fn charge(&mut self, units: u32, now: Instant) -> Duration {
        let from = self.until.unwrap_or(now).max(now);
        let until = from.checked_add(self.each.saturating_mul(units)).unwrap_or(from);
        self.until = Some(until);
        until.saturating_duration_since(now).saturating_sub(self.burst)
    }

    /// Takes one unit, or says how long to wait for it.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let mut after = *self;
        match after.charge(1, now) {
            Duration::ZERO => {
                *self = after;
                Ok(())
            }
            wait => Err(wait),
        }
    }

    /// Whether it stands as if nothing had been taken.
    pub fn is_rested(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let (mut pace, now) = (
            Pace::new(Duration::from_millis(100), Duration::from_secs(1)),
            Instant::now(),
        );
        let passed = (0..50).filter(|_| pace.take(now).is_ok()).count();
        assert_eq!(passed, 10);
        assert_eq!(pace.take(now), Err(Duration::from_millis(100)));
        let later = now.checked_add(Duration::from_millis(250)).unwrap();
        let passed = (0..50).filter(|_| pace.take(later).is_ok()).count();
        assert_eq!(passed, 2);
        let rested = now.checked_add(Duration::from_mins(1)).unwrap();
        assert!(pace.is_rested(rested) && !pace.is_rested(later));
        assert_eq!((0..50).filter(|_| pace.take(rested).is_ok()).count(), 10);
    }

    #[test]
    fn what_is_charged_is_rested_for() {
        let (mut pace, now) = (
            Pace::new(Duration::from_millis(1), Duration::from_millis(100)),
            Instant::now(),
        );
        assert_eq!(pace.charge(100, now), Duration::ZERO);
        assert_eq!(pace.charge(400, now), Duration::from_millis(400));
    }
}
