//! HTTP hooks: back ends that are asked before a session starts, and told when it is over.
//!
//! An [`event`] says what happened, a [`dialect`] how a back end is told of it and what its answer means, `admission` asks in
//! order and within bounds, `delivery` tells at least once and in order per stream, and [`transport`] carries both over HTTP
//! to where hooks may go. [`Hooks`] is the way in. No stream key and no query ever stands in a message, a log or a metric.

mod admission;
mod attempt;
mod beat;
mod books;
mod books_metrics;
mod closing;
mod credentials;
mod dead;
mod delivery;
pub mod dialect;
mod endpoint;
pub mod event;
pub mod failure;
mod handover;
mod health;
mod hooks;
mod identity;
mod intern;
mod ledger;
mod log;
mod metrics;
mod opened;
mod orphans;
mod outbox_metrics;
mod probe;
mod query;
mod replay;
mod said;
mod seal;
mod streams;
mod transfer;
pub mod transport;
mod tried;
mod wire;

#[cfg(test)]
mod testing;

pub use books::Storage;
pub use dead::{DeadLetter, LetterRecord, read_dead_letters};
pub use handover::{HANDOVER_MAX, HandoverRecord, TakeOverError};
pub use hooks::{Hooks, Place};
pub use identity::{Origin, new_service_id};
pub use ledger::{LedgerChanges, LedgerView};
pub use seal::{BadSealKey, SealKey};
pub use tried::{AttemptLine, EndpointAttempts};
