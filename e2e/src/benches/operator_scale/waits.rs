//! How long things took: what is awaited by name from a moment on, and when it came.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Things that are awaited, and how long those took that came.
#[derive(Debug, Default)]
pub struct Waits {
    open: Mutex<HashMap<String, Instant>>,
    took: Mutex<Vec<Duration>>,
}

/// Of many times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// How many.
    pub count: usize,
    /// Half of them were faster.
    pub p50: Duration,
    /// All but one in a hundred were faster.
    pub p99: Duration,
    /// The slowest.
    pub max: Duration,
    /// Did not come at all.
    pub missing: usize,
}

impl Waits {
    /// From now on it is awaited.
    pub fn expect(&self, what: impl Into<String>) {
        self.open.lock().insert(what.into(), Instant::now());
    }

    /// It came.
    pub fn came(&self, what: &str) {
        let since = self.open.lock().remove(what);
        if let Some(since) = since {
            self.took.lock().push(since.elapsed());
        }
    }

    /// How many have not come.
    pub fn open(&self) -> usize {
        self.open.lock().len()
    }

    /// What was found so far; starts anew.
    pub fn take(&self) -> Times {
        let missing = std::mem::take(&mut *self.open.lock()).len();
        let mut took = std::mem::take(&mut *self.took.lock());
        took.sort();
        Times {
            count: took.len(),
            p50: quantile(&took, 50),
            p99: quantile(&took, 99),
            max: took.last().copied().unwrap_or_default(),
            missing,
        }
    }
}

/// The value that so many of a hundred do not exceed.
fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = sorted.len().saturating_mul(percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let sorted: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(quantile(&sorted, 50), Duration::from_millis(100));
        assert_eq!(quantile(&sorted, 99), Duration::from_millis(198));
        assert_eq!(quantile(&[], 99), Duration::ZERO);
    }

    #[test]
    fn what_did_not_come_is_counted_and_what_nobody_awaits_is_not() {
        let waits = Waits::default();
        waits.expect("a");
        waits.expect("b");
        waits.came("a");
        waits.came("c");
        let times = waits.take();
        assert_eq!((times.count, times.missing, waits.open()), (1, 1, 0));
    }
}
