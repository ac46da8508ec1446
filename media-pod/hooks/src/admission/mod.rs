//! Admission: back ends are asked, and what they say comes to one decision.
//!
//! Three things can come of a question: yes, no, and no answer; only the last goes to the endpoint's failure policy. [`question`] says what is asked and how
//! long an answer holds, [`cache`] keeps it, [`breaker`] keeps from asking who does not answer, [`ask`] asks one endpoint within its time, [`decide`] asks
//! all of them in order, and [`reask`] asks again about those who are in.

mod ask;
mod breaker;
mod cache;
mod decide;
mod heard;
mod place;
mod question;
pub(crate) mod reask;
mod trial;

pub(crate) use breaker::Pass;
pub(crate) use decide::closing_of;
pub(crate) use question::Question;
pub(crate) use trial::Trial;

use futures::future::{BoxFuture, WeakShared};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

use crate::dialect::PublishOptions;
use crate::failure::Failure;
use breaker::Breaker;
use cache::{Cache, Key};

/// How long it is said of an endpoint that it lets sessions in without an answer, after the last one.
const PASSED_FOR: Duration = Duration::from_mins(1);

/// What let a session in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Source {
    /// Nobody had to be asked.
    Local,
    /// An answer that was kept, at least once.
    Cache,
    /// An endpoint that was asked, at least once; every other was so or was kept.
    Hook,
    /// An endpoint's failure policy, at least once.
    Policy,
}

/// A yes.
#[derive(Clone, Debug)]
pub(crate) struct Yes {
    /// Whose.
    pub(crate) source: Source,
    /// How the stream is to be treated.
    pub(crate) options: PublishOptions,
}

/// What came of asking an endpoint. A failure's message names it.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) result: Result<Yes, Failure>,
    /// Time of the decision that it used.
    pub(crate) spent: Duration,
    /// The part of it in which its back end had the question.
    pub(crate) called: Duration,
}

/// What an endpoint remembers of its answers.
#[derive(Default)]
pub(crate) struct Memory {
    breaker: Mutex<Breaker>,
    cache: Mutex<Cache>,
    /// Questions under way that others may have too.
    flights: Mutex<HashMap<Key, Flight>>,
    /// When a session was last let in without an answer.
    passed: Mutex<Option<Instant>>,
}

type Flight = WeakShared<BoxFuture<'static, Answered>>;

impl Yes {
    /// One that asks for nothing.
    pub(crate) fn of(source: Source) -> Self {
        let options = PublishOptions::default();
        Self { source, options }
    }

    /// And one more.
    pub(crate) fn and(&mut self, later: Self) {
        self.source = self.source.max(later.source);
        self.options.overlay(later.options);
    }
}

impl Answered {
    /// Without asking.
    fn at_once(result: Result<Yes, Failure>) -> Self {
        Self {
            result,
            spent: Duration::ZERO,
            called: Duration::ZERO,
        }
    }
}

impl Memory {
    /// Forgets all: the back end is another one.
    pub(crate) fn clear(&self) {
        *self.breaker.lock() = Breaker::default();
        *self.cache.lock() = Cache::default();
        *self.passed.lock() = None;
    }

    /// Forgets all decisions: they are to be kept otherwise now.
    pub(crate) fn forget(&self) {
        *self.cache.lock() = Cache::default();
    }

    /// Forgets what was decided behind a door that one of these StreamKeys opened.
    pub(crate) fn purge(&self, is_gone: impl Fn(&str) -> bool) {
        self.cache.lock().purge(is_gone);
    }

    /// The endpoint is not asked.
    pub(crate) fn is_open(&self) -> bool {
        self.breaker.lock().state() != breaker::State::Closed
    }

    /// Within the last minute a session was let in without an answer.
    pub(crate) fn lets_pass(&self) -> bool {
        self.passed.lock().is_some_and(|at| at.elapsed() < PASSED_FOR)
    }
}
