//! Writing tags. What FLV always had is written as it always was; newer codecs in enhanced RTMP's form, which today's ffmpeg, OBS and mpegts.js read.

use crate::enhanced::one_track_head;
use crate::{BODY_MAX, Error, TagKind, audio, fourcc, video};
use bytes::{BufMut, Bytes, BytesMut};
use headgate_codec::{AudioInfo, Codec, Frame, Track, TrackKind};
use smallvec::SmallVec;

/// What a reader of tags understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// HEVC under its FourCC in any case. Else it is passed on as its publisher named it, as SRS does: whoever publishes under the unofficial codec
    /// id 12 has players that know nothing else.
    pub four_cc: bool,
    /// All tracks. Else the first of each kind.
    pub multitrack: bool,
}

/// The few bytes of a tag body before the payload.
pub type Prefix = SmallVec<[u8; 16]>;

const SEQUENCE_START: u8 = 0;
const CODED_FRAMES: u8 = 1;
const KEY: u8 = 0x10;
const INTER: u8 = 0x20;

impl Form {
    /// Whether a track is written at all.
    pub fn carries(self, track: &Track) -> bool {
        track.id.number() == 0 || (self.multitrack && fourcc::of(track.codec).is_some())
    }

    /// What stands before a frame's payload in its tag body; nothing for a track that is not carried.
    pub fn prefix(self, track: &Track, frame: &Frame) -> Prefix {
        let frame_type = if frame.key { KEY } else { INTER };
        let [_, c0, c1, c2] = composition(frame).to_be_bytes();
        let composed: &[u8] = if matches!(track.codec, Codec::H264 | Codec::H265) {
            &[c0, c1, c2]
        } else {
            &[]
        };
        let mut prefix = self.head(track, frame_type, CODED_FRAMES);
        if !prefix.is_empty() {
            prefix.extend_from_slice(composed);
        }
        prefix
    }

    /// The body of a sequence header; empty for codecs that have none, and for tracks that are not carried.
    pub fn config(self, track: &Track) -> Bytes {
        if track.codec.needs_no_config() {
            return Bytes::new();
        }
        let mut head = self.head(track, KEY, SEQUENCE_START);
        if head.is_empty() {
            return Bytes::new();
        }
        if matches!(head.first(), Some(&(AVC_KEY | HEVC_KEY))) {
            head.extend_from_slice(&[0; 3]);
        }
        [&head, &track.config[..]].concat().into()
    }

    /// All but the composition time.
    fn head(self, track: &Track, frame_type: u8, packet_type: u8) -> Prefix {
        if !self.carries(track) {
            return Prefix::new();
        }
        match track.codec {
            _ if track.id.number() > 0 => multitrack_head(track, frame_type, packet_type),
            Codec::H264 => Prefix::from_slice(&[frame_type | AVC, packet_type]),
            Codec::H265 if track.old_id && !self.four_cc => Prefix::from_slice(&[frame_type | HEVC, packet_type]),
            Codec::Aac => Prefix::from_slice(&[AAC, packet_type]),
            Codec::Mp3 => Prefix::from_slice(&[mp3_flags(track.audio)]),
            Codec::G711a => Prefix::from_slice(&[0x72 | stereo(track.audio)]),
            Codec::G711u => Prefix::from_slice(&[0x82 | stereo(track.audio)]),
            Codec::Speex => Prefix::from_slice(&[SPEEX]),
            codec => {
                let mut head = Prefix::from_slice(&[enhanced_flags(codec.kind(), frame_type, packet_type)]);
                head.extend_from_slice(&fourcc::of(codec).unwrap_or_default());
                head
            }
        }
    }
}

/// Codec ids (annex E.4.3.1); HEVC's is not in it.
const AVC: u8 = 7;
const HEVC: u8 = 0x0c;
const AVC_KEY: u8 = KEY | AVC;
const HEVC_KEY: u8 = KEY | HEVC;

