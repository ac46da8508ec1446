//! Video bodies: classic AVC, HEVC under its unofficial codec id 12, and enhanced RTMP's FourCC codecs.

use crate::{Body, Error, fourcc};
use bytes::{Buf, Bytes};
use headgate_codec::{Codec, Track, TrackId};

const WHAT: &str = "video tag";
const FRAME_KEY: u8 = 1;
const FRAME_GENERATED_KEY: u8 = 4;
const FRAME_COMMAND: u8 = 5;
const CODEC_AVC: u8 = 7;
const CODEC_HEVC: u8 = 12;

/// Reads the body of a video tag or message.
pub fn parse_video(mut body: Bytes) -> Result<Body, Error> {
    let first = body.try_get_u8().map_err(|_| Error::Truncated { what: WHAT })?;
    let frame_type = (first >> 4) & 7;
    let key = matches!(frame_type, FRAME_KEY | FRAME_GENERATED_KEY);
    if first & 0x80 != 0 {
        return enhanced(first & 15, frame_type, key, body);
    }
    if frame_type == FRAME_COMMAND {
        return Ok(Body::Ignored("video command frame"));
    }
    match first & 15 {
        CODEC_AVC => classic(Codec::H264, key, body),
        CODEC_HEVC => classic(Codec::H265, key, body),
        1..=6 => Ok(Body::Ignored("video codec older than H.264")),
        value => Err(Error::Invalid {
            what: "video codec id",
            value: u32::from(value),
        }),
    }
}

fn classic(codec: Codec, key: bool, mut body: Bytes) -> Result<Body, Error> {
    let packet_type = body.try_get_u8().map_err(|_| Error::Truncated { what: WHAT })?;
    let composition_millis = composition(&mut body)?;
    match packet_type {
        0 => config(codec, body),
        1 => Ok(frame(codec, key, composition_millis, body)),
        2 => Ok(Body::EndOfSequence),
        value => Err(Error::Invalid {
            what: "AVC packet type",
            value: u32::from(value),
        }),
    }
}

fn enhanced(packet_type: u8, frame_type: u8, key: bool, mut body: Bytes) -> Result<Body, Error> {
    match packet_type {
        6 => return Ok(Body::Ignored("enhanced video multitrack")),
        7 => return Ok(Body::Ignored("enhanced video ModEx")),
        _ if frame_type == FRAME_COMMAND && packet_type != 4 => return Ok(Body::Ignored("video command frame")),
        _ => {}
    }
    let mut name = [0; 4];
    body.try_copy_to_slice(&mut name)
        .map_err(|_| Error::Truncated { what: WHAT })?;
    let Some(codec) = fourcc::codec(name) else {
        return Ok(Body::Ignored("enhanced video of a codec that is not carried"));
    };
    match packet_type {
        0 => config(codec, body),
        1 if matches!(codec, Codec::H264 | Codec::H265) => {
            let composition_millis = composition(&mut body)?;
            Ok(frame(codec, key, composition_millis, body))
        }
        1 | 3 => Ok(frame(codec, key, 0, body)),
        2 => Ok(Body::EndOfSequence),
        4 => Ok(Body::Ignored("enhanced video metadata")),
        5 => Ok(Body::Ignored("MPEG-2 TS sequence start")),
        value => Err(Error::Invalid {
            what: "enhanced video packet type",
            value: u32::from(value),
        }),
    }
}

fn config(codec: Codec, config: Bytes) -> Result<Body, Error> {
    Ok(match codec {
        // Some encoders end a stream with an empty sequence header.
        _ if config.is_empty() => Body::Ignored("empty video sequence header"),
        Codec::H264 => Body::Config(Track::h264(TrackId::VIDEO, config)?),
        Codec::H265 => Body::Config(Track::h265(TrackId::VIDEO, config)?),
        Codec::Av1 | Codec::Vp9 => Body::Config(Track::plain(TrackId::VIDEO, codec, config)),
        _ => Body::Ignored("sound under a video tag"),
    })
}

fn frame(codec: Codec, key: bool, composition_millis: i32, payload: Bytes) -> Body {
    match codec {
        Codec::H264 | Codec::H265 | Codec::Av1 | Codec::Vp9 if !payload.is_empty() => Body::Frame {
            codec,
            key,
            composition_millis,
            payload,
        },
        Codec::H264 | Codec::H265 | Codec::Av1 | Codec::Vp9 => Body::Ignored("empty video frame"),
        _ => Body::Ignored("sound under a video tag"),
    }
}

/// A signed 24-bit number.
fn composition(body: &mut Bytes) -> Result<i32, Error> {
    let raw = body.try_get_uint(3).map_err(|_| Error::Truncated { what: WHAT })?;
    Ok(u32::try_from(raw).unwrap_or(0).wrapping_shl(8).cast_signed() >> 8)
}
