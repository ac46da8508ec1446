//! FLV: a file header, then tags.

use super::{Around, Body};
use bytes::{BufMut, Bytes, BytesMut};
use headgate_codec::{Frame, Timestamp, Track, TrackKind};
use headgate_flv::{Form, TagKind, file_header, put_tag, tag_ends};
use headgate_hub::Start;
use smallvec::SmallVec;

pub(super) struct Flv(pub(super) Form);

impl Body for Flv {
    fn start(&mut self, start: &Start<'_>, out: &mut BytesMut) {
        let has = |kind| start.tracks.iter().any(|t| t.kind() == kind && self.0.carries(t));
        if !start.resumed {
            out.put_slice(&file_header(has(TrackKind::Video), has(TrackKind::Audio)));
        }
        if let Some(metadata) = start.metadata {
            self.metadata(metadata, out);
        }
        for track in start.tracks {
            self.config(track, start.at, out);
        }
    }

    fn config(&mut self, track: &Track, at: Timestamp, out: &mut BytesMut) {
        let body = self.0.config(track);
        if !body.is_empty() {
            put(out, track.kind().into(), at, &[&body]);
        }
    }

    /// At time 0, whenever it comes: ffmpeg takes metadata of a later time for a track of subtitles.
    fn metadata(&mut self, metadata: &Bytes, out: &mut BytesMut) {
        put(out, TagKind::Script, Timestamp::default(), &[metadata]);
    }

    fn data(&mut self, data: &Bytes, at: Timestamp, out: &mut BytesMut) {
        put(out, TagKind::Script, at, &[data]);
    }

    fn around(&mut self, track: &Track, frame: &Frame) -> Option<Around> {
        let prefix = self.0.prefix(track, frame);
        if prefix.is_empty() {
            return None;
        }
        let size = prefix.len().saturating_add(frame.payload.len());
        let (header, tail) = tag_ends(track.kind().into(), frame.dts.as_wrapped_millis(), size).ok()?;
        let mut head = SmallVec::from_slice(&header);
        head.extend_from_slice(&prefix);
        Some((head, tail))
    }
}

/// A tag; nothing when the body does not fit into one, which the hub's bound on frames rules out.
fn put(out: &mut BytesMut, kind: TagKind, at: Timestamp, parts: &[&[u8]]) {
    let _ = put_tag(out, kind, at.as_wrapped_millis(), parts);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Container, Framing, MediaFormat};
    use headgate_codec::{AudioInfo, Codec, TrackId};
    use headgate_flv::TagReader;
    use headgate_hub::Format;

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
        let format = MediaFormat::new(Container::Flv, Framing::Plain);
        let first = format.start(&start);
        assert_eq!(kinds(first.clone()), [(TagKind::Script, 0), (TagKind::Video, 5)]);
        assert_eq!(first[4], 5, "both kinds are announced");
        let again = format.start(&Start { resumed: true, ..start });
        assert_eq!(again, first.slice(13..));
    }
}
