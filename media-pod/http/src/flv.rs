//! FLV as the hub's output format: a file header, then tags.

use bytes::{BufMut, Bytes, BytesMut};
use headgate_codec::{Frame, Timestamp, Track, TrackKind};
use headgate_flv::{TagKind, body_prefix, config_body, file_header, put_tag, tag_bytes};
use headgate_hub::{Format, FormatId, Start};
use std::fmt::Write;

/// FLV tags, for HTTP-FLV and whoever else wants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlvFormat {
    /// As they stand in a file.
    Plain,
    /// Each as a chunk of HTTP/1.1's chunked coding (RFC 9112 §7.1), framed once for all viewers.
    Chunked,
}

/// The end of a chunked body.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl Format for FlvFormat {
    fn id(&self) -> FormatId {
        FormatId(match self {
            Self::Plain => "flv",
            Self::Chunked => "flv-chunked",
        })
    }

    fn start(&self, start: &Start<'_>) -> Bytes {
        let has = |kind| start.tracks.iter().any(|t| t.kind() == kind);
        let mut out = BytesMut::new();
        if !start.resumed {
            let header = file_header(has(TrackKind::Video), has(TrackKind::Audio));
            self.framed(&mut out, header.len(), |out| out.put_slice(&header));
        }
        if let Some(metadata) = start.metadata {
            out.put_slice(&self.metadata(metadata, start.at));
        }
        for track in start.tracks {
            out.put_slice(&self.config(track, start.at));
        }
        out.freeze()
    }

    fn config(&self, track: &Track, at: Timestamp) -> Bytes {
        let body = config_body(track);
        if body.is_empty() {
            body
        } else {
            self.tag(track.kind().into(), at, &[&body])
        }
    }

    /// At time 0, whenever it comes: ffmpeg takes metadata of a later time for a track of subtitles.
    fn metadata(&self, metadata: &Bytes, _: Timestamp) -> Bytes {
        self.tag(TagKind::Script, Timestamp::default(), &[metadata])
    }

    fn frame(&self, track: &Track, frame: &Frame) -> Bytes {
        self.tag(
            track.kind().into(),
            frame.dts,
            &[body_prefix(track, frame).as_slice(), &frame.payload],
        )
    }
}

impl FlvFormat {
    /// A tag; nothing when the body does not fit into one, which the hub's bound on frames rules out.
    fn tag(self, kind: TagKind, at: Timestamp, parts: &[&[u8]]) -> Bytes {
        let bytes = tag_bytes(parts);
        if bytes.saturating_sub(15) > headgate_flv::BODY_MAX {
            return Bytes::new();
        }
        let mut out = BytesMut::with_capacity(bytes.saturating_add(16));
        self.framed(&mut out, bytes, |out| {
            // It fits, as was just seen.
            let _ = put_tag(out, kind, at.as_wrapped_millis(), parts);
        });
        out.freeze()
    }

    fn framed(self, out: &mut BytesMut, bytes: usize, put: impl FnOnce(&mut BytesMut)) {
        if self == Self::Plain {
            return put(out);
        }
        // Writing to memory does not fail.
        let _ = write!(out, "{bytes:x}\r\n");
        put(out);
        out.put_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgate_codec::{AudioInfo, Codec, TrackId};
    use headgate_flv::TagReader;

    fn kinds(flv: Bytes) -> Vec<(TagKind, u32)> {
        TagReader::new(flv)
            .unwrap()
            .map(|t| t.map(|t| (t.kind, t.timestamp_millis)).unwrap())
            .collect()
    }

    #[test]
    fn a_viewer_gets_header_metadata_and_sequence_headers_and_after_a_gap_no_second_header() {
        let video = Track::plain(TrackId::VIDEO, Codec::Vp9, Bytes::from_static(&[1]));
        let audio = Track::sound(
            TrackId::AUDIO,
            Codec::Mp3,
            AudioInfo {
                sample_rate: 44_100,
                channels: 2,
            },
        );
        let (tracks, metadata) = ([video, audio], Bytes::from_static(&[2, 0, 1, b'x']));
        let at = Timestamp::from_millis(5);
        let start = Start {
            tracks: &tracks,
            metadata: Some(&metadata),
            at,
            resumed: false,
        };
        let first = FlvFormat::Plain.start(&start);
        assert_eq!(kinds(first.clone()), [(TagKind::Script, 0), (TagKind::Video, 5)]);
        assert_eq!(first[4], 5, "both kinds are announced");
        let again = FlvFormat::Plain.start(&Start { resumed: true, ..start });
        assert_eq!(again, first.slice(13..));
    }

    #[test]
    fn chunks_hold_just_what_stands_in_a_file() {
        let track = Track::plain(TrackId::VIDEO, Codec::Vp9, Bytes::from_static(&[1; 300]));
        let start = Start {
            tracks: &[track],
            metadata: None,
            at: Timestamp::default(),
            resumed: false,
        };
        let plain = FlvFormat::Plain.start(&start);
        let expected = [b"d\r\n", &plain[..13], b"\r\n140\r\n", &plain[13..], b"\r\n"].concat();
        assert_eq!(plain.len() - 13, 0x140);
        assert_eq!(FlvFormat::Chunked.start(&start), expected);
    }
}
