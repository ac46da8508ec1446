//! [`Tried`]: the latest attempts at an endpoint, for people who look why it is not called or what it said. No query, no key and no header is in it.

use headgate_control::Dialect;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::VecDeque;
use std::time::Duration;
use uuid::Uuid;

use crate::attempt::{Asked, Turn};
use crate::dialect::Verdict;
use crate::endpoint::{Class, Endpoint};
use crate::event::{Event, Stream};

/// Attempts that are kept of an endpoint.
const KEPT_MAX: usize = 100;

/// The latest attempts of an endpoint, the oldest first.
#[derive(Default)]
pub(crate) struct Latest(Mutex<VecDeque<Tried>>);

/// One attempt that has ended.
#[derive(Clone)]
pub(crate) struct Tried {
    time: Timestamp,
    class: Class,
    id: Uuid,
    stream: Stream,
    name: &'static str,
    turn: Turn,
    took: Duration,
    host: String,
    status: Option<u16>,
    outcome: &'static str,
    message: Option<String>,
}

/// The attempts at one endpoint, as they are shown.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointAttempts {
    /// The HookEndpoint.
    pub endpoint: String,
    /// Its dialect.
    pub dialect: Dialect,
    /// The oldest first.
    pub attempts: Vec<AttemptLine>,
}

/// One attempt, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptLine {
    /// When it ended.
    pub time: Timestamp,
    /// The event's id: its `webhook-id`.
    pub id: Uuid,
    /// `on_publish`.
    pub event: String,
    /// `admission` or `notification`.
    pub class: String,
    /// `vhost/app/stream`; empty for an event of the server.
    pub stream: String,
    /// Counts from 1.
    pub attempt: u32,
    /// It was a dead letter.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replay: bool,
    /// Host and port.
    pub host: String,
    /// How long it took.
    pub milliseconds: u64,
    /// Of the answer, when one came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `Allowed`, or why not: `HookDenied`, `HookTimeout` and so on.
    pub outcome: String,
    /// What was wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Latest {
    fn push(&self, tried: Tried) {
        let mut kept = self.0.lock();
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(tried);
    }

    fn lines(&self) -> Vec<AttemptLine> {
        self.0.lock().iter().map(AttemptLine::from).collect()
    }
}

impl Endpoint {
    /// Keeps what came of an attempt.
    pub(crate) fn note_attempt(&self, class: Class, event: &Event, turn: Turn, asked: &Asked, took: Duration) {
        let status = match &asked.attempt {
            Some(Ok(answer)) => Some(answer.status),
            _ => None,
        };
        let (outcome, message) = match (&asked.verdict, asked.failure()) {
            (Verdict::Allow, _) | (_, None) => ("Allowed", None),
            (_, Some(failure)) => (failure.cause.reason(), Some(failure.message)),
        };
        self.latest.push(Tried {
            time: Timestamp::now(),
            class,
            id: event.id,
            stream: event.stream.clone(),
            name: self.dialect().event_name(event.kind),
            turn,
            took,
            host: asked.host.clone(),
            status,
            outcome,
            message,
        });
    }

    /// The latest attempts.
    pub(crate) fn attempts(&self) -> EndpointAttempts {
        EndpointAttempts {
            endpoint: self.name.clone(),
            dialect: self.spec().dialect,
            attempts: self.latest.lines(),
        }
    }
}

impl From<&Tried> for AttemptLine {
    fn from(tried: &Tried) -> Self {
        let class: &str = tried.class.into();
        Self {
            time: tried.time,
            id: tried.id,
            event: tried.name.to_owned(),
            class: class.to_owned(),
            stream: named(&tried.stream),
            attempt: tried.turn.number,
            replay: tried.turn.replay,
            host: tried.host.clone(),
            milliseconds: u64::try_from(tried.took.as_millis()).unwrap_or(u64::MAX),
            status: tried.status,
            outcome: tried.outcome.to_owned(),
            message: tried.message.clone(),
        }
    }
}

fn named(stream: &Stream) -> String {
    if *stream == Stream::default() {
        return String::new();
    }
    format!("{}/{}/{}", stream.vhost, stream.app, stream.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use headgate_control::HookEvent;

    #[test]
    fn a_hundred_are_kept_and_the_oldest_goes() {
        let latest = Latest::default();
        let event = testing::event(HookEvent::Publish, "alice");
        for number in 1..=130 {
            latest.push(Tried {
                time: Timestamp::UNIX_EPOCH,
                class: Class::Admission,
                id: event.id,
                stream: event.stream.clone(),
                name: "on_publish",
                turn: Turn { number, replay: false },
                took: Duration::from_millis(3),
                host: "b:80".into(),
                status: Some(200),
                outcome: "Allowed",
                message: None,
            });
        }
        let numbers: Vec<u32> = latest.lines().iter().map(|line| line.attempt).collect();
        assert_eq!(numbers, (31..=130).collect::<Vec<_>>());
    }
}
