//! Dialects: how an event is said to a back end, and what its answer means. Pure: data in, data out.
//!
//! A dialect is a type that implements [`Speak`]; [`of`] finds the one that an endpoint asks for. What all dialects share
//! (the additive headers) stands in [`headers`], so that bodies stay what the dialect's own servers send.

mod answer;
mod cloudevents;
mod code;
mod headers;
mod oryx;
mod reply;
mod retry;
mod srs;
mod srs_v1;
mod zlmediakit;

pub use answer::{ANSWER_MAX, Answer, Verdict};
pub use cloudevents::{CloudEvents, schema as cloud_event_schema};
pub use headers::headers;
pub use oryx::Oryx;
pub use reply::{Password, PublishOptions, Reply};
pub use retry::Retry;
pub use srs::Srs;
pub use srs_v1::SrsV1;
pub use zlmediakit::ZLMediaKit;

use bytes::Bytes;
use headgate_control::{Dialect, HookEvent};

use crate::event::Event;
use crate::event::transport::{Carrier, Schema};
use crate::identity::Origin;

/// A way of speaking to a back end.
pub trait Speak: Send + Sync {
    /// Its name.
    fn dialect(&self) -> Dialect;

    /// The dialect's own name of an event, such as `on_publish`.
    fn event_name(&self, kind: HookEvent) -> &'static str {
        kind.callback()
    }

    /// Whether the dialect tells of this event, for this client and this change.
    fn tells(&self, event: &Event) -> bool {
        self.dialect().has(event.kind)
    }

    /// The dialect's User-Agent.
    fn user_agent(&self) -> &'static str;

    /// What goes out.
    fn request(&self, event: &Event, voice: &Voice<'_>) -> Request;

    /// What an answer to an event of this kind means.
    fn judge(&self, kind: HookEvent, answer: &Answer) -> Verdict;

    /// Whether a question that got no answer is asked again.
    fn retry(&self) -> Retry {
        Retry::Never
    }

    /// Whether its endpoints, and the URLs of each, are asked side by side; else one after the other.
    fn is_parallel(&self) -> bool {
        false
    }

    /// Whether a back end that said yes is told when it comes to nothing because another said no.
    fn takes_back(&self) -> bool {
        false
    }

    /// Whether a back end hears of each session that begins, also where its answer was known.
    fn counts_sessions(&self) -> bool {
        true
    }

    /// What an answer asks for beside its yes or no.
    fn reply(&self, _kind: HookEvent, _answer: &Answer) -> Reply {
        Reply::default()
    }
}

/// What a request needs beside its event.
#[derive(Clone, Copy, Debug)]
pub struct Voice<'a> {
    /// Who speaks, unless the event says where it happened.
    pub origin: &'a Origin,
    /// What the endpoint wants to see in each request.
    pub opaque: &'a str,
    /// Counts the requests of the process, of every endpoint and attempt.
    pub index: u64,
}

impl<'a> Voice<'a> {
    /// Where an event happened.
    pub fn origin_of(&self, event: &'a Event) -> &'a Origin {
        event.origin.as_deref().unwrap_or(self.origin)
    }
}

/// One POST, as the dialect has it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Of the body.
    pub content_type: &'static str,
    /// What `Connection` says; HTTP takes it in any case, receivers may not.
    pub connection: &'static str,
    /// Headers of the dialect's own.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
}

impl Request {
    /// A body of JSON with no header of its own.
    fn json(body: String) -> Self {
        Self {
            content_type: "application/json",
            connection: "Keep-Alive",
            headers: Vec::new(),
            body: body.into(),
        }
    }
}

/// The dialect that goes by this name.
pub fn of(dialect: Dialect) -> &'static dyn Speak {
    match dialect {
        Dialect::Srs => &Srs,
        Dialect::SrsV1 => &SrsV1,
        Dialect::ZLMediaKit => &ZLMediaKit,
        Dialect::Oryx => &Oryx,
        Dialect::CloudEvents => &CloudEvents,
    }
}

/// Whether SRS would tell of the client's connection: it has one of its own, and is no request within a web server's.
fn has_connection(event: &Event) -> bool {
    matches!(event.client.carrier, Carrier::Rtmp | Carrier::Rtmps) || event.client.schema == Schema::Srt
}

/// Thousandths as a number with a point, of the precision that is asked for.
fn decimal<N: std::str::FromStr + Default>(thousandths: u64) -> N {
    let (whole, rest) = (thousandths.div_euclid(1000), thousandths.rem_euclid(1000));
    format!("{whole}.{rest:03}").parse().unwrap_or_default()
}
