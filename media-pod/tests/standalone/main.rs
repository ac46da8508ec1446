//! A whole standalone pod on loopback: manifests in, sessions through, hooks out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail by panic"
)]

mod admission;
mod back_end;
mod client;
mod dialects;
mod events;
mod floods;
mod forward;
mod front;
mod media;
mod order;
mod place;
mod reload;
mod sessions;
mod strange;
mod timelines;
mod timing;
