//! Admission: endpoints and their URLs are asked in order, and the first that does not say yes decides.
//!
//! Three things can come: yes, no, and no answer; only the last goes to the endpoint's failure policy. An endpoint has its
//! timeout once, for all its URLs and for the wait for a free place together.

use headgate_control::{FailurePolicy, HookEvent};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, timeout_at};

use crate::attempt::{Asked, timed_out};
use crate::dialect::{PublishOptions, Verdict};
use crate::endpoint::{Class, Endpoint};
use crate::event::Event;
use crate::failure::{Cause, Failure};
use crate::said::quotable;
use crate::transport::TransportError;

/// Admissions that wait for a place at one endpoint; one more gets no answer.
const WAITING_MAX: usize = 1024;

/// What let a session in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Source {
    /// Nobody had to be asked.
    Local,
    /// Every endpoint that was asked said so.
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

impl Endpoint {
    /// Asks all URLs. `Ok` says whether they all answered or the policy let one pass; the failure's message names the endpoint.
    pub(crate) async fn ask(&self, event: &Event) -> Result<Yes, Failure> {
        let spec = self.spec();
        self.outbox
            .flush_stream(&event.stream, spec.urls.len(), told_before(event.kind))
            .await;
        let limit = self.timeout();
        let deadline = Instant::now().checked_add(limit).unwrap_or_else(Instant::now);
        let mut yes = Yes::of(Source::Hook);
        let Some(_place) = self.place(deadline).await else {
            return self.no_place(event, limit);
        };
        if spec.urls.is_empty() {
            return self.by_policy(event, Failure::new(Cause::Unreachable, "it has no URL"));
        }
        for index in 0..spec.urls.len() {
            yes.and(self.ask_url(index, event, deadline, limit).await?);
        }
        Ok(yes)
    }

    async fn ask_url(&self, index: usize, event: &Event, deadline: Instant, limit: Duration) -> Result<Yes, Failure> {
        let mut asked = self.admission_attempt(index, event, 1, deadline, limit).await;
        if matches!(asked.attempt, Some(Err(TransportError::Closed))) && Instant::now() < deadline {
            // Most likely a pooled connection that the receiver was just about to close: no byte of an answer came.
            self.count(Class::Admission, event, "retry");
            asked = self.admission_attempt(index, event, 2, deadline, limit).await;
        }
        self.record(event, &asked);
        let Some(failure) = asked.failure() else {
            self.count(Class::Admission, event, "allow");
            self.outbox.resume(index);
            return Ok(self.yes(event, &asked));
        };
        if let Verdict::Deny { message, .. } = &asked.verdict {
            self.count(Class::Admission, event, "deny");
            self.outbox.resume(index);
            let said = message.as_deref().and_then(|said| quotable(said, event));
            let said = said.map(|said| format!(": {said}")).unwrap_or_default();
            return Err(self.named(
                event,
                Failure {
                    message: format!("{}{said}", failure.message),
                    ..failure
                },
            ));
        }
        self.count(Class::Admission, event, "no_answer");
        self.by_policy(event, failure)
    }

    async fn admission_attempt(
        &self,
        index: usize,
        event: &Event,
        number: u32,
        deadline: Instant,
        limit: Duration,
    ) -> Asked {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut asked = self.attempt(Class::Admission, index, event, number, left).await;
        if asked.attempt.is_none() {
            asked.verdict = timed_out(limit);
        }
        asked
    }

    /// The yes of an answer, with what it asks for.
    fn yes(&self, event: &Event, asked: &Asked) -> Yes {
        let mut yes = Yes::of(Source::Hook);
        if let Some(Ok(answer)) = &asked.attempt {
            yes.options = self.dialect().reply(event.kind, answer).options;
            self.note_options(&yes.options);
        }
        yes
    }

    /// What the failure policy makes of no answer.
    fn by_policy(&self, event: &Event, failure: Failure) -> Result<Yes, Failure> {
        match self.spec().failure_policy {
            FailurePolicy::Fail => Err(self.named(event, failure)),
            FailurePolicy::Ignore => {
                let labels = [self.name.as_str(), self.dialect().event_name(event.kind)];
                self.context.metrics.fail_open.with_label_values(&labels).inc();
                Ok(Yes::of(Source::Policy))
            }
        }
    }

    /// A place to ask, or none until the deadline.
    pub(crate) async fn place(&self, deadline: Instant) -> Option<SemaphorePermit<'_>> {
        if let Ok(place) = self.slots.try_acquire() {
            return Some(place);
        }
        let waiting = Waiting::new(self)?;
        let place = timeout_at(deadline, self.slots.acquire()).await.ok()?.ok();
        drop(waiting);
        place
    }

    fn no_place(&self, event: &Event, limit: Duration) -> Result<Yes, Failure> {
        let message = format!("too many calls under way to ask within {} ms", limit.as_millis());
        let failure = Failure::new(Cause::Timeout, message);
        self.note(event, false, Some(&failure));
        self.count(Class::Admission, event, "no_answer");
        self.by_policy(event, failure)
    }

    fn named(&self, event: &Event, Failure { cause, message }: Failure) -> Failure {
        let name = self.dialect().event_name(event.kind);
        Failure::new(cause, format!("HookEndpoint {}: {name}: {message}", self.name))
    }
}

/// What of a stream's backlog must be told before this is asked: to a new publisher all of it, to a player that of publishers.
fn told_before(kind: HookEvent) -> fn(&Event) -> bool {
    match kind {
        HookEvent::Play => |pending| matches!(pending.kind, HookEvent::Unpublish | HookEvent::StreamChanged),
        _ => |_| true,
    }
}

/// One of those who wait for a place.
struct Waiting<'a>(&'a Endpoint);

impl<'a> Waiting<'a> {
    fn new(endpoint: &'a Endpoint) -> Option<Self> {
        let below = |waiting: usize| (waiting < WAITING_MAX).then(|| waiting.saturating_add(1));
        endpoint
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, below)
            .ok()
            .map(|_| Self(endpoint))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
