//! Media over HTTP/1.1: FLV, MPEG-TS and fragmented MP4, over HTTP and over WebSocket, and HLS, under SRS's and ZLMediaKit's URLs,
//! with CORS.
//!
//! Every request goes through hyper and axum. Once a viewer is admitted and its stream has begun, its connection leaves them: the head is
//! written, then the hub's bytes as they are, until the stream ends or either side closes. Bounds: head size and time, time of one write.

mod conditional;
mod connection;
mod format;
mod handler;
mod head;
mod hls;
mod path;
mod refuse;
mod server;
mod viewer;
mod websocket;

pub use hls::{Hls, HlsKey, HlsSettings};
pub use server::{Options, VhostResolver, serve};

/// FLV as it is, without what HTTP puts around it: what pods of one server send each other.
pub fn flv() -> impl headgate_hub::Format {
    format::MediaFormat::new(format::Container::Flv, format::Framing::Plain)
}
