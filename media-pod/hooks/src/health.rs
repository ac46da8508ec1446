//! How an endpoint does, as its report says it.

use headgate_control::HookFailure;
use jiff::Timestamp;

use crate::failure::Failure;

/// The outcome of the latest calls of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Whether the latest call got a valid answer; `None` before the first.
    pub(crate) reachable: Option<bool>,
    /// The latest failure or refusal, until a call succeeds.
    pub(crate) last_failure: Option<HookFailure>,
}

impl Health {
    /// Takes note of a call. True when what it says changed, times and counts apart.
    pub(crate) fn record(&mut self, event: &str, valid: bool, failure: Option<&Failure>) -> bool {
        let before = (self.reachable, self.essence());
        let after = (
            Some(valid),
            failure.map(|failure| (failure.cause.reason().to_owned(), event.to_owned())),
        );
        self.reachable = Some(valid);
        self.last_failure = failure.map(|failure| HookFailure {
            event: event.to_owned(),
            reason: failure.cause.reason().to_owned(),
            message: failure.message.clone(),
            time: Timestamp::now(),
        });
        before != after
    }

    fn essence(&self) -> Option<(String, String)> {
        self.last_failure
            .as_ref()
            .map(|failure| (failure.reason.clone(), failure.event.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Cause;

    #[test]
    fn a_change_is_another_outcome_and_not_another_time() {
        let mut health = Health::default();
        let down = Failure::new(Cause::Unreachable, "connection refused");
        assert!(health.record("on_publish", false, Some(&down)));
        assert!(!health.record("on_publish", false, Some(&down)));
        assert!(health.record("on_play", false, Some(&down)));
        assert!(health.record("on_publish", true, None));
        assert!(!health.record("on_publish", true, None));
        assert_eq!((health.reachable, health.last_failure), (Some(true), None));
    }
}
