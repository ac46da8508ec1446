//! HTTP Live Streaming (RFC 8216bis): frames in, segments and playlists out, without I/O and without a clock.
//!
//! A [`Segmenter`] cuts a stream into segments of MPEG-TS or fragmented MP4, with parts for low latency, and keeps a live window of them, or all of an event. It gives
//! the playlist, made once for everybody until something changes, the files that the playlist names, and says whether a request that blocks must
//! wait. What stays in memory is bounded: segments of two windows, or so many of an event, and a number of bytes.

mod config;
mod file;
mod playlist;
mod reload;
mod segment;
mod segmenter;
mod variant;

pub use config::{Config, Container, Cut, EVENT_MAX};
pub use file::File;
pub use reload::{Directives, Reload};
pub use segment::Whole;
pub use segmenter::Segmenter;
pub use variant::Variant;

#[cfg(test)]
mod tests;
