//! What RTMP viewers get: each frame cut into chunks once per stream, as bytes that every connection can send as they are.
//!
//! That works because every connection uses the same chunk size, chunk streams and message stream, and times are absolute.

use crate::CHUNK_SIZE;
use crate::chunk::{RawMessage, write_message};
use crate::message::kind;
use crate::server::STREAM_ID;
use bytes::{BufMut, Bytes, BytesMut};
use headgate_codec::{Frame, Timestamp, Track, TrackKind};
use headgate_hub::{Format, FormatId, Start};

const CSID_AUDIO: u8 = 4;
const CSID_DATA: u8 = 5;
const CSID_VIDEO: u8 = 6;

/// The output format of this crate.
#[derive(Clone, Copy, Debug, Default)]
pub struct RtmpFormat;

impl Format for RtmpFormat {
    fn id(&self) -> FormatId {
        FormatId("rtmp")
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
        let body = headgate_flv::config_body(track);
        let mut out = BytesMut::new();
        if !body.is_empty() {
            let (csid, kind) = lane(track.kind());
            write(&mut out, csid, kind, at, body);
        }
        out.freeze()
    }

    /// At time 0, whenever it comes: ffmpeg takes metadata of a later time for a track of subtitles.
    fn metadata(&self, metadata: &Bytes, _: Timestamp) -> Bytes {
        let mut out = BytesMut::new();
        write(
            &mut out,
            CSID_DATA,
            kind::DATA_AMF0,
            Timestamp::from_millis(0),
            metadata.clone(),
        );
        out.freeze()
    }

    fn frame(&self, track: &Track, frame: &Frame) -> Bytes {
        let prefix = headgate_flv::body_prefix(track, frame);
        let mut body = BytesMut::with_capacity(prefix.as_slice().len().saturating_add(frame.payload.len()));
        body.put_slice(prefix.as_slice());
        body.put_slice(&frame.payload);
        let (csid, kind) = lane(frame.kind);
        let mut out = BytesMut::new();
        write(&mut out, csid, kind, frame.dts, body.freeze());
        out.freeze()
    }
}

fn lane(kind: TrackKind) -> (u8, u8) {
    match kind {
        TrackKind::Audio => (CSID_AUDIO, kind::AUDIO),
        TrackKind::Video => (CSID_VIDEO, kind::VIDEO),
    }
}

fn write(out: &mut BytesMut, csid: u8, kind: u8, at: Timestamp, payload: Bytes) {
    let message = RawMessage {
        timestamp: at.as_wrapped_millis(),
        kind,
        stream_id: STREAM_ID,
        payload,
    };
    write_message(out, csid, &message, CHUNK_SIZE);
}
