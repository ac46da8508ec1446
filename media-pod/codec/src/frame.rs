//! One coded picture or one packet of sound.

use crate::{Timestamp, TrackId, TrackKind};
use bytes::Bytes;

/// A frame as every protocol takes and gives it. A clone shares the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The track it belongs to.
    pub track: TrackId,
    /// That track's kind.
    pub kind: TrackKind,
    /// When it is to be decoded.
    pub dts: Timestamp,
    /// When it is to be shown or heard.
    pub pts: Timestamp,
    /// Decoding can start here. Always true for sound.
    pub key: bool,
    /// Length-prefixed NAL units (as the track's configuration record says) or the raw frame.
    pub payload: Bytes,
}
