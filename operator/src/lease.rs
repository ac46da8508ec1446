//! One process leads, by a Lease; the others keep their caches warm and write nothing.
//!
//! A claim is good for [`RENEW_DEADLINE`] after the start of the last renewal that was answered. Others take over only after they
//! have seen no change for [`LEASE_DURATION`], each by its own monotonic clock. The difference is the margin in which nobody writes.

mod elector;

pub use elector::Elector;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How long the others wait after the last change they saw. With [`RETRY_PERIOD`] it is how long nobody leads when a leader was killed; media goes on meanwhile.
pub const LEASE_DURATION: Duration = Duration::from_secs(8);
/// How long a claim is good after the start of the last renewal. An API server that takes [`ATTEMPT_TIMEOUT`] for each answer is soon enough.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(6);
/// Between two attempts to lead or to go on leading.
pub const RETRY_PERIOD: Duration = Duration::from_secs(1);
/// One attempt.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);

/// Whether this process may write, asked at each write. Cheap to clone and to ask.
#[derive(Clone, Debug)]
pub struct Claim {
    start: Instant,
    until: Arc<AtomicU64>,
}

impl Claim {
    /// Not held yet.
    pub fn none() -> Self {
        Self {
            start: Instant::now(),
            until: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Held for ever: for a process that was told that it is alone, and for writing the Lease itself.
    pub fn always() -> Self {
        let claim = Self::none();
        claim.until.store(u64::MAX, Ordering::Release);
        claim
    }

    /// Whether it is held now.
    pub fn holds(&self) -> bool {
        self.milliseconds(Instant::now()) < self.until.load(Ordering::Acquire)
    }

    fn hold_for(&self, from: Instant, time: Duration) {
        let end = from.checked_add(time).unwrap_or(from);
        self.until.store(self.milliseconds(end), Ordering::Release);
    }

    fn give_up(&self) {
        self.until.store(0, Ordering::Release);
    }

    fn milliseconds(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX - 1)
    }
}

/// What was read of the Lease, and when this version was seen first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    record: Option<Record>,
    since: Instant,
}

/// What matters in a Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Record {
    holder: String,
    version: String,
    duration: Duration,
}

/// What to do about the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Create,
    Renew,
    Take,
    /// Give up what an earlier process of the same name held.
    Offer,
    Wait,
}

impl Seen {
    /// The time moves only when the Lease was written since.
    fn update(self, record: Option<Record>, now: Instant) -> Self {
        let since = if self.record == record { self.since } else { now };
        Self { record, since }
    }

    fn step(&self, me: &str, now: Instant) -> Step {
        match &self.record {
            None => Step::Create,
            Some(r) if r.holder == me => Step::Renew,
            Some(r) if r.holder.is_empty() => Step::Take,
            Some(r) if now.saturating_duration_since(self.since) > r.duration => Step::Take,
            Some(_) => Step::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(holder: &str, version: &str) -> Record {
        Record {
            holder: holder.into(),
            version: version.into(),
            duration: LEASE_DURATION,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_to_do_follows_from_who_holds_it_and_for_how_long() {
        let now = Instant::now();
        let later = |seconds| now.checked_add(Duration::from_secs(seconds)).unwrap();
        let seen = |record| Seen { record, since: now };
        let seen_some = |record| seen(Some(record));
        let cases = [
            (seen(None), later(0), Step::Create),
            (seen_some(record("me", "1")), later(60), Step::Renew),
            (seen_some(record("", "1")), later(0), Step::Take),
            (seen_some(record("you", "1")), later(8), Step::Wait),
            (seen_some(record("you", "1")), later(9), Step::Take),
        ];
        for (seen, at, step) in cases {
            assert_eq!(seen.step("me", at), step, "{seen:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_by_the_holder_starts_the_wait_anew() {
        let now = Instant::now();
        let later = |seconds| now.checked_add(Duration::from_secs(seconds)).unwrap();
        let seen = Seen {
            record: Some(record("you", "1")),
            since: now,
        };
        let same = seen.clone().update(Some(record("you", "1")), later(7));
        assert_eq!(same.step("me", later(9)), Step::Take);
        let renewed = seen.update(Some(record("you", "2")), later(7));
        assert_eq!(renewed.step("me", later(9)), Step::Wait);
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_ends_by_itself() {
        let claim = Claim::none();
        assert!(!claim.holds());
        claim.hold_for(Instant::now(), RENEW_DEADLINE);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(claim.holds());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!claim.holds());
        assert!(Claim::always().holds());
    }
}
