//! The HTTP listener from outside, with raw sockets and real players.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]
#![allow(clippy::arithmetic_side_effects)]

mod caches;
mod hls;
mod leaving;
mod players;
mod requests;
mod session_words;
mod sockets;
mod support;
