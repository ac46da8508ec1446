//! The hub: streams and their viewers, and the [`Gate`] through which every session passes. It knows no protocol and no hook.
//!
//! A protocol crate opens a [`Client`] per connection and asks it to [`Client::publish`] or [`Client::play`]. The local check comes first, then
//! the name is reserved, then the gate is asked. Hubs that act as one ask each other through [`Elsewhere`]: for a name before the gate is, and for streams
//! that have viewers and no publisher here. Invariants: one publisher a name; exactly one `ended` for each session that the gate let in, on
//! every path; output bytes are made once per (stream, format) and shared; every cache and ring has a bound; no lock is held across an await.

mod allowance;
mod batch;
mod client;
mod contest;
mod edge;
mod elsewhere;
mod entry;
mod format;
mod forward;
mod gate;
mod gop;
mod hub;
mod live;
mod meter;
mod metrics;
mod moving;
mod name;
mod packet;
mod pass;
mod player;
mod protocol;
mod publisher;
mod refusal;
mod registry;
mod rename;
mod ring;
mod session;
mod settings;
mod snapshot;
mod stream;
mod tap;
mod treatment;
mod vhost;

pub use client::Client;
pub use contest::Answer;
pub use edge::Edge;
pub use elsewhere::{Alone, Elsewhere, Origin};
pub use format::{Format, FormatId, Start};
pub use forward::Forward;
pub use gate::{FileRequest, Gate, OpenGate, Permit, Request, Visitor};
pub use hub::Hub;
pub use metrics::Metrics;
pub use moving::Newcomers;
pub use name::StreamName;
pub use packet::Packet;
pub use pass::{Outlet, Seated};
pub use player::Player;
pub use protocol::Protocol;
pub use publisher::Publisher;
pub use refusal::{EndReason, Reason, Refusal};
pub use session::{Connection, Session, SessionKind, Traffic, client_id};
pub use settings::Settings;
pub use snapshot::{PublisherSnapshot, StreamSnapshot};
pub use tap::Tap;
pub use treatment::{Stamps, Treatment};
pub use vhost::{DEFAULT_VHOST, resolve_vhost, without_port};

#[cfg(test)]
mod tests;