fn multitrack_head(track: &Track, frame_type: u8, packet_type: u8) -> Prefix {
    let Some(name) = fourcc::of(track.codec) else {
        return Prefix::new();
    };
    let multitrack = match track.kind() {
        TrackKind::Video => video::MULTITRACK,
        TrackKind::Audio => audio::MULTITRACK,
    };
    let mut head = Prefix::from_slice(&[enhanced_flags(track.kind(), frame_type, multitrack)]);
    head.extend_from_slice(&one_track_head(packet_type, name, track.id.number()));
    head
}

fn enhanced_flags(kind: TrackKind, frame_type: u8, packet_type: u8) -> u8 {
    match kind {
        TrackKind::Video => 0x80 | frame_type | packet_type,
        TrackKind::Audio => 0x90 | packet_type,
    }
}

/// An FLV file header with the first PreviousTagSize.
pub fn file_header(has_video: bool, has_audio: bool) -> Bytes {
    let flags = u8::from(has_video) | (u8::from(has_audio) << 2);
    Bytes::copy_from_slice(&[b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0])
}

/// One tag with its header and its PreviousTagSize; the body is made of `parts`, one behind the other.
pub fn tag(kind: TagKind, timestamp_millis: u32, parts: &[&[u8]]) -> Result<Bytes, Error> {
    let mut out = BytesMut::with_capacity(tag_bytes(parts));
    put_tag(&mut out, kind, timestamp_millis, parts)?;
    Ok(out.freeze())
}

/// Appends a tag to `out`; appends nothing when the body is too large.
pub fn put_tag(out: &mut BytesMut, kind: TagKind, timestamp_millis: u32, parts: &[&[u8]]) -> Result<(), Error> {
    let (head, tail) = tag_ends(kind, timestamp_millis, body_bytes(parts))?;
    out.put_slice(&head);
    for part in parts {
        out.put_slice(part);
    }
    out.put_slice(&tail);
    Ok(())
}

/// What stands before and behind a body of so many bytes: a tag's header and its PreviousTagSize.
pub fn tag_ends(kind: TagKind, timestamp_millis: u32, size: usize) -> Result<([u8; 11], [u8; 4]), Error> {
    let length = u32::try_from(size).ok().filter(|_| size <= BODY_MAX);
    let length = length.ok_or(Error::TooLarge(size))?;
    let [_, s0, s1, s2] = length.to_be_bytes();
    let [t3, t0, t1, t2] = timestamp_millis.to_be_bytes();
    let head = [kind.id(), s0, s1, s2, t0, t1, t2, t3, 0, 0, 0];
    Ok((head, length.saturating_add(11).to_be_bytes()))
}

/// Bytes of a tag with this body, header and PreviousTagSize counted.
pub fn tag_bytes(parts: &[&[u8]]) -> usize {
    body_bytes(parts).saturating_add(15)
}

fn body_bytes(parts: &[&[u8]]) -> usize {
    parts.iter().fold(0, |sum, part| sum.saturating_add(part.len()))
}

/// AAC always says 44 kHz, 16 bit, stereo; the truth is in its configuration (annex E.4.2.1).
const AAC: u8 = 0xaf;

/// Speex always says so (annex E.4.2.1): 5.5 kHz, 16 bit, mono.
const SPEEX: u8 = 0xb2;

fn stereo(audio: Option<AudioInfo>) -> u8 {
    u8::from(audio.is_some_and(|a| a.channels > 1))
}

fn mp3_flags(audio: Option<AudioInfo>) -> u8 {
    let (format, rate) = match audio.map_or(44_100, |a| a.sample_rate) {
        0..=5_512 => (2, 0),
        8_000 => (14, 0),
        5_513..=7_999 | 8_001..=11_025 => (2, 1),
        11_026..=22_050 => (2, 2),
        _ => (2, 3),
    };
    (format << 4) | (rate << 2) | 2 | stereo(audio)
}

/// Presentation less decoding time in milliseconds, within 24 bits.
fn composition(frame: &Frame) -> i32 {
    const LIMIT: i64 = (1 << 23) - 1;
    if frame.kind == TrackKind::Audio {
        return 0;
    }
    let millis = frame
        .pts
        .as_millis()
        .saturating_sub(frame.dts.as_millis())
        .clamp(-LIMIT, LIMIT);
    i32::try_from(millis).unwrap_or(0)
}
