//! One call to one URL of an endpoint: built by the dialect, bounded in time, measured and remembered.

use headgate_control::HookEndpoint;
use http::{HeaderName, HeaderValue};
use prometheus::IntGauge;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, timeout};

use crate::delivery::schedule::Attempt;
use crate::dialect::{Verdict, Voice, headers};
use crate::endpoint::{Class, Endpoint};
use crate::event::Event;
use crate::failure::{Cause, Failure};
use crate::transport::{Call, TransportError};

/// Says that an event was told before, or given up, and comes again because somebody wished it.
const REPLAY: HeaderName = HeaderName::from_static("webhook-replay");

/// A call that is over.
pub(crate) struct Asked {
    /// What came.
    pub(crate) attempt: Attempt,
    /// What it means. Failures name the host.
    pub(crate) verdict: Verdict,
    /// Host and port, for messages.
    pub(crate) host: String,
    /// What the endpoint was then.
    spec: Arc<HookEndpoint>,
}

/// Which attempt at an event it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// Counts from 1.
    pub(crate) number: u32,
    /// The event was a dead letter.
    pub(crate) replay: bool,
}

impl Endpoint {
    /// Calls the URL at `index`. `number` counts the attempts at this event from 1.
    pub(crate) async fn attempt(
        &self,
        class: Class,
        index: usize,
        event: &Event,
        number: u32,
        limit: Duration,
    ) -> Asked {
        let turn = Turn { number, replay: false };
        self.take_turn(class, index, event, turn, limit).await
    }

    /// The same for an event that may have been a dead letter.
    pub(crate) async fn take_turn(
        &self,
        class: Class,
        index: usize,
        event: &Event,
        turn: Turn,
        limit: Duration,
    ) -> Asked {
        let started = Instant::now();
        let asked = self.call(class, index, event, turn, limit).await;
        self.note_attempt(class, event, turn, &asked, started.elapsed());
        asked
    }

    async fn call(&self, class: Class, index: usize, event: &Event, turn: Turn, limit: Duration) -> Asked {
        let (spec, dialect) = (self.spec(), self.dialect());
        let name = dialect.event_name(event.kind);
        let url = match (&spec.unresolved, spec.urls.get(index)) {
            (Some(why), _) => Err(TransportError::NotCalled(why.clone())),
            (None, template) => template
                .and_then(|template| spec.url(template, name))
                .ok_or_else(|| TransportError::Connect(format!("URL number {} is none", index.saturating_add(1)))),
        };
        let url = match url {
            Ok(url) => url,
            Err(error) => {
                return Asked {
                    verdict: unreachable(&error),
                    attempt: Some(Err(error)),
                    host: self.name.clone(),
                    spec,
                };
            }
        };
        let host = host(&url);
        let request = dialect.request(
            event,
            &Voice {
                origin: &self.context.origin.load(),
                opaque: &spec.opaque,
                index: self.context.index.fetch_add(1, Ordering::Relaxed),
            },
        );
        let mut headers = headers(dialect, event, &request, turn.number, jiff::Timestamp::now());
        if turn.replay {
            headers.insert(REPLAY, HeaderValue::from_static("1"));
        }
        let body = request.body;
        self.credentials().put_on(&mut headers, &body);
        let call = Call { url, headers, body };

        let _in_flight = InFlight::new(self, class);
        let started = Instant::now();
        let transport = self.transport(class);
        let attempt = timeout(limit, transport.call(call)).await.ok();
        let labels = [self.name.as_str(), name];
        self.context
            .metrics
            .request_seconds
            .with_label_values(&labels)
            .observe(started.elapsed().as_secs_f64());

        let verdict = match &attempt {
            Some(Ok(answer)) => dialect.judge(event.kind, answer),
            Some(Err(error)) => unreachable(error),
            None => timed_out(limit),
        };
        Asked {
            attempt,
            verdict,
            host,
            spec,
        }
    }

    /// Counts an attempt by how it ended.
    pub(crate) fn count(&self, class: Class, event: &Event, outcome: &'static str) {
        let name = self.dialect().event_name(event.kind);
        let dialect: &'static str = self.spec().dialect.into();
        let labels = [self.name.as_str(), name, class.into(), dialect, outcome];
        self.context.metrics.requests.with_label_values(&labels).inc();
    }

    /// Remembers how an attempt ended, for the report; a change goes to the log. What came from a URL that it had before is no news.
    pub(crate) fn record(&self, event: &Event, asked: &Asked) {
        if asked.spec.urls != self.spec().urls {
            return;
        }
        let failure = asked.failure();
        self.note(event, !matches!(asked.verdict, Verdict::NoAnswer(_)), failure.as_ref());
    }

    /// The same for what is no attempt, such as no free place for one.
    pub(crate) fn note(&self, event: &Event, valid: bool, failure: Option<&Failure>) {
        let name = self.dialect().event_name(event.kind);
        if !self.health().lock().record(name, valid, failure) {
            return;
        }
        self.unsure.notify_one();
        self.context.bump();
        if let Some(Failure { cause, message }) = failure {
            tracing::warn!(
                endpoint = self.name,
                event = name,
                reason = cause.reason(),
                message,
                "hook failed"
            );
        } else {
            tracing::info!(endpoint = self.name, event = name, "hook answers");
        }
    }
}

impl Asked {
    /// Why it brought no yes, with the host and without what the back end said.
    pub(crate) fn failure(&self) -> Option<Failure> {
        let (cause, message) = match &self.verdict {
            Verdict::Allow => return None,
            Verdict::Deny { code, .. } => (Cause::Denied, format!("answered code {code}")),
            Verdict::NoAnswer(failure) => (failure.cause, failure.message.clone()),
        };
        Some(Failure {
            cause,
            message: format!("{}: {message}", self.host),
        })
    }
}

pub(crate) fn timed_out(limit: Duration) -> Verdict {
    Verdict::NoAnswer(Failure::new(
        Cause::Timeout,
        format!("no answer within {} ms", limit.as_millis()),
    ))
}

fn unreachable(error: &TransportError) -> Verdict {
    Verdict::NoAnswer(Failure::new(Cause::Unreachable, error.to_string()))
}

/// Host and port: all of a URL that may be shown.
fn host(url: &url::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Counts a call while it is under way.
struct InFlight(IntGauge);

impl InFlight {
    fn new(endpoint: &Endpoint, class: Class) -> Self {
        let gauge = endpoint
            .context
            .metrics
            .in_flight
            .with_label_values(&[endpoint.name.as_str(), class.into()]);
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
