//! How long to wait before something is tried again that came to nothing.

use std::time::Duration;

/// Between two times of asking peers for a stream that none of them had.
pub(crate) const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(1);

/// The next wait: doubles from the first to the longest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    next: Duration,
    longest: Duration,
}

impl Default for Pause {
    fn default() -> Self {
        Self::between(FIRST, LAST)
    }
}

impl Pause {
    pub(crate) fn between(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    pub(crate) fn next(&mut self) -> Duration {
        let now = self.next;
        self.next = now.saturating_mul(2).min(self.longest);
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_second() {
        let mut pause = Pause::default();
        let waits: Vec<_> = (0..6).map(|_| pause.next().as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
    }
}
