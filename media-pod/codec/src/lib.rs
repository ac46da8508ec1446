//! What frames are made of, without any I/O: codecs, timestamps, tracks, parameter sets and NAL units.
//!
//! Parameter sets come from whoever publishes, so every reader here checks bounds, has limits on what it loops over, and answers with an
//! [`Error`] where others would panic. A track whose size cannot be read is still a good track: its figures are just unknown.

pub mod aac;
pub mod ac3;
pub mod av1;
mod bits;
mod codec;
mod error;
pub mod flac;
mod frame;
pub mod h264;
pub mod h265;
mod mime;
pub mod mp3;
mod nal;
pub mod opus;
mod time;
mod track;
pub mod vp9;

pub use codec::{Codec, TrackKind};
pub use error::Error;
pub use frame::Frame;
pub use nal::{NalUnits, nal_units};
pub use time::Timestamp;
pub use track::{AudioInfo, Track, TrackId, VideoInfo};

#[cfg(test)]
mod mutation;
