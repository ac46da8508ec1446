//! Whether a question that got no answer is asked again, by what the dialect's own servers do.

use std::time::Duration;

use super::Verdict;
use crate::transport::TransportError;

/// A dialect's way. A repeat is within the time of the decision, and has the same `webhook-id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// No answer is no answer.
    Never,
    /// Once, after so long, whatever it was that was no answer.
    Once(Duration),
    /// Once and at once, when not one byte of an answer came and the call cannot have been slow.
    Unheard,
}

impl Retry {
    /// How long to wait before attempt `number` + 1, or `None` when there is none. A kept connection that breaks says nothing of the back end, so that
    /// every dialect gets a fresh one for it.
    pub fn pause(self, number: u32, verdict: &Verdict, error: Option<&TransportError>) -> Option<Duration> {
        let first = number == 1 && matches!(verdict, Verdict::NoAnswer(_));
        let unheard = matches!(error, Some(TransportError::Connect(_) | TransportError::Closed));
        match (self, error) {
            _ if !first => None,
            (_, Some(TransportError::Stale)) => Some(Duration::ZERO),
            (Self::Once(pause), error) if !matches!(error, Some(TransportError::Blocked(_))) => Some(pause),
            (Self::Unheard, _) if unheard => Some(Duration::ZERO),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Cause, Failure};

    #[test]
    fn each_dialect_asks_again_as_its_own_servers_do() {
        const NOW: Option<Duration> = Some(Duration::ZERO);
        const LATER: Option<Duration> = Some(Duration::from_secs(3));
        let no_answer = || Verdict::NoAnswer(Failure::new(Cause::Timeout, "x"));
        let refused = || Some(TransportError::Connect("refused".into()));
        let broken = || Some(TransportError::Broken("x".into()));
        let blocked = || Some(TransportError::Blocked("x".into()));
        let (srs, zlm, native) = (Retry::Never, Retry::Once(Duration::from_secs(3)), Retry::Unheard);
        let table = [
            (no_answer(), None, [None, LATER, None]),
            (no_answer(), refused(), [None, LATER, NOW]),
            (no_answer(), Some(TransportError::Closed), [None, LATER, NOW]),
            (no_answer(), Some(TransportError::Stale), [NOW, NOW, NOW]),
            (no_answer(), broken(), [None, LATER, None]),
            (no_answer(), blocked(), [None, None, None]),
            (Verdict::Allow, None, [None, None, None]),
            (Verdict::Deny { code: 1, message: None }, None, [None, None, None]),
        ];
        for (verdict, error, expected) in table {
            let pauses = [srs, zlm, native].map(|retry| retry.pause(1, &verdict, error.as_ref()));
            assert_eq!(pauses, expected, "{verdict:?} {error:?}");
            let again = [srs, zlm, native].map(|retry| retry.pause(2, &verdict, error.as_ref()));
            assert_eq!(again, [None; 3]);
        }
    }
}
