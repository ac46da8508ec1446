//! What makes the pods of one server act as one: each asks the others whether a name is free, and brings a stream here that is published there.
//!
//! [`Relay`] is the hub's [`headgate_hub::Elsewhere`]. It speaks HTTP/1.1 over mutual TLS with [`Peers`], on their control ports, and holds one connection a
//! stream that is watched here and published elsewhere, however many watch. The answering side is the control port's.
//!
//! A peer that does not answer in time counts as one that has nothing: while pods cannot reach each other, a name can have a publisher in each part.
//! That is chosen over a name that nobody can have. Whoever sees both parts, the operator, ends the younger one.
//!
//! [`Push`] sends streams to servers of others, where a back end says so.

mod ask;
mod edge;
mod error;
mod metrics;
mod pause;
mod peers;
mod pull;
mod push;
mod relay;

pub use error::PeerError;
pub use metrics::Metrics;
pub use peers::{Identity, Peer, Peers};
pub use push::{Lookup, Push, PushError, PushLimits, PushMetrics};
pub use relay::{Patience, Relay};
