//! HTTP hooks: back ends that are asked before a session starts, and told when it is over.
//!
//! An [`event`] says what happened, a [`dialect`] how a back end is told of it and what its answer means, `admission` asks in
//! order and within bounds, `delivery` tells at least once and in order per stream, and [`transport`] carries both over HTTP
//! to where hooks may go. [`Hooks`] is the way in. No stream key and no query ever stands in a message, a log or a metric.

mod admission;
mod attempt;
mod beat;
mod delivery;
pub mod dialect;
mod endpoint;
pub mod event;
pub mod failure;
mod health;
mod hooks;
mod identity;
mod metrics;
mod outbox_metrics;
mod probe;
mod query;
mod said;
mod streams;
pub mod transport;

#[cfg(test)]
mod testing;

pub use hooks::Hooks;
pub use identity::{Origin, new_service_id};
