//! Who gets a name that several want at the same time, in several pods. Decisions only.
//!
//! A newcomer has its name in its own pod first, then asks every other. It is `Asking` until all have answered, `Secured` when all said
//! [`Answer::Free`], and `Beaten` when one with a lower session id came by meanwhile. A pod that is asked says [`Answer::Taken`] for a newcomer of its own that
//! is secured or has the lower id; another it beats. Of two newcomers each asks the other's pod after it has its own name, so at least one of them
//! finds the other: both cannot be secured. The lowest of those who ask is refused only by one who is in, or secured.

//!
//! One who takes over has those cut that it displaced: who was in when it asked. Its evictions may come late, when an even newer one is in that it
//! must not cut; so a pod cuts only whom the evicting session asked about. A claim that did not get through makes no difference when the publisher is
//! older than any difference of clocks.

use uuid::Uuid;

/// Clocks of pods differ less.
const SKEW_MILLIS: u128 = 1_000;

/// Whether a session began before another, by whatever clocks.
pub(crate) fn is_older(one: Uuid, other: Uuid) -> bool {
    let millis = |id: Uuid| id.as_u128() >> 80;
    millis(one).saturating_add(SKEW_MILLIS) < millis(other)
}

/// What a pod says to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing there stands against it.
    Free,
    /// The name has a publisher there, or one there asked before.
    Taken,
}

/// One who wants a name and is not in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Newcomer {
    pub(crate) session: Uuid,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Asking,
    Secured,
    Beaten,
}

impl Newcomer {
    pub(crate) fn new(session: Uuid) -> Self {
        Self {
            session,
            state: State::Asking,
        }
    }

    /// Another session wants the name, in another pod.
    pub(crate) fn contend(&mut self, other: Uuid) -> Answer {
        let stands = match self.state {
            State::Secured => other != self.session,
            State::Asking => self.session < other,
            State::Beaten => false,
        };
        if stands {
            return Answer::Taken;
        }
        if self.state == State::Asking && other != self.session {
            self.state = State::Beaten;
        }
        Answer::Free
    }

    /// All others have answered that the name is free. False when it was beaten meanwhile.
    pub(crate) fn secure(&mut self) -> bool {
        if self.state == State::Asking {
            self.state = State::Secured;
        }
        self.state == State::Secured
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_of_two_who_ask_goes_before_the_other() {
        let [low, high] = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let mut newcomer = Newcomer::new(low);
        assert_eq!(newcomer.contend(high), Answer::Taken);
        assert!(newcomer.secure());
        let mut newcomer = Newcomer::new(high);
        assert_eq!(newcomer.contend(low), Answer::Free);
        assert!(!newcomer.secure(), "beaten");
        assert_eq!(newcomer.contend(Uuid::from_u128(3)), Answer::Free);
    }

    #[test]
    fn a_session_is_older_only_beyond_the_difference_of_clocks() {
        let at = |millis: u128| Uuid::from_u128((millis << 80) | 0x7000_0000);
        assert!(is_older(at(5_000), at(6_001)));
        assert!(!is_older(at(5_000), at(6_000)) && !is_older(at(6_001), at(5_000)));
    }

    #[test]
    fn who_is_secured_stands_against_everyone_but_itself() {
        let mut newcomer = Newcomer::new(Uuid::from_u128(2));
        assert!(newcomer.secure());
        assert_eq!(newcomer.contend(Uuid::from_u128(1)), Answer::Taken);
        assert_eq!(newcomer.contend(Uuid::from_u128(2)), Answer::Free);
        assert!(newcomer.secure());
    }
}
