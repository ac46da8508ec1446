//! What RTMP viewers get: each frame cut into chunks once per stream, as bytes that every connection can send as they are.
//!
//! That works because every connection uses the same chunk size, chunk streams and message stream, and times are absolute.

use crate::CHUNK_SIZE;
use crate::chunk::{message_head, put_message};
use crate::message::kind;
use crate::server::STREAM_ID;
use bytes::{Bytes, BytesMut};
use headgate_codec::{Frame, Timestamp, Track, TrackKind};
use headgate_flv::Form;
use headgate_hub::{Format, FormatId, Packet, Start};

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

    fn frame(&self, track: &Track, frame: &Frame) -> Packet {
        let prefix = self.0.prefix(track, frame);
        if prefix.is_empty() {
            return Packet::default();
        }
        let (csid, kind) = lane(frame.kind);
        let length = prefix.len().saturating_add(frame.payload.len());
        if length > CHUNK_SIZE {
            return write(csid, kind, frame.dts, &[&prefix, &frame.payload]).into();
        }
        let mut head = message_head((csid, kind, STREAM_ID), frame.dts.as_wrapped_millis(), length);
        head.extend_from_slice(&prefix);
        Packet::around(&head, frame.payload.clone(), &[])
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

/// Appends messages that a [`RtmpFormat`] made, as messages of another message stream: a server that is pushed to gives what number it likes.
pub fn put_on_stream(messages: &[u8], stream_id: u32, out: &mut BytesMut) {
    if stream_id == STREAM_ID {
        return out.extend_from_slice(messages);
    }
    let mut rest = messages;
    while let Some((head, behind)) = rest.split_first_chunk::<HEADER>() {
        let [basic, time @ .., _, _, _, _] = head;
        out.extend_from_slice(&[*basic]);
        out.extend_from_slice(time);
        out.extend_from_slice(&stream_id.to_le_bytes());
        let (body, next) = behind.split_at(body_bytes(head).min(behind.len()));
        out.extend_from_slice(body);
        rest = next;
    }
}

/// Basic and message header of the first chunk of a message that we made.
const HEADER: usize = 12;

/// What stands behind that header up to the next message: an extended time, the payload, and the headers of further chunks.
fn body_bytes(&[_, t0, t1, t2, l0, l1, l2, ..]: &[u8; HEADER]) -> usize {
    let length = usize::try_from(u32::from_be_bytes([0, l0, l1, l2])).unwrap_or(usize::MAX);
    let extended = if [t0, t1, t2] == [0xff; 3] { 4_usize } else { 0 };
    let chunks = length.div_ceil(CHUNK_SIZE).max(1);
    let more = chunks.saturating_sub(1).saturating_mul(extended.saturating_add(1));
    length.saturating_add(extended).saturating_add(more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{ChunkReader, Limits};

    #[test]
    fn messages_go_to_another_message_stream_as_they_are() {
        let mut messages = BytesMut::new();
        for (size, millis) in [(10, 5), (0, 6), (150_000, 7), (200_000, 0x0100_0000), (3, -1)] {
            let image = write(6, kind::VIDEO, Timestamp::from_millis(millis), &[&vec![7; size]]);
            messages.extend_from_slice(&image);
        }
        let read = |stream_id| {
            let (mut out, mut reader) = (BytesMut::new(), ChunkReader::new(Limits::default()));
            put_on_stream(&messages, stream_id, &mut out);
            reader.set_chunk_size(u32::try_from(CHUNK_SIZE).unwrap()).unwrap();
            let mut seen = Vec::new();
            while let Some(message) = reader.next(&mut out).unwrap() {
                assert_eq!(message.stream_id, stream_id);
                seen.push((message.timestamp, message.payload));
            }
            seen
        };
        assert_eq!(read(STREAM_ID).len(), 5);
        assert_eq!(read(7), read(STREAM_ID));
    }
}
