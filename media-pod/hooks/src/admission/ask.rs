//! One question to one endpoint: from what is kept, or from its URLs within its time, or by its policy.

use futures::FutureExt as _;
use futures::stream::{FuturesUnordered, StreamExt as _};
use headgate_control::HookEvent;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use super::breaker::Pass;
use super::cache::{Decision, Kept};
use super::heard::{Heard, Said};
use super::trial::Trial;
use super::{Answered, Question, Source, Yes};
use crate::attempt::{Asked, timed_out};
use crate::dialect::{PublishOptions, Reply, Verdict};
use crate::endpoint::{Class, Endpoint};
use crate::event::Event;
use crate::failure::{Cause, Failure};
use crate::said::quotable;
use crate::transport::TransportError;

/// The time of one question.
#[derive(Clone, Copy)]
struct Span {
    deadline: Instant,
    limit: Duration,
}

impl Endpoint {
    /// Asks, in at most `budget` beside what must be told before.
    pub(crate) async fn ask(self: &Arc<Self>, question: &Question, budget: Duration) -> Answered {
        let may_repeat = question.may_repeat(&self.spec());
        if let Some(decision) = self.kept(question, may_repeat) {
            return Answered::at_once(decision.map(|options| Yes {
                source: Source::Cache,
                options,
            }));
        }
        if may_repeat {
            self.ask_with_others(question, budget).await
        } else {
            Arc::clone(self).ask_now(question.clone(), budget).await
        }
    }

    /// Asks although something may be kept.
    pub(super) async fn ask_anew(self: &Arc<Self>, question: Question) -> Answered {
        let budget = self.timeout();
        Arc::clone(self).ask_now(question, budget).await
    }

    fn kept(&self, question: &Question, counts: bool) -> Option<Decision> {
        if question.again {
            return None;
        }
        let (now, port) = (Instant::now(), question.port());
        let mut cache = self.memory.cache.lock();
        let found = question.keys().iter().find_map(|key| cache.fresh(key, port, now));
        drop(cache);
        if found.is_some() || counts {
            self.count_cache(if found.is_some() { "hit" } else { "miss" });
        }
        found
    }

    /// Asks once for all who want to know the same at this time.
    async fn ask_with_others(self: &Arc<Self>, question: &Question, budget: Duration) -> Answered {
        let key = question.flight();
        let (flight, first) = {
            let mut flights = self.memory.flights.lock();
            if let Some(flight) = flights.get(&key).and_then(futures::future::WeakShared::upgrade) {
                (flight, false)
            } else {
                let flight = Arc::clone(self).ask_now(question.clone(), budget).boxed().shared();
                flights.retain(|_, flight| flight.upgrade().is_some());
                flights.extend(flight.downgrade().map(|weak| (key, weak)));
                (flight, true)
            }
        };
        let mut answered = flight.await;
        if first {
            self.memory.flights.lock().remove(&key);
        } else if let Ok(yes) = &mut answered.result
            && yes.source == Source::Hook
        {
            yes.source = Source::Cache;
        }
        answered
    }

    async fn ask_now(self: Arc<Self>, question: Question, budget: Duration) -> Answered {
        let _trial = match self.breaker(|breaker| breaker.pass(Instant::now())) {
            Pass::Stop(rest) => return Answered::at_once(self.stopped(&question, rest)),
            Pass::Trial => Some(Trial(&self)),
            Pass::Go => None,
        };
        let (spec, event) = (self.spec(), &*question.event);
        self.outbox
            .flush_stream(&event.stream, spec.urls.len(), told_before(event.kind))
            .await;
        let (limit, started) = (self.timeout().min(budget), Instant::now());
        let deadline = started.checked_add(limit).unwrap_or(started);
        let heard = match self.place(deadline).await {
            Some(_place) => self.hear(&question, Span { deadline, limit }).await,
            None => self.no_place(event, limit),
        };
        Answered {
            called: heard.called,
            result: self.conclude(&question, heard),
            spent: started.elapsed(),
        }
    }

