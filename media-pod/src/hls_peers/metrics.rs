//! What became of the questions. The names are promises.

use prometheus::{IntCounterVec, Opts, Registry};
use strum::{IntoEnumIterator as _, IntoStaticStr};

/// How asking another pod ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumIter, IntoStaticStr)]
pub enum Outcome {
    /// With its answer, whatever that says.
    Answered,
    /// It takes no viewers any more.
    PeerLeaving,
    /// No connection, or it broke.
    PeerUnreachable,
    /// It hangs: it did not even say that it is there.
    PeerHangs,
    /// It is there, and had no answer in time.
    PeerTimedOut,
    /// Its answer has more bytes than an answer may have.
    TooLarge,
    /// As many questions, or bytes of answers, are under way as may be.
    LimitReached,
}

/// Counters of one pod.
#[derive(Clone, Debug)]
pub struct Metrics(IntCounterVec);

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let said = "What other pods were asked in the place of viewers of HLS, by outcome.";
        let requests = IntCounterVec::new(Opts::new("headgate_hls_peer_requests_total", said), &["outcome"])?;
        registry.register(Box::new(requests.clone()))?;
        for outcome in Outcome::iter() {
            requests.with_label_values(&[<&str>::from(outcome)]).inc_by(0);
        }
        Ok(Self(requests))
    }

    pub(super) fn count(&self, outcome: Outcome) {
        self.0.with_label_values(&[<&str>::from(outcome)]).inc();
    }
}
