//! Several pods of one server on loopback, each with its certificate, its control port and its listeners.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a test may fail by panic, and says what it measured"
)]

#[path = "../standalone/back_end.rs"]
mod back_end;
#[path = "../standalone/client.rs"]
mod client;
mod drain;
mod hang;
mod hls;
mod hooks;
mod names;
mod place;
mod process;
mod streams;
mod watch;
