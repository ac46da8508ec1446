//! When a notification is tried again, and what becomes of it after an attempt. Pure.

use std::time::Duration;

use crate::dialect::{Answer, Verdict};
use crate::failure::{Cause, Failure};
use crate::transport::TransportError;

/// The wait after the first, second, … failure; the last goes on for as long as the notification lives.
const WAITS: [Duration; 7] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_mins(2),
    Duration::from_mins(10),
    Duration::from_mins(30),
    Duration::from_hours(1),
];
/// The longest `Retry-After` that is honoured.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);
/// After that a notification is dead.
pub(crate) const MAX_AGE: Duration = Duration::from_hours(24);
/// Part of a wait by which it varies either way.
pub(crate) const JITTER: f64 = 0.2;

/// What becomes of a notification after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Taken.
    Delivered,
    /// The receiver has it and is not happy with it; sending it again would change nothing.
    AppError(Failure),
    /// Tried again after [`wait`].
    Retry {
        /// What came.
        failure: Failure,
        /// The receiver is slow or asked for less.
        slow: bool,
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// Never tried again: the receiver will not ever take this one.
    Dead(Failure),
    /// 410: this URL is not called with notifications until it changes or answers again; what is pending stays.
    Suspend(Failure),
}

/// How one attempt ended: an answer, an error of the transport, or `None` when its time ran out.
pub(crate) type Attempt = Option<Result<Answer, TransportError>>;

/// Decides by the table of the delivery contract. `verdict` is the dialect's, of the answer if there is one.
///
/// Statuses that are not named there (redirects, 405 and so on) are tried again: they come from a receiver that is set up
/// wrong, and that heals. A 2xx that the dialect takes for no answer is an application error: the receiver has the event.
pub(crate) fn fate(attempt: &Attempt, verdict: Verdict) -> Fate {
    match (attempt, verdict) {
        (_, Verdict::Allow) => Fate::Delivered,
        (_, Verdict::Deny { code, .. }) => Fate::AppError(Failure::new(Cause::Denied, format!("answered code {code}"))),
        (Some(Ok(answer)), Verdict::NoAnswer(failure)) => match answer.status {
            200..=299 => Fate::AppError(failure),
            400 | 413 | 415 | 422 => Fate::Dead(failure),
            410 => Fate::Suspend(failure),
            status => Fate::Retry {
                failure,
                slow: status == 429,
                retry_after: answer.retry_after,
            },
        },
        (Some(Err(_)), Verdict::NoAnswer(failure)) => Fate::Retry {
            failure,
            slow: false,
            retry_after: None,
        },
        (None, Verdict::NoAnswer(failure)) => Fate::Retry {
            failure,
            slow: true,
            retry_after: None,
        },
    }
}

/// How long to wait after the `failures`th failure (from 1). `jitter` is between -[`JITTER`] and [`JITTER`].
///
/// Slow receivers get at least twice the table's time; `Retry-After` lengthens it, up to an hour.
pub(crate) fn wait(failures: u32, slow: bool, retry_after: Option<Duration>, jitter: f64) -> Duration {
    let row = usize::try_from(failures.saturating_sub(1))
        .unwrap_or(usize::MAX)
        .min(WAITS.len().saturating_sub(1));
    let base = WAITS.get(row).copied().unwrap_or(RETRY_AFTER_MAX);
    let base = if slow { base.saturating_mul(2) } else { base };
    let jitter = if slow { jitter.abs() } else { jitter };
    base.mul_f64(1.0 + jitter.clamp(-JITTER, JITTER))
        .max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Speak as _, Srs};

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn waits_follow_the_table_and_stay_at_an_hour() {
        let waits: Vec<u64> = (1..=9).map(|n| wait(n, false, None, 0.0).as_secs()).collect();
        assert_eq!(waits, [1, 5, 30, 120, 600, 1800, 3600, 3600, 3600]);
        assert_eq!(wait(u32::MAX, false, None, 0.0).as_secs(), 3600);
    }

    #[test]
    fn jitter_is_a_fifth_at_most_and_a_slow_receiver_waits_twice_at_least() {
        assert_eq!(wait(2, false, None, 0.2), S * 6);
        assert_eq!(wait(2, false, None, -0.2), S * 4);
        assert_eq!(wait(2, false, None, 9.0), S * 6);
        assert_eq!(wait(2, true, None, 0.0), S * 10);
        assert!(wait(2, true, None, -0.2) >= S * 10);
    }

    #[test]
    fn retry_after_lengthens_a_wait_up_to_an_hour_and_never_shortens_it() {
        assert_eq!(wait(1, false, Some(S * 60), 0.0), S * 60);
        assert_eq!(wait(3, false, Some(S), 0.0), S * 30);
        assert_eq!(wait(1, false, Some(S * 90_000), 0.0), S * 3600);
        assert_eq!(wait(1, true, Some(S * 60), -0.2), S * 60);
    }

    fn outcome(status: u16, body: &str) -> &'static str {
        let answer = Answer {
            status,
            body: Some(body.as_bytes().to_vec().into()),
            retry_after: None,
            max_age: None,
        };
        let verdict = Srs.judge(headgate_control::HookEvent::Unpublish, &answer);
        name(&fate(&Some(Ok(answer)), verdict))
    }

    fn name(fate: &Fate) -> &'static str {
        match fate {
            Fate::Delivered => "delivered",
            Fate::AppError(_) => "app error",
            Fate::Retry { slow: false, .. } => "retry",
            Fate::Retry { slow: true, .. } => "retry slowly",
            Fate::Dead(_) => "dead",
            Fate::Suspend(_) => "suspend",
        }
    }

    #[test]
    fn every_answer_has_its_documented_fate() {
        let table = [
            ("delivered", &[200, 201][..]),
            ("app error", &[202, 204, 206]),
            (
                "retry",
                &[
                    301, 302, 307, 308, 401, 403, 404, 405, 408, 409, 425, 451, 500, 502, 503, 504, 599,
                ],
            ),
            ("retry slowly", &[429]),
            ("dead", &[400, 413, 415, 422]),
            ("suspend", &[410]),
        ];
        for (expected, statuses) in table {
            for status in statuses {
                assert_eq!(outcome(*status, "0"), expected, "{status}");
            }
        }
        assert_eq!(outcome(200, r#"{"code":1}"#), "app error");
        assert_eq!(outcome(200, ""), "app error");
        assert_eq!(outcome(200, "thanks"), "app error");
    }

    #[test]
    fn no_answer_is_tried_again_and_more_slowly_when_time_ran_out() {
        let verdict = || Verdict::NoAnswer(Failure::new(Cause::Unreachable, "x"));
        assert_eq!(name(&fate(&Some(Err(TransportError::Closed)), verdict())), "retry");
        assert_eq!(name(&fate(&None, verdict())), "retry slowly");
    }
}
