//! How an endpoint does, as its report says it: from its calls, and where there is none to tell from its probes.

use headgate_control::HookFailure;
use jiff::Timestamp;

use crate::failure::{Cause, Failure};

/// Stands where an event's name would in the failure of a probe.
pub(crate) const PROBE: &str = "probe";

/// The outcome of the latest calls of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Whether the latest call got a valid answer, or a later probe a connection; `None` before the first of either.
    pub(crate) reachable: Option<bool>,
    /// Whether the latest call got a valid answer.
    pub(crate) answered: bool,
    /// The latest failure or refusal, until a call succeeds; of a probe, until one succeeds.
    pub(crate) last_failure: Option<HookFailure>,
}

/// Whether a probe would tell anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing is known.
    Now,
    /// There was no connection or no answer, and that may have passed.
    Again,
    /// All is well, or only a call can tell.
    Never,
}

impl Health {
    /// Takes note of a call. True when what it says changed, times and counts apart.
    pub(crate) fn record(&mut self, event: &str, valid: bool, failure: Option<&Failure>) -> bool {
        self.change(|health| {
            health.reachable = Some(valid);
            health.answered = valid;
            health.last_failure = failure.map(|failure| report(event, failure));
        })
    }

    /// Takes note of a probe; true as above. Where a call failed, that failure says more, and stays until a call succeeds.
    pub(crate) fn probed(&mut self, failure: Option<&Failure>) -> bool {
        self.change(|health| {
            health.reachable = Some(failure.is_none());
            if health.last_failure.as_ref().is_none_or(|last| last.event == PROBE) {
                health.last_failure = failure.map(|failure| report(PROBE, failure));
            }
        })
    }

    pub(crate) fn need(&self) -> Need {
        let mendable = |reason: &str| {
            [Cause::Unreachable, Cause::Timeout]
                .iter()
                .any(|c| c.reason() == reason)
        };
        match (self.reachable, &self.last_failure) {
            (None, _) => Need::Now,
            (Some(false), Some(failure)) if mendable(&failure.reason) => Need::Again,
            _ => Need::Never,
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Self)) -> bool {
        let before = self.essence();
        change(self);
        before != self.essence()
    }

    fn essence(&self) -> (Option<bool>, bool, Option<(String, String)>) {
        let failure = self.last_failure.as_ref();
        let failure = failure.map(|failure| (failure.reason.clone(), failure.event.clone()));
        (self.reachable, self.answered, failure)
    }
}

fn report(event: &str, failure: &Failure) -> HookFailure {
    HookFailure {
        event: event.to_owned(),
        reason: failure.cause.reason().to_owned(),
        message: failure.message.clone(),
        time: Timestamp::now(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(health: &Health) -> Option<&str> {
        health.last_failure.as_ref().map(|failure| failure.event.as_str())
    }

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

    #[test]
    fn a_probe_clears_what_a_probe_found_and_not_what_a_call_met() {
        let mut health = Health::default();
        let down = Failure::new(Cause::Unreachable, "connection refused");
        assert!(health.probed(Some(&down)));
        assert!(!health.probed(Some(&down)));
        assert_eq!((health.reachable, last(&health)), (Some(false), Some(PROBE)));
        assert!(health.probed(None));
        assert_eq!((health.reachable, last(&health)), (Some(true), None));
        health.record("on_publish", false, Some(&down));
        assert!(!health.probed(Some(&down)), "it says what the call said");
        assert!(health.probed(None));
        assert_eq!((health.reachable, last(&health)), (Some(true), Some("on_publish")));
        assert!(health.record("on_publish", true, None));
        assert!(health.answered);
    }

    #[test]
    fn a_probe_is_for_what_a_connection_can_mend() {
        let mut health = Health::default();
        assert_eq!(health.need(), Need::Now);
        let table = [
            (Cause::Denied, true, Need::Never),
            (Cause::Timeout, false, Need::Again),
            (Cause::Unreachable, false, Need::Again),
            (Cause::BadStatus, false, Need::Never),
            (Cause::BadAnswer, false, Need::Never),
        ];
        for (cause, valid, need) in table {
            health.record("on_publish", valid, Some(&Failure::new(cause, "x")));
            assert_eq!(health.need(), need, "{cause:?}");
        }
        health.record("on_publish", true, None);
        assert_eq!(health.need(), Need::Never);
    }
}
