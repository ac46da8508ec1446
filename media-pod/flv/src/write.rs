//! Writing tags. HEVC and newer codecs are written in enhanced RTMP's form, which today's ffmpeg, OBS and mpegts.js read.

use crate::{BODY_MAX, Error, TagKind, fourcc};
use bytes::{BufMut, Bytes, BytesMut};
use headgate_codec::{AudioInfo, Codec, Frame, Track, TrackKind};

/// The few bytes of a tag body before the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    bytes: [u8; 8],
    length: u8,
}

impl Prefix {
    fn new<const N: usize>(head: [u8; N]) -> Self {
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(head).for_each(|(to, from)| *to = from);
        Self {
            bytes,
            length: u8::try_from(N.min(8)).unwrap_or(8),
        }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }
}

/// What stands before a frame's payload in its tag body.
pub fn body_prefix(track: &Track, frame: &Frame) -> Prefix {
    let frame_type: u8 = if frame.key { 0x10 } else { 0x20 };
    let [_, c0, c1, c2] = composition(frame).to_be_bytes();
    let name = fourcc::of(track.codec).unwrap_or_default();
    let [f0, f1, f2, f3] = name;
    match track.codec {
        Codec::H264 => Prefix::new([frame_type | 7, 1, c0, c1, c2]),
        Codec::H265 => Prefix::new([0x80 | frame_type | 1, f0, f1, f2, f3, c0, c1, c2]),
        Codec::Av1 | Codec::Vp9 => Prefix::new([0x80 | frame_type | 1, f0, f1, f2, f3]),
        Codec::Aac => Prefix::new([AAC, 1]),
        Codec::Opus | Codec::Flac => Prefix::new([0x91, f0, f1, f2, f3]),
        Codec::Mp3 => Prefix::new([mp3_flags(track.audio)]),
        Codec::G711a => Prefix::new([0x72 | stereo(track.audio)]),
        Codec::G711u => Prefix::new([0x82 | stereo(track.audio)]),
    }
}

/// The body of a sequence header; empty for codecs that have none.
pub fn config_body(track: &Track) -> Bytes {
    let [f0, f1, f2, f3] = fourcc::of(track.codec).unwrap_or_default();
    let head = match track.codec {
        Codec::H264 => Prefix::new([0x17, 0, 0, 0, 0]),
        Codec::H265 | Codec::Av1 | Codec::Vp9 | Codec::Opus | Codec::Flac => Prefix::new([0x90, f0, f1, f2, f3]),
        Codec::Aac => Prefix::new([AAC, 0]),
        Codec::Mp3 | Codec::G711a | Codec::G711u => return Bytes::new(),
    };
    [head.as_slice(), &track.config].concat().into()
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
    let size = body_bytes(parts);
    if size > BODY_MAX {
        return Err(Error::TooLarge(size));
    }
    out.put_u8(kind.id());
    out.put_uint(size as u64, 3);
    out.put_uint(u64::from(timestamp_millis & 0x00ff_ffff), 3);
    out.put_uint(u64::from(timestamp_millis >> 24), 1);
    out.put_uint(0, 3);
    for part in parts {
        out.put_slice(part);
    }
    out.put_uint(size.saturating_add(11) as u64, 4);
    Ok(())
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
