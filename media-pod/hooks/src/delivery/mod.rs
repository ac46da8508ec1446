//! Notifications: what ended is told at least once, in order per stream, without anyone waiting for it.
//!
//! [`queue`] holds what is pending and decides what is next, [`schedule`] when to try again; both are pure. [`outbox`] puts a
//! lock around the queue, and [`worker`] makes the attempts. What comes is in the log ([`crate::log`]) before it is here, and the log hears of all that goes.

pub(crate) mod bell;
pub(crate) mod lane;
pub(crate) mod outbox;
pub(crate) mod queue;
pub(crate) mod schedule;
pub(crate) mod worker;
