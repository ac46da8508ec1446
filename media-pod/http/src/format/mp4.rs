//! Fragmented MP4: an initialisation segment for each viewer, then a fragment a frame, or for those who are in step one for all that goes out together.
//!
//! Players cannot take up a track in the middle: one that comes late is left out up to the next place where viewers start. There the new
//! initialisation segment stands in the shared bytes too; a player that had fewer tracks before ends there, and comes again.

use super::Body;
use bytes::{BufMut, BytesMut};
use headgate_codec::{Frame, Timestamp, Track};
use headgate_fmp4::{Muxer, init_segment};
use headgate_hub::Start;

#[derive(Default)]
pub(super) struct Mp4 {
    muxer: Muxer,
    /// As viewers know them.
    tracks: Vec<Track>,
    /// The next fragment comes behind an initialisation segment.
    changed: bool,
}

impl Body for Mp4 {
    fn tracks(&mut self, tracks: &[Track]) {
        if self.tracks != tracks {
            self.changed = !self.tracks.is_empty();
            self.muxer.set_tracks(tracks);
            tracks.clone_into(&mut self.tracks);
        }
    }

    fn start(&mut self, start: &Start<'_>, out: &mut BytesMut) {
        out.put_slice(&init_segment(start.tracks));
    }

    fn config(&mut self, track: &Track, _: Timestamp, out: &mut BytesMut) {
        if let Some(known) = self.tracks.iter_mut().find(|known| known.id == track.id) {
            track.clone_into(known);
            self.muxer.set_tracks(&self.tracks);
            out.put_slice(&init_segment(&self.tracks));
        }
    }

    fn frame(&mut self, _: &Track, frame: &Frame, out: &mut BytesMut) {
        if std::mem::take(&mut self.changed) {
            out.put_slice(&init_segment(&self.tracks));
        }
        self.muxer.put(frame, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Container, Framing, MediaFormat};
    use bytes::Bytes;
    use headgate_codec::{AudioInfo, Codec, TrackId, TrackKind};
    use headgate_fmp4::{Demuxed, Reader};
    use headgate_hub::Format;

    fn names(bytes: &[u8]) -> Vec<String> {
        let (mut reader, mut out) = (Reader::default(), Vec::new());
        reader.push(bytes, &mut out).unwrap();
        let name = |demuxed: &Demuxed| match demuxed {
            Demuxed::Track(track) => format!("track {}", track.id.0),
            Demuxed::Frame(frame) => format!("frame of {}", frame.track.0),
        };
        out.iter().map(name).collect()
    }

    #[test]
    fn frames_that_go_out_together_are_one_fragment_in_one_piece() {
        let video = Track::plain(TrackId::VIDEO, Codec::Vp9, Bytes::from_static(&[1; 12]));
        for framing in [Framing::Plain, Framing::Chunked, Framing::WebSocket] {
            let format = MediaFormat::new(Container::Mp4, framing);
            format.tracks(std::slice::from_ref(&video));
            let packet = |n: i64| {
                let at = Timestamp::from_millis(n * 40);
                format.frame(
                    &video,
                    &Frame {
                        track: video.id,
                        kind: TrackKind::Video,
                        dts: at,
                        pts: at,
                        key: n == 0,
                        payload: vec![5; 90].into(),
                    },
                )
            };
            let packets = [0, 1, 2].map(|n| packet(n).to_bytes());
            let together = format.gather(&packets).unwrap();
            let init = init_segment(std::slice::from_ref(&video));
            let stream = [&init[..], framing.unwrap(&together).unwrap()].concat();
            assert_eq!(names(&stream), ["track 0", "frame of 0", "frame of 0", "frame of 0"]);
            assert_eq!(stream.windows(4).filter(|name| name == b"moof").count(), 1);
            assert!(together.len() < packets.concat().len());
        }
        assert_eq!(
            MediaFormat::new(Container::Flv, Framing::Chunked).gather(&[Bytes::from_static(b"x")]),
            None
        );
    }

    #[test]
    fn a_late_track_waits_for_the_next_start() {
        let info = AudioInfo {
            sample_rate: 8_000,
            channels: 1,
        };
        let video = Track::plain(TrackId::VIDEO, Codec::Vp9, Bytes::from_static(&[1; 12]));
        let audio = Track::sound(TrackId::AUDIO, Codec::G711a, info);
        let frame = |track: &Track| Frame {
            track: track.id,
            kind: TrackKind::Video,
            dts: Timestamp::default(),
            pts: Timestamp::default(),
            key: true,
            payload: Bytes::from_static(&[1]),
        };
        let (mut mp4, mut out) = (Mp4::default(), BytesMut::new());
        mp4.tracks(std::slice::from_ref(&video));
        out.put_slice(&init_segment(std::slice::from_ref(&video)));
        mp4.frame(&video, &frame(&video), &mut out);
        mp4.config(&audio, Timestamp::default(), &mut out);
        mp4.frame(&audio, &frame(&audio), &mut out);
        assert_eq!(names(&out), ["track 0", "frame of 0"]);
        out.clear();
        mp4.tracks(&[video.clone(), audio.clone()]);
        mp4.frame(&video, &frame(&video), &mut out);
        mp4.frame(&audio, &frame(&audio), &mut out);
        assert_eq!(names(&out), ["track 0", "track 1", "frame of 0", "frame of 1"]);
    }
}
