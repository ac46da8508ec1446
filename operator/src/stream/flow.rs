//! How fast the streams of one server may come: each costs the API server three writes until it is gone again, and one pod whose
//! publishers flap must not take that from all others.

use crate::names::ObjectKey;
use crate::pace::Pace;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// One server's streams in a second, on average.
const RATE: u32 = 100;
/// And at once, after a rest: all publishers of a pod that come back together.
const BURST: u32 = 1000;
const EACH: Duration = Duration::from_millis(10);
/// For how long a server that was slowed down is called so.
const SAID: Duration = Duration::from_secs(10);
const REMEMBERED: usize = 256;
/// Those that wait come back spread over the time that they take, and over this at most.
const SPREAD_MAX: Duration = Duration::from_secs(30);

/// Servers whose streams came a moment ago.
#[derive(Debug, Default)]
pub struct Flow(Mutex<HashMap<ObjectKey, Seen>>);

#[derive(Debug)]
struct Seen {
    pace: Pace,
    slowed: Option<Instant>,
    waiting: u32,
}

/// Not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slowed {
    /// When to ask again.
    pub wait: Duration,
    /// The server was not slowed down before.
    pub first: bool,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            pace: Pace::new(EACH, EACH.saturating_mul(BURST)),
            slowed: None,
            waiting: 0,
        }
    }
}

impl Flow {
    /// Whether a stream of the server may be made now.
    pub fn admit(&self, server: &ObjectKey, now: Instant) -> Result<(), Slowed> {
        let mut servers = self.0.lock();
        if servers.len() >= REMEMBERED {
            servers.retain(|_, seen| !seen.pace.is_rested(now));
        }
        servers.entry(server.clone()).or_default().admit(now)
    }

    /// How long a server is still called slowed down; `None` when it is not.
    pub fn slowed(&self, server: &ObjectKey, now: Instant) -> Option<Duration> {
        self.0.lock().get(server)?.slowed(now)
    }

    /// Streams a second that one server may have.
    pub const fn rate() -> u32 {
        RATE
    }
}

impl Seen {
    fn admit(&mut self, now: Instant) -> Result<(), Slowed> {
        let Err(wait) = self.pace.take(now) else {
            self.waiting = self.waiting.saturating_sub(1);
            return Ok(());
        };
        let first = self.slowed(now).is_none();
        self.waiting = if first { 1 } else { self.waiting.saturating_add(1) };
        self.slowed = Some(now);
        let spread = EACH.saturating_mul(self.waiting).min(SPREAD_MAX);
        Err(Slowed {
            wait: wait.saturating_add(spread.mul_f64(rand::random())),
            first,
        })
    }

    fn slowed(&self, now: Instant) -> Option<Duration> {
        let since = now.saturating_duration_since(self.slowed?);
        SAID.checked_sub(since).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_that_floods_is_slowed_down_and_no_other() {
        let (flow, now) = (Flow::default(), Instant::now());
        let (flooding, calm) = (ObjectKey::new("n", "a"), ObjectKey::new("n", "b"));
        let made = (0..5000).filter(|_| flow.admit(&flooding, now).is_ok()).count();
        assert_eq!(made, usize::try_from(BURST).unwrap());
        let again = flow.admit(&flooding, now).unwrap_err();
        assert!(!again.first && again.wait <= SPREAD_MAX.saturating_add(EACH));
        assert!(flow.admit(&calm, now).is_ok());
        let later = now.checked_add(Duration::from_secs(1)).unwrap();
        let made = (0..5000).filter(|_| flow.admit(&flooding, later).is_ok()).count();
        assert_eq!(made, usize::try_from(RATE).unwrap());
        assert_eq!(flow.slowed(&flooding, later), Some(SAID));
        assert_eq!(flow.slowed(&calm, later), None);
        let calm_again = later.checked_add(SAID).unwrap();
        assert_eq!(flow.slowed(&flooding, calm_again), None);
    }

    #[test]
    fn servers_that_rest_are_forgotten() {
        let (flow, now) = (Flow::default(), Instant::now());
        for n in 0..5000_u32 {
            let at = now.checked_add(EACH.saturating_mul(2 * n)).unwrap();
            assert!(flow.admit(&ObjectKey::new("n", n.to_string()), at).is_ok());
        }
        assert!(flow.0.lock().len() <= REMEMBERED);
    }
}
