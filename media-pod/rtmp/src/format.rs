//! What RTMP viewers get: each frame cut into chunks once per stream, as bytes that every connection can send as they are.
//!
//! That works because every connection uses the same chunk size, chunk streams and message stream, and times are absolute.

use crate::CHUNK_SIZE;
use crate::chunk::put_message;
use crate::message::kind;
use crate::server::STREAM_ID;
use bytes::{Bytes, BytesMut};
use headgate_codec::{Frame, Timestamp, Track, TrackKind};
use headgate_flv::Form;
use headgate_hub::{Format, FormatId, Start};

const CSID_AUDIO: u8 = 4;
const CSID_DATA: u8 = 5;
const CSID_VIDEO: u8 = 6;

/// The output format of this crate, for viewers who understand a form of FLV.
#[derive(Clone, Copy, Debug, Default)]
pub struct RtmpFormat(pub Form);

impl Format for RtmpFormat {
    fn id(&self) -> FormatId {
        FormatId(match (self.0.multitrack, self.0.four_cc) {
            (false, false) => "rtmp",
            (false, true) => "rtmp-fourcc",
            (true, false) => "rtmp-tracks",
            (true, true) => "rtmp-fourcc-tracks",
        })
    }

    fn carries(&self, track: &Track) -> bool {
        self.0.carries(track)
    }

    fn start(&self, start: &Start<'_>) -> Bytes {
        let mut out = BytesMut::new();
        if let Some(metadata) = start.metadata {
            out.extend_from_slice(&self.metadata(metadata, start.at));
        }
        for track in start.tracks {
            out.extend_from_slice(&self.config(track, start.at));
        }
        out.freeze()
    }

    fn config(&self, track: &Track, at: Timestamp) -> Bytes {
        let body = self.0.config(track);
        if body.is_empty() {
            return body;
        }
        let (csid, kind) = lane(track.kind());
        write(csid, kind, at, &[&body])
    }

    /// At time 0, whenever it comes: ffmpeg takes metadata of a later time for a track of subtitles.
    fn metadata(&self, metadata: &Bytes, _: Timestamp) -> Bytes {
        write(CSID_DATA, kind::DATA_AMF0, Timestamp::from_millis(0), &[metadata])
    }

    fn data(&self, data: &Bytes, at: Timestamp) -> Bytes {
        write(CSID_DATA, kind::DATA_AMF0, at, &[data])
    }

    fn frame(&self, track: &Track, frame: &Frame) -> Bytes {
        let prefix = self.0.prefix(track, frame);
        if prefix.is_empty() {
            return Bytes::new();
        }
        let (csid, kind) = lane(frame.kind);
        write(csid, kind, frame.dts, &[&prefix, &frame.payload])
    }
}

fn lane(kind: TrackKind) -> (u8, u8) {
    match kind {
        TrackKind::Audio => (CSID_AUDIO, kind::AUDIO),
        TrackKind::Video => (CSID_VIDEO, kind::VIDEO),
    }
}

fn write(csid: u8, kind: u8, at: Timestamp, parts: &[&[u8]]) -> Bytes {
    let mut out = BytesMut::new();
    put_message(
        &mut out,
        (csid, kind, STREAM_ID),
        at.as_wrapped_millis(),
        parts,
        CHUNK_SIZE,
    );
    out.freeze()
}
