//! Media over HTTP/1.1: FLV, MPEG-TS and fragmented MP4, over HTTP and over WebSocket, and HLS, under SRS's and ZLMediaKit's URLs,
//! with CORS.
//!
//! Every request goes through hyper and axum. Once a viewer is admitted and its stream has begun, its connection leaves them: the head is
//! written, then the hub's bytes as they are, until the stream ends or either side closes. Bounds: head size and time, time of one write.

mod access;
mod conditional;
mod connection;
mod format;
#[doc(hidden)]
pub mod fuzz;
mod handler;
mod head;
mod hls;
mod path;
mod refuse;
mod server;
mod viewer;
mod websocket;

pub use hls::{Elsewhere, Hls, HlsHome, HlsKey, HlsSettings, Home, Question, Segment, SegmentNews, Segments};
pub use server::{Options, VhostResolver, serve};

/// FLV with every track, without what HTTP puts around it: what pods of one server send each other.
pub fn flv() -> impl headgate_hub::Format {
    let all = headgate_flv::Form {
        multitrack: true,
        ..headgate_flv::Form::default()
    };
    format::MediaFormat::with_form(format::Container::Flv, format::Framing::Plain, all)
}
