//! Audio bodies: classic AAC, MP3 and G.711, and enhanced RTMP's FourCC codecs.

use crate::{Body, Error, fourcc};
use bytes::{Buf, Bytes};
use headgate_codec::{AudioInfo, Codec, Track, TrackId, TrackKind};

const WHAT: &str = "audio tag";

/// Reads the body of an audio tag or message.
pub fn parse_audio(mut body: Bytes) -> Result<Body, Error> {
    let first = body.try_get_u8().map_err(|_| Error::Truncated { what: WHAT })?;
    match first >> 4 {
        10 => aac(body),
        2 | 14 => Ok(frame(Codec::Mp3, body)),
        7 => Ok(frame(Codec::G711a, body)),
        8 => Ok(frame(Codec::G711u, body)),
        9 => enhanced(first & 15, body),
        0 | 3 => Ok(Body::Ignored("linear PCM")),
        1 => Ok(Body::Ignored("ADPCM")),
        4..=6 => Ok(Body::Ignored("Nellymoser")),
        11 => Ok(Body::Ignored("Speex")),
        value => Err(Error::Invalid {
            what: "sound format",
            value: u32::from(value),
        }),
    }
}

/// What the first byte of a classic body says of the sound of a codec without configuration (annex E.4.2.1).
pub(crate) fn implied_info(codec: Codec, first: u8) -> AudioInfo {
    let sample_rate = match (codec, first >> 4, (first >> 2) & 3) {
        (Codec::G711a | Codec::G711u, _, _) | (_, 14, _) => 8_000,
        (_, _, 0) => 5_512,
        (_, _, 1) => 11_025,
        (_, _, 2) => 22_050,
        _ => 44_100,
    };
    AudioInfo {
        sample_rate,
        channels: u32::from(first & 1).saturating_add(1),
    }
}

fn aac(mut body: Bytes) -> Result<Body, Error> {
    match body.try_get_u8().map_err(|_| Error::Truncated { what: WHAT })? {
        0 => config(Codec::Aac, body),
        1 => Ok(frame(Codec::Aac, body)),
        value => Err(Error::Invalid {
            what: "AAC packet type",
            value: u32::from(value),
        }),
    }
}

fn enhanced(packet_type: u8, mut body: Bytes) -> Result<Body, Error> {
    match packet_type {
        5 => return Ok(Body::Ignored("enhanced audio multitrack")),
        7 => return Ok(Body::Ignored("enhanced audio ModEx")),
        _ => {}
    }
    let mut name = [0; 4];
    body.try_copy_to_slice(&mut name)
        .map_err(|_| Error::Truncated { what: WHAT })?;
    let codec = match (&name, fourcc::codec(name)) {
        (b"ac-3", _) => return Ok(Body::Ignored("enhanced audio AC-3")),
        (b"ec-3", _) => return Ok(Body::Ignored("enhanced audio E-AC-3")),
        (_, Some(codec)) if codec.kind() == TrackKind::Audio => codec,
        _ => return Ok(Body::Ignored("enhanced audio of a codec that is not carried")),
    };
    match packet_type {
        0 => config(codec, body),
        1 => Ok(frame(codec, body)),
        2 => Ok(Body::EndOfSequence),
        4 => Ok(Body::Ignored("enhanced audio channel configuration")),
        value => Err(Error::Invalid {
            what: "enhanced audio packet type",
            value: u32::from(value),
        }),
    }
}

fn config(codec: Codec, config: Bytes) -> Result<Body, Error> {
    Ok(match codec {
        _ if config.is_empty() => Body::Ignored("empty audio sequence header"),
        Codec::Aac => Body::Config(Track::aac(TrackId::AUDIO, config)?),
        _ => Body::Config(Track::plain(TrackId::AUDIO, codec, config)),
    })
}

fn frame(codec: Codec, payload: Bytes) -> Body {
    if payload.is_empty() {
        return Body::Ignored("empty audio frame");
    }
    Body::Frame {
        codec,
        key: true,
        composition_millis: 0,
        payload,
    }
}
