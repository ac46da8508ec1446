//! FLV tags, whose bodies are RTMP's audio and video messages: both ways, without I/O.
//!
//! [`parse_video`] and [`parse_audio`] read one body; a [`Demuxer`] turns a publisher's tags into tracks and frames; [`Form::prefix`],
//! [`Form::config`] and [`tag`] write. Sources: Adobe's FLV specification 10.1 annex E, enhanced RTMP v1 and v2 (Veovera).

mod audio;
mod demux;
mod enhanced;
mod error;
mod file;
mod fourcc;
mod stream;
mod video;
mod write;

pub use audio::parse_audio;
pub use demux::{Demuxed, Demuxer, Found};
pub use error::Error;
pub use file::{Tag, TagKind, TagReader};
pub use stream::{PADDING, TagStream};
pub use video::parse_video;
pub use write::{Form, Prefix, file_header, put_tag, tag, tag_bytes, tag_ends};

use bytes::Bytes;
use headgate_codec::{Codec, Track};
use smallvec::SmallVec;

/// Bytes of one tag body: the size field has 24 bits.
pub const BODY_MAX: usize = (1 << 24) - 1;

/// What one tag body holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// To be added to the tag's time (enhanced RTMP's `TimestampOffsetNano`); less than a millisecond.
    pub nanos: u32,
    /// One, but for multitrack.
    pub bodies: SmallVec<[TrackBody; 1]>,
}

/// What a tag body holds of one track.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackBody {
    /// Which of its kind.
    pub number: u8,
    /// What there is of it.
    pub body: Body,
}

impl From<Body> for Parsed {
    fn from(body: Body) -> Self {
        Self {
            nanos: 0,
            bodies: SmallVec::from_buf([TrackBody { number: 0, body }]),
        }
    }
}

/// See [`TrackBody`].
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// A sequence header: the track and its decoder configuration.
    Config(Track),
    /// One frame.
    Frame {
        /// How it is coded.
        codec: Codec,
        /// Decoding can start here; always true for sound.
        key: bool,
        /// Presentation less decoding time.
        composition_millis: i32,
        /// Length-prefixed NAL units or the raw frame.
        payload: Bytes,
    },
    /// The publisher says that a track has ended.
    EndOfSequence,
    /// Well formed and of no use here; says what it was, for the log.
    Ignored(&'static str),
}

/// Whether script data is `onMetaData`, which newcomers must know; other data is of its moment.
pub fn is_metadata(data: &[u8]) -> bool {
    data.starts_with(b"\x02\x00\x0aonMetaData")
}

#[cfg(test)]
mod tests;
