//! [`Sequence`]: the numbers by which receivers know what came before what.

use jiff::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};

/// Makes [`super::Event::sequence`]: microseconds of the wall clock, pushed on so that it never repeats or goes back within a process.
#[derive(Debug, Default)]
pub struct Sequence(AtomicU64);

impl Sequence {
    /// Everything from now on comes after `number`, also when the clock was set back since.
    pub fn follow(&self, number: u64) {
        self.0.fetch_max(number, Ordering::Relaxed);
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        let clock = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or(0);
        let after = |last: u64| clock.max(last.saturating_add(1));
        let last = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(after(last)));
        after(last.unwrap_or(0))
    }
}
