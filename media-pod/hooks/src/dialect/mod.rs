//! Dialects: how an event is said to a back end, and what its answer means. Pure: data in, data out.
//!
//! A dialect is a type that implements [`Speak`]; [`of`] finds the one that an endpoint asks for. What all dialects share
//! (the additive headers) stands in [`headers`], so that bodies stay what the dialect's own servers send.

mod answer;
mod headers;
mod srs;

pub use answer::{ANSWER_MAX, Answer, Verdict};
pub use headers::headers;
pub use srs::Srs;

use bytes::Bytes;
use headgate_control::{Dialect, HookEvent};
use headgate_hub::Protocol;

use crate::event::Event;
use crate::identity::Origin;

/// A way of speaking to a back end.
pub trait Speak: Send + Sync {
    /// The dialect's own name of an event, such as `on_publish`.
    fn event_name(&self, kind: HookEvent) -> &'static str;
    /// Whether the dialect has this event for this client's protocol.
    fn tells(&self, kind: HookEvent, protocol: Protocol) -> bool;
    /// The dialect's User-Agent.
    fn user_agent(&self) -> &'static str;
    /// Content type and body of the request.
    fn body(&self, event: &Event, origin: &Origin) -> (&'static str, Bytes);
    /// What an answer means.
    fn judge(&self, answer: &Answer) -> Verdict;
}

/// The dialect that goes by this name.
pub fn of(dialect: Dialect) -> &'static dyn Speak {
    match dialect {
        Dialect::Srs => &Srs,
    }
}