    /// All URLs: at once in a dialect that does so, else one after the other until one does not say yes.
    async fn hear(&self, question: &Question, span: Span) -> Heard {
        let spec = self.spec();
        let mut all = Heard::new();
        if spec.urls.is_empty() {
            all.silent = Some(Failure::new(Cause::Unreachable, "it has no URL"));
        }
        let mut said: Vec<Option<Said>> = spec.urls.iter().map(|_| None).collect();
        let ends = |said: &Said| match said {
            Said::Yes(_) => false,
            Said::No(..) => true,
            Said::Nothing(_) => !spec.failure_policy.lets_in(),
        };
        let ask = |index| async move { (index, self.ask_url(index, question, span).await) };
        let width = if self.dialect().is_parallel() {
            spec.urls.len()
        } else {
            1
        };
        let mut waiting = 0..spec.urls.len();
        let mut under_way: FuturesUnordered<_> = waiting.by_ref().take(width).map(ask).collect();
        while let Some((index, (one, called))) = under_way.next().await {
            all.called = if width > 1 {
                all.called.max(called)
            } else {
                all.called.saturating_add(called)
            };
            let over = ends(&one);
            if let Some(place) = said.get_mut(index) {
                *place = Some(one);
            }
            if over {
                break;
            }
            under_way.extend(waiting.next().map(ask));
        }
        said.into_iter()
            .flatten()
            .for_each(|one| all.add(one, |allowed, reply| question.keeps(allowed, &spec, reply)));
        all
    }

    /// One URL, as often as the dialect does. The breaker hears of what it came to.
    async fn ask_url(&self, index: usize, question: &Question, span: Span) -> (Said, Duration) {
        let (event, retry) = (&*question.event, self.dialect().retry());
        let (mut number, mut called) = (1, Duration::ZERO);
        let asked = loop {
            let begun = Instant::now();
            let asked = self.admission_attempt(index, event, number, span).await;
            called = called.saturating_add(begun.elapsed());
            let again = retry
                .pause(number, &asked.verdict, asked.error())
                .and_then(|pause| Instant::now().checked_add(pause))
                .filter(|at| *at < span.deadline);
            let Some(at) = again else { break asked };
            self.count(Class::Admission, event, "retry");
            tokio::time::sleep_until(at).await;
            number = number.saturating_add(1);
        };
        let answered = !matches!(asked.verdict, Verdict::NoAnswer(_));
        self.breaker(|breaker| breaker.record(answered, Instant::now()));
        self.record(event, &asked);
        (self.said(index, event, &asked), called)
    }

    async fn admission_attempt(&self, index: usize, event: &Event, number: u32, span: Span) -> Asked {
        let left = span.deadline.saturating_duration_since(Instant::now());
        let mut asked = self.attempt(Class::Admission, index, event, number, left).await;
        if asked.attempt.is_none() {
            asked.verdict = timed_out(span.limit);
        }
        asked
    }

    fn said(&self, index: usize, event: &Event, asked: &Asked) -> Said {
        let reply = || match &asked.attempt {
            Some(Ok(answer)) => self.dialect().reply(event.kind, answer),
            _ => Reply::default(),
        };
        let Some(failure) = asked.failure() else {
            self.count(Class::Admission, event, "allow");
            self.outbox.resume(index);
            let reply = reply();
            self.note_options(&reply.options);
            return Said::Yes(reply);
        };
        let Verdict::Deny { message, .. } = &asked.verdict else {
            self.count(Class::Admission, event, "no_answer");
            return Said::Nothing(failure);
        };
        self.count(Class::Admission, event, "deny");
        self.outbox.resume(index);
        let said = message.as_deref().and_then(|said| quotable(said, event));
        let said = said.map(|said| format!(": {said}")).unwrap_or_default();
        let message = format!("{}{said}", failure.message);
        Said::No(self.named(event, Failure { message, ..failure }), reply())
    }

