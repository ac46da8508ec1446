//! The breaker of one endpoint: one that does not answer is not asked for a while, so that nobody waits for it. Pure: the time is told.

use std::time::Duration;
use tokio::time::Instant;

/// Calls without an answer, one behind the other, that open it.
const IN_A_ROW: u32 = 5;
/// Calls that must have been for their share to count.
const ENOUGH: u32 = 20;
/// Over so many seconds.
const WINDOW_SECONDS: u64 = 10;
/// From one trial to the next while it is open.
pub(crate) const TRIAL_EVERY: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    state: State,
    in_a_row: u32,
    begun: Option<Instant>,
    window: [Second; 10],
}

/// Whether the endpoint is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// It is.
    #[default]
    Closed,
    /// One question is under way to see whether it answers again.
    Trial,
    /// It is not, since then.
    Open(Instant),
}

/// What a question may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Be asked.
    Go,
    /// Be asked, alone, to see.
    Trial,
    /// Not be asked; the next one may in so long.
    Stop(Duration),
}

/// The calls of one second.
#[derive(Clone, Copy, Debug, Default)]
struct Second {
    number: u64,
    calls: u32,
    unanswered: u32,
}

impl Breaker {
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// What a question would be told now.
    pub(crate) fn peek(&self, now: Instant) -> Pass {
        match self.state {
            State::Closed => Pass::Go,
            State::Trial => Pass::Stop(TRIAL_EVERY),
            State::Open(since) => match TRIAL_EVERY.checked_sub(now.saturating_duration_since(since)) {
                Some(rest) if !rest.is_zero() => Pass::Stop(rest),
                _ => Pass::Trial,
            },
        }
    }

    /// A question wants to be asked. A trial must be recorded, or given up.
    pub(crate) fn pass(&mut self, now: Instant) -> Pass {
        let pass = self.peek(now);
        if pass == Pass::Trial {
            self.state = State::Trial;
        }
        pass
    }

    /// A call has ended.
    pub(crate) fn record(&mut self, answered: bool, now: Instant) {
        match (self.state, answered) {
            (State::Open(_), _) => {}
            (State::Trial, true) => *self = Self::default(),
            (State::Trial, false) => self.state = State::Open(now),
            (State::Closed, _) => self.count(answered, now),
        }
    }

    /// A trial has come to nothing: the next question may be one.
    pub(crate) fn give_up(&mut self, now: Instant) {
        if self.state == State::Trial {
            self.state = State::Open(now.checked_sub(TRIAL_EVERY).unwrap_or(now));
        }
    }

    fn count(&mut self, answered: bool, now: Instant) {
        let begun = *self.begun.get_or_insert(now);
        let number = now.saturating_duration_since(begun).as_secs();
        let at = usize::try_from(number % WINDOW_SECONDS).unwrap_or(0);
        if let Some(second) = self.window.get_mut(at) {
            if second.number != number {
                *second = Second {
                    number,
                    ..Second::default()
                };
            }
            second.calls = second.calls.saturating_add(1);
            second.unanswered = second.unanswered.saturating_add(u32::from(!answered));
        }
        self.in_a_row = if answered { 0 } else { self.in_a_row.saturating_add(1) };
        let (calls, unanswered) = self.sums(number);
        let share = calls >= ENOUGH && unanswered.saturating_mul(2) >= calls;
        if !answered && (self.in_a_row >= IN_A_ROW || share) {
            *self = Self {
                state: State::Open(now),
                ..Self::default()
            };
        }
    }

    fn sums(&self, number: u64) -> (u32, u32) {
        let recent = |second: &&Second| second.number.saturating_add(WINDOW_SECONDS) > number;
        let sum = |(calls, unanswered): (u32, u32), second: &Second| {
            (
                calls.saturating_add(second.calls),
                unanswered.saturating_add(second.unanswered),
            )
        };
        self.window.iter().filter(recent).fold((0, 0), sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, milliseconds: u64) -> Instant {
        start
            .checked_add(Duration::from_millis(milliseconds))
            .expect("not so late")
    }

    #[tokio::test(start_paused = true)]
    async fn five_in_a_row_open_it_and_an_answer_between_them_does_not() {
        let (now, mut breaker) = (Instant::now(), Breaker::default());
        for answered in [false, false, false, false, true, false, false, false, false] {
            breaker.record(answered, now);
            assert_eq!(breaker.pass(now), Pass::Go);
        }
        breaker.record(false, now);
        assert_eq!(breaker.pass(now), Pass::Stop(TRIAL_EVERY));
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_twenty_within_ten_seconds_open_it() {
        let (start, mut breaker) = (Instant::now(), Breaker::default());
        for n in 0..19 {
            breaker.record(n % 2 == 0, after(start, n * 400));
        }
        assert_eq!(breaker.state(), State::Closed, "19 are too few");
        breaker.record(false, after(start, 19 * 400));
        assert!(matches!(breaker.state(), State::Open(_)));

        let mut slow = Breaker::default();
        for n in 0..100 {
            slow.record(n % 2 == 0, after(start, n * 600));
        }
        assert_eq!(slow.state(), State::Closed, "never 20 within 10 s");

        let mut fair = Breaker::default();
        for n in 0..400 {
            fair.record(n % 5 < 3, after(start, n * 10));
        }
        assert_eq!(fair.state(), State::Closed, "two of five are less than half");
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_one_lets_one_question_pass_every_five_seconds_until_it_is_answered() {
        let (start, mut breaker) = (Instant::now(), Breaker::default());
        (0..5).for_each(|_| breaker.record(false, start));
        assert_eq!(breaker.pass(after(start, 4000)), Pass::Stop(Duration::from_secs(1)));
        let trial = after(start, 5000);
        assert_eq!(breaker.pass(trial), Pass::Trial);
        assert_eq!(breaker.pass(trial), Pass::Stop(TRIAL_EVERY), "only one");
        breaker.record(false, trial);
        assert_eq!(breaker.pass(after(start, 9999)), Pass::Stop(Duration::from_millis(1)));
        assert_eq!(breaker.pass(after(start, 10_000)), Pass::Trial);
        breaker.record(true, after(start, 10_001));
        assert_eq!((breaker.state(), breaker.in_a_row), (State::Closed, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_comes_to_nothing_leaves_its_place_to_the_next() {
        let (start, mut breaker) = (Instant::now(), Breaker::default());
        (0..5).for_each(|_| breaker.record(false, start));
        let later = after(start, 60_000);
        assert_eq!(breaker.pass(later), Pass::Trial);
        breaker.give_up(later);
        assert_eq!(breaker.pass(later), Pass::Trial);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_asked_before_it_opened_and_fails_late_does_not_lengthen_it() {
        let (start, mut breaker) = (Instant::now(), Breaker::default());
        (0..5).for_each(|_| breaker.record(false, start));
        breaker.record(false, after(start, 4999));
        assert_eq!(breaker.pass(after(start, 5000)), Pass::Trial);
    }
}
