//! What writes the frames of a segment.

use crate::Container;
use bytes::{Bytes, BytesMut};
use headgate_codec::{Frame, TrackId};

/// See the module.
pub(super) enum Muxer {
    Ts(headgate_mpegts::Muxer),
    Fmp4(headgate_fmp4::Muxer),
}

impl Muxer {
    pub(super) fn new(container: Container) -> Self {
        match container {
            Container::Ts => Self::Ts(headgate_mpegts::Muxer::default()),
            Container::Fmp4 => Self::Fmp4(headgate_fmp4::Muxer::default()),
        }
    }

    pub(super) fn carries(&self, track: TrackId) -> bool {
        match self {
            Self::Ts(muxer) => muxer.carries(track),
            Self::Fmp4(muxer) => muxer.carries(track),
        }
    }

    pub(super) fn put(&mut self, frames: &[Frame], next: Option<&Frame>) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Ts(muxer) => {
                for frame in frames {
                    // A frame that is broken leaves no trace.
                    let _ = muxer.put(frame, &mut out);
                }
            }
            Self::Fmp4(muxer) => muxer.put_all(frames, next, &mut out),
        }
        out.freeze()
    }
}
