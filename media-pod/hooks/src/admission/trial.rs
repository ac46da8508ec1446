//! An endpoint and its breaker: what changes it, and who hears of that.

use tokio::time::Instant;

use super::breaker::{Breaker, State};
use crate::endpoint::Endpoint;

impl Endpoint {
    /// Does something with the breaker, and says it where it changes.
    pub(crate) fn breaker<R>(&self, change: impl FnOnce(&mut Breaker) -> R) -> R {
        let mut breaker = self.memory.breaker.lock();
        let before = breaker.state();
        let result = change(&mut breaker);
        let after = breaker.state();
        drop(breaker);
        if before == after {
            return result;
        }
        let level = match after {
            State::Closed => 0,
            State::Trial => 1,
            State::Open(_) => 2,
        };
        let gauge = &self.context.metrics.circuit;
        gauge.with_label_values(&[self.name.as_str()]).set(level);
        match (before, after) {
            (State::Closed, _) => tracing::warn!(
                endpoint = self.name,
                "it does not answer: asked once in 5 s from now on"
            ),
            (_, State::Closed) => tracing::info!(endpoint = self.name, "it answers again"),
            _ => return result,
        }
        self.context.bump();
        result
    }
}

/// The one question that sees whether an endpoint answers again.
pub(crate) struct Trial<'a>(pub(crate) &'a Endpoint);

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        self.0.breaker(|breaker| breaker.give_up(Instant::now()));
    }
}
