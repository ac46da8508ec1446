//! RTMP, in and out.
//!
//! The protocol is in state machines without I/O, from the bottom up: [`handshake`], [`chunk`], [`amf0`], [`message`], then
//! [`server`] and [`client`] for the two sides of a connection, and [`url`] for what a client means by its names. All that comes
//! from a peer is bounded, and a peer that breaks a rule gets an error that says which. [`serve`] is the shell of sockets and time
//! around them, and [`format`](mod@format) what viewers get.

pub mod amf0;
mod amf3;
pub mod chunk;
pub mod client;
mod connection;
pub mod format;
pub mod handshake;
pub mod message;
pub mod serve;
pub mod server;
pub mod url;

pub use connection::{CHUNK_SIZE, Error};
