//! How long a watch that failed waits before it is tried again.

use crate::queue::backoff;
use kube::runtime::utils::Backoff;
use std::time::Duration;

/// The longest wait. kube's own grows to a minute, and a version that is too old by then costs a second one: after an API server that was
/// away for a minute, edits went unseen for two. What a dozen watches ask in this time is nothing to an API server.
const LONGEST: Duration = Duration::from_secs(5);

/// Failures in a row.
#[derive(Debug, Default)]
pub(super) struct Patience(u32);

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0 = self.0.saturating_add(1);
        Some(backoff(self.0, rand::random()).min(LONGEST))
    }
}

impl Backoff for Patience {
    fn reset(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_five_seconds_and_begin_anew_after_a_success() {
        let mut patience = Patience::default();
        let waits: Vec<Duration> = patience.by_ref().take(1000).collect();
        assert!(waits[0] <= Duration::from_millis(200), "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= LONGEST), "{waits:?}");
        let whole: Duration = waits[..100].iter().sum();
        assert!(whole > Duration::from_mins(5), "100 tries in {whole:?}");
        patience.reset();
        assert!(patience.next().is_some_and(|wait| wait <= Duration::from_millis(200)));
    }
}