    fn conclude(&self, question: &Question, heard: Heard) -> Result<Yes, Failure> {
        let Heard {
            decision,
            silent,
            keeps,
            path,
            ..
        } = heard;
        if let (Ok(options), Some(failure)) = (&decision, silent) {
            return self.by_policy(question, failure, options.clone());
        }
        self.keep(question, &decision, keeps, path.as_deref());
        decision.map(|options| Yes {
            source: Source::Hook,
            options,
        })
    }

    /// Keeps a decision in the place of the one before, or none.
    fn keep(&self, question: &Question, decision: &Decision, keeps: (Duration, Duration), path: Option<&str>) {
        let mut cache = self.memory.cache.lock();
        for key in question.outdated(path) {
            cache.remove(&key);
        }
        if keeps == (Duration::ZERO, Duration::ZERO) {
            return;
        }
        for key in question.kept_under(decision.is_ok(), path) {
            let kept = Kept {
                stream_key: question.stream_key.clone(),
                port: question.port(),
                ..Kept::new(decision.clone(), keeps, Instant::now())
            };
            cache.put(key, kept);
        }
    }

    /// What the failure policy makes of no answer. Who is in already is none of its business.
    fn by_policy(&self, question: &Question, failure: Failure, options: PublishOptions) -> Result<Yes, Failure> {
        let (policy, event) = (self.spec().failure_policy, &*question.event);
        if question.again {
            return Err(self.named(event, failure));
        }
        if policy.is_cached()
            && let Some(decision) = self.stale(question)
        {
            self.count_cache("stale");
            return decision.map(|options| Yes {
                source: Source::Cache,
                options,
            });
        }
        if !policy.lets_in() {
            return Err(self.named(event, failure));
        }
        let labels = [self.name.as_str(), self.dialect().event_name(event.kind)];
        self.context.metrics.fail_open.with_label_values(&labels).inc();
        let first = !self.memory.lets_pass();
        *self.memory.passed.lock() = Some(Instant::now());
        if first {
            self.context.bump();
        }
        Ok(Yes {
            source: Source::Policy,
            options,
        })
    }

    fn stale(&self, question: &Question) -> Option<Decision> {
        let (now, mut cache) = (Instant::now(), self.memory.cache.lock());
        question.keys().iter().find_map(|key| cache.stale(key, now))
    }

    fn stopped(&self, question: &Question, rest: Duration) -> Result<Yes, Failure> {
        self.count(Class::Admission, &question.event, "no_answer");
        let message = format!(
            "it has not answered, and is not asked for another {} ms",
            rest.as_millis()
        );
        self.by_policy(
            question,
            Failure::new(Cause::CircuitOpen, message),
            PublishOptions::default(),
        )
    }

    fn no_place(&self, event: &Event, limit: Duration) -> Heard {
        let message = format!("too many calls under way to ask within {} ms", limit.as_millis());
        let failure = Failure::new(Cause::Timeout, message);
        self.note(event, false, Some(&failure));
        self.count(Class::Admission, event, "no_answer");
        Heard {
            silent: Some(failure),
            ..Heard::new()
        }
    }

    fn named(&self, event: &Event, Failure { cause, message }: Failure) -> Failure {
        let name = self.dialect().event_name(event.kind);
        Failure::new(cause, format!("HookEndpoint {}: {name}: {message}", self.name))
    }

    fn count_cache(&self, result: &str) {
        let labels = [self.name.as_str(), result];
        self.context.metrics.cache.with_label_values(&labels).inc();
    }
}

impl Asked {
    fn error(&self) -> Option<&TransportError> {
        self.attempt.as_ref()?.as_ref().err()
    }
}

/// What of a stream's backlog must be told before this is asked: to a new publisher all of it, to a player that of publishers.
fn told_before(kind: HookEvent) -> fn(&Event) -> bool {
    match kind {
        HookEvent::Play => |pending| matches!(pending.kind, HookEvent::Unpublish | HookEvent::StreamChanged),
        _ => |_| true,
    }
}
