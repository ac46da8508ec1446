//! One decision: all endpoints that take the question, in their order. Those that are asked side by side are asked so as far as they stand behind each other.

use futures::stream::{FuturesUnordered, StreamExt as _};
use headgate_control::HookEvent;
use headgate_hub::{Reason, Refusal};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use super::{Answered, Question, Source, Yes};
use crate::dialect::PublishOptions;
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::failure::{Cause, Failure};
use crate::hooks::Inner;

/// A session may come in.
#[derive(Default)]
pub(crate) struct Admitted {
    /// How its stream is to be treated.
    pub(crate) options: PublishOptions,
    /// Let it in by what was kept of them, and are to hear of it.
    pub(crate) unasked: Vec<Arc<Endpoint>>,
}

/// How a decision goes.
struct Course {
    yes: Yes,
    called: Duration,
    budget: Duration,
    /// Said yes themselves, or were cut off while they were asked; and can be told that it came to nothing.
    believe: Vec<Arc<Endpoint>>,
    /// Let it in by what was kept of them.
    unasked: Vec<Arc<Endpoint>>,
}

impl Inner {
    /// The decision.
    pub(crate) async fn decide(&self, question: &Question) -> Result<Admitted, Refusal> {
        let started = Instant::now();
        let (decision, source, called) = self.ask_all(question).await;
        let (took, metrics) = (started.elapsed(), &self.context().metrics);
        let event: &str = question.event.kind.into();
        let observe = |histogram: &prometheus::HistogramVec, labels: &[&str], time: Duration| {
            histogram.with_label_values(labels).observe(time.as_secs_f64());
        };
        observe(&metrics.admission_seconds, &[event, source.into()], took);
        observe(&metrics.overhead_seconds, &[event], took.saturating_sub(called));
        decision.map_err(refusal)
    }

    async fn ask_all(&self, question: &Question) -> (Result<Admitted, Failure>, Source, Duration) {
        let takers = self.takers(&question.event);
        let mut course = Course {
            yes: Yes::of(Source::Local),
            called: Duration::ZERO,
            budget: takers.iter().map(|taker| taker.timeout()).max().unwrap_or_default(),
            believe: Vec::new(),
            unasked: Vec::new(),
        };
        let together = |endpoint: &Arc<Endpoint>| endpoint.dialect().is_parallel();
        for step in takers.chunk_by(|a, b| together(a) && together(b)) {
            let answers = ask_together(step, question, course.budget).await;
            if let Some(failure) = course.take(step, answers) {
                for endpoint in &course.believe {
                    self.take_back(endpoint, &question.event);
                }
                let source = if failure.cause == Cause::Denied {
                    Source::Hook
                } else {
                    Source::Policy
                };
                return (Err(failure), source, course.called);
            }
        }
        let Course {
            yes, unasked, called, ..
        } = course;
        let options = yes.options;
        (Ok(Admitted { options, unasked }), yes.source, called)
    }

    /// Tells an endpoint that what it may believe to be in is not.
    fn take_back(&self, endpoint: &Arc<Endpoint>, opening: &Event) {
        if let Some(closing) = Event::taken_back(opening, self.sequence()) {
            self.tell_to(endpoint, closing);
        }
    }
}

/// Asks all of these at once, until one refuses. `None` are those who were cut off by that.
async fn ask_together(step: &[Arc<Endpoint>], question: &Question, budget: Duration) -> Vec<Option<Answered>> {
    let ask = |(at, endpoint): (usize, &Arc<Endpoint>)| {
        let endpoint = Arc::clone(endpoint);
        async move { (at, endpoint.ask(question, budget).await) }
    };
    let mut answers: Vec<Option<Answered>> = step.iter().map(|_| None).collect();
    let mut under_way: FuturesUnordered<_> = step.iter().enumerate().map(ask).collect();
    while let Some((at, answered)) = under_way.next().await {
        let over = answered.result.is_err();
        if let Some(place) = answers.get_mut(at) {
            *place = Some(answered);
        }
        if over {
            break;
        }
    }
    answers
}

impl Course {
    /// Takes a step's answers in, in their order. A failure is the end.
    fn take(&mut self, step: &[Arc<Endpoint>], answers: Vec<Option<Answered>>) -> Option<Failure> {
        let (mut failure, mut called, mut spent) = (None, Duration::ZERO, Duration::ZERO);
        for (endpoint, answered) in step.iter().zip(answers) {
            let Some(answered) = answered else {
                self.believe.push(Arc::clone(endpoint));
                continue;
            };
            called = called.max(answered.called);
            spent = spent.max(answered.spent);
            match answered.result {
                Ok(yes) => self.accept(endpoint, yes),
                Err(why) => failure = failure.or(Some(why)),
            }
        }
        self.called = self.called.saturating_add(called);
        self.budget = self.budget.saturating_sub(spent);
        failure
    }

    fn accept(&mut self, endpoint: &Arc<Endpoint>, yes: Yes) {
        match yes.source {
            Source::Hook if endpoint.dialect().takes_back() => self.believe.push(Arc::clone(endpoint)),
            Source::Cache if endpoint.dialect().counts_sessions() => self.unasked.push(Arc::clone(endpoint)),
            _ => {}
        }
        self.yes.and(yes);
    }
}

/// The event that closes what this one opens.
pub(crate) fn closing_of(kind: HookEvent) -> Option<HookEvent> {
    match kind {
        HookEvent::Connect => Some(HookEvent::Close),
        HookEvent::Publish => Some(HookEvent::Unpublish),
        HookEvent::Play => Some(HookEvent::Stop),
        _ => None,
    }
}

fn refusal(failure: Failure) -> Refusal {
    let reason = match failure.cause {
        Cause::Denied => Reason::HookDenied,
        Cause::Timeout => Reason::HookTimeout,
        Cause::Unreachable => Reason::HookUnreachable,
        Cause::BadStatus => Reason::HookBadStatus,
        Cause::BadAnswer => Reason::HookBadAnswer,
        Cause::CircuitOpen => Reason::HookCircuitOpen,
    };
    Refusal::new(reason, failure.message)
}
