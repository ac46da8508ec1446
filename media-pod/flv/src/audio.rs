//! Audio bodies: classic AAC, MP3, G.711 and Speex, and enhanced RTMP's FourCC codecs.

use crate::enhanced::{self, Part, u8_of};
use crate::{Body, Error, Parsed, TrackBody, fourcc};
use bytes::Bytes;
use headgate_codec::{AudioInfo, Codec, Track, TrackId, TrackKind, ac3, mp3};

const WHAT: &str = "audio tag";
const ENHANCED: u8 = 9;
pub(crate) const MULTITRACK: u8 = 5;

/// Reads the body of an audio tag or message.
pub fn parse_audio(mut body: Bytes) -> Result<Parsed, Error> {
    let first = u8_of(&mut body, WHAT)?;
    let one = match first >> 4 {
        10 => aac(body)?,
        2 | 14 => frame(Codec::Mp3, body),
        7 => frame(Codec::G711a, body),
        8 => frame(Codec::G711u, body),
        11 => frame(Codec::Speex, body),
        ENHANCED => return enhanced(first & 15, body),
        0 | 3 => Body::Ignored("linear PCM"),
        1 => Body::Ignored("ADPCM"),
        4..=6 => Body::Ignored("Nellymoser"),
        value => {
            return Err(Error::Invalid {
                what: "sound format",
                value: u32::from(value),
            });
        }
    };
    Ok(one.into())
}

/// What a frame of a codec without configuration says of its sound; where it says nothing, what the first byte of its tag says (annex E.4.2.1).
pub(crate) fn implied_info(codec: Codec, first: u8, payload: &[u8]) -> AudioInfo {
    let heard = match codec {
        Codec::Mp3 => mp3::parse(payload).ok().flatten().map(|head| head.info),
        Codec::Ac3 | Codec::Eac3 => ac3::info(payload).ok(),
        _ => None,
    };
    heard.unwrap_or_else(|| flags_info(codec, first))
}

fn flags_info(codec: Codec, first: u8) -> AudioInfo {
    let channels = u32::from(first & 1).saturating_add(1);
    let (sample_rate, channels) = match (codec, first >> 4, (first >> 2) & 3) {
        (Codec::Speex, _, _) => (16_000, 1),
        (Codec::Ac3 | Codec::Eac3, _, _) => (48_000, 2),
        (_, ENHANCED, _) => (44_100, 2),
        (Codec::G711a | Codec::G711u, _, _) | (_, 14, _) => (8_000, channels),
        (_, _, 0) => (5_512, channels),
        (_, _, 1) => (11_025, channels),
        (_, _, 2) => (22_050, channels),
        _ => (44_100, channels),
    };
    AudioInfo { sample_rate, channels }
}

fn aac(mut body: Bytes) -> Result<Body, Error> {
    match u8_of(&mut body, WHAT)? {
        0 => config(TrackId::AUDIO, Codec::Aac, body),
        1 => Ok(frame(Codec::Aac, body)),
        value => Err(Error::Invalid {
            what: "AAC packet type",
            value: u32::from(value),
        }),
    }
}

fn enhanced(packet_type: u8, mut body: Bytes) -> Result<Parsed, Error> {
    let (packet_type, nanos) = enhanced::modifiers(packet_type, &mut body, WHAT)?;
    let parts = if packet_type == MULTITRACK {
        enhanced::multitrack(body, WHAT)?
    } else {
        enhanced::single(packet_type, body, WHAT)?
    };
    let bodies = parts.into_iter().map(|part| {
        let number = part.number;
        Ok(TrackBody {
            number,
            body: one(part)?,
        })
    });
    Ok(Parsed {
        nanos,
        bodies: bodies.collect::<Result<_, Error>>()?,
    })
}

fn one(part: Part) -> Result<Body, Error> {
    let Some(id) = TrackId::of(TrackKind::Audio, part.number) else {
        return Ok(Body::Ignored("an audio track of a number that is not carried"));
    };
    let codec = match fourcc::codec(part.four_cc) {
        Some(codec) if codec.kind() == TrackKind::Audio => codec,
        _ => return Ok(Body::Ignored("enhanced audio of a codec that is not carried")),
    };
    match part.packet_type {
        0 => config(id, codec, part.body),
        1 => Ok(frame(codec, part.body)),
        2 => Ok(Body::EndOfSequence),
        4 => Ok(Body::Ignored("enhanced audio channel configuration")),
        value => Err(Error::Invalid {
            what: "enhanced audio packet type",
            value: u32::from(value),
        }),
    }
}

fn config(id: TrackId, codec: Codec, config: Bytes) -> Result<Body, Error> {
    Ok(match codec {
        _ if config.is_empty() => Body::Ignored("empty audio sequence header"),
        _ if codec.needs_no_config() => Body::Ignored("sequence header of a codec that has none"),
        Codec::Aac => Body::Config(Track::aac(id, config)?),
        Codec::Opus => Body::Config(Track::opus(id, config)),
        Codec::Flac => Body::Config(Track::flac(id, config)),
        _ => Body::Config(Track::plain(id, codec, config)),
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
