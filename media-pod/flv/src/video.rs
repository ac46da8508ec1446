//! Video bodies: classic AVC, HEVC under its unofficial codec id 12, and enhanced RTMP's FourCC codecs.

use crate::enhanced::{self, Part, u8_of};
use crate::{Body, Error, Parsed, TrackBody, fourcc};
use bytes::{Buf, Bytes};
use headgate_codec::{Codec, Track, TrackId, TrackKind};

const WHAT: &str = "video tag";
const FRAME_KEY: u8 = 1;
const FRAME_GENERATED_KEY: u8 = 4;
const FRAME_COMMAND: u8 = 5;
const CODEC_AVC: u8 = 7;
const CODEC_HEVC: u8 = 12;
/// `VideoPacketType.Metadata`: colours, for one.
const METADATA: u8 = 4;
pub(crate) const MULTITRACK: u8 = 6;

/// Reads the body of a video tag or message.
pub fn parse_video(mut body: Bytes) -> Result<Parsed, Error> {
    let first = u8_of(&mut body, WHAT)?;
    let frame_type = (first >> 4) & 7;
    let key = matches!(frame_type, FRAME_KEY | FRAME_GENERATED_KEY);
    if first & 0x80 != 0 {
        return enhanced(first & 15, frame_type, key, body);
    }
    if frame_type == FRAME_COMMAND {
        return Ok(Body::Ignored("video command frame").into());
    }
    match first & 15 {
        CODEC_AVC => classic(Codec::H264, key, body).map(Into::into),
        CODEC_HEVC => classic(Codec::H265, key, body).map(Into::into),
        1..=6 => Ok(Body::Ignored("video codec older than H.264").into()),
        value => Err(Error::Invalid {
            what: "video codec id",
            value: u32::from(value),
        }),
    }
}

fn classic(codec: Codec, key: bool, mut body: Bytes) -> Result<Body, Error> {
    let packet_type = u8_of(&mut body, WHAT)?;
    let composition_millis = composition(&mut body)?;
    match packet_type {
        0 => Ok(match config(TrackId::VIDEO, codec, body)? {
            Body::Config(track) => Body::Config(Track {
                old_id: codec == Codec::H265,
                ..track
            }),
            other => other,
        }),
        1 => Ok(frame(codec, key, composition_millis, body)),
        2 => Ok(Body::EndOfSequence),
        value => Err(Error::Invalid {
            what: "AVC packet type",
            value: u32::from(value),
        }),
    }
}

fn enhanced(packet_type: u8, frame_type: u8, key: bool, mut body: Bytes) -> Result<Parsed, Error> {
    let (packet_type, nanos) = enhanced::modifiers(packet_type, &mut body, WHAT)?;
    if frame_type == FRAME_COMMAND && packet_type != METADATA {
        return Ok(Body::Ignored("video command frame").into());
    }
    let parts = if packet_type == MULTITRACK {
        enhanced::multitrack(body, WHAT)?
    } else {
        enhanced::single(packet_type, body, WHAT)?
    };
    let bodies = parts.into_iter().map(|part| {
        let number = part.number;
        Ok(TrackBody {
            number,
            body: one(part, key)?,
        })
    });
    Ok(Parsed {
        nanos,
        bodies: bodies.collect::<Result<_, Error>>()?,
    })
}

fn one(part: Part, key: bool) -> Result<Body, Error> {
    let (mut body, Some(id)) = (part.body, TrackId::of(TrackKind::Video, part.number)) else {
        return Ok(Body::Ignored("a video track of a number that is not carried"));
    };
    let Some(codec) = fourcc::codec(part.four_cc) else {
        return Ok(Body::Ignored("enhanced video of a codec that is not carried"));
    };
    match part.packet_type {
        0 => config(id, codec, body),
        1 if matches!(codec, Codec::H264 | Codec::H265) => {
            let composition_millis = composition(&mut body)?;
            Ok(frame(codec, key, composition_millis, body))
        }
        1 | 3 => Ok(frame(codec, key, 0, body)),
        2 => Ok(Body::EndOfSequence),
        METADATA => Ok(Body::Ignored("enhanced video metadata")),
        5 => Ok(Body::Ignored("MPEG-2 TS sequence start")),
        value => Err(Error::Invalid {
            what: "enhanced video packet type",
            value: u32::from(value),
        }),
    }
}

fn config(id: TrackId, codec: Codec, config: Bytes) -> Result<Body, Error> {
    Ok(match codec {
        // Some encoders end a stream with an empty sequence header.
        _ if config.is_empty() => Body::Ignored("empty video sequence header"),
        Codec::H264 => Body::Config(Track::h264(id, config)?),
        Codec::H265 => Body::Config(Track::h265(id, config)?),
        Codec::Av1 => Body::Config(Track::av1(id, config)),
        Codec::Vp9 => Body::Config(Track::plain(id, codec, config)),
        _ => Body::Ignored("sound under a video tag"),
    })
}

fn frame(codec: Codec, key: bool, composition_millis: i32, payload: Bytes) -> Body {
    match codec.kind() {
        TrackKind::Audio => Body::Ignored("sound under a video tag"),
        TrackKind::Video if payload.is_empty() => Body::Ignored("empty video frame"),
        TrackKind::Video => Body::Frame {
            codec,
            key,
            composition_millis,
            payload,
        },
    }
}

/// A signed 24-bit number.
fn composition(body: &mut Bytes) -> Result<i32, Error> {
    let raw = body.try_get_uint(3).map_err(|_| Error::Truncated { what: WHAT })?;
    Ok(u32::try_from(raw).unwrap_or(0).wrapping_shl(8).cast_signed() >> 8)
}
