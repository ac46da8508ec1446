//! Fragmented MP4 (ISO/IEC 14496-12, CMAF's subset of it): both ways, without I/O.
//!
//! [`init_segment`] says what the tracks are; a [`Muxer`] makes fragments of one frame or of several, and [`gather`] few of many; a [`Reader`] turns
//! all back into tracks and frames. Frames go in as they are: H.264, H.265, AV1, VP9, AAC, MP3, Opus, FLAC and G.711. All tracks count time in ticks of 90 kHz, so no time is
//! rounded; it starts at zero: a frame before that is written as at zero.
//!
//! Limits of the reader: 16 tracks, 1 MiB of `moov` or `moof`, 32 MiB of `mdat`, 16,384 frames a fragment.

mod boxes;
mod entry;
mod error;
mod fragment;
mod gather;
mod init;
mod mux;
mod reader;
mod samples;
mod tracks;

pub use entry::carries;
pub use error::Error;
pub use gather::gather;
pub use init::init_segment;
pub use mux::Muxer;
pub use reader::{Demuxed, Reader};

/// Ticks a second of every track that is written.
const TIMESCALE: u32 = 90_000;

#[cfg(test)]
mod tests;
