//! What audio and video have in common in enhanced RTMP v2's bodies: modifiers, then one track or several.

use crate::Error;
use bytes::{Buf, Bytes};
use smallvec::SmallVec;

/// Packet type of a modifier, for both kinds.
pub(crate) const MOD_EX: u8 = 7;
/// The one modifier that there is: nanoseconds to be added to the time.
const NANO_OFFSET: u8 = 0;
/// Modifiers before one packet; publishers send one.
const MODIFIERS_MAX: usize = 8;
/// Tracks in one message; real ones have a few.
const TRACKS_MAX: usize = 16;
const ONE_TRACK: u8 = 0;
/// Several, each with its codec. Number 1, several of one codec, lies between the two.
const MANY_CODECS: u8 = 2;

/// One track's part of a message.
pub(crate) struct Part {
    pub(crate) packet_type: u8,
    pub(crate) four_cc: [u8; 4],
    /// Which of its kind.
    pub(crate) number: u8,
    pub(crate) body: Bytes,
}

/// The parts of a message.
pub(crate) type Parts = SmallVec<[Part; 1]>;

/// Passes over the modifiers. Gives the packet type behind them, and the nanoseconds they say.
pub(crate) fn modifiers(mut packet_type: u8, body: &mut Bytes, what: &'static str) -> Result<(u8, u32), Error> {
    let (mut nanos, mut seen) = (0, 0_usize);
    while packet_type == MOD_EX {
        seen = seen.saturating_add(1);
        if seen > MODIFIERS_MAX {
            return Err(Error::Invalid {
                what: "number of modifiers",
                value: u32::try_from(seen).unwrap_or(u32::MAX),
            });
        }
        let data = modifier(body, what)?;
        let next = u8_of(body, what)?;
        packet_type = next & 15;
        if next >> 4 == NANO_OFFSET
            && let Some(&[a, b, c]) = data.first_chunk::<3>()
        {
            // More than a millisecond would belong into the timestamp.
            nanos = u32::from_be_bytes([0, a, b, c]).min(999_999);
        }
    }
    Ok((packet_type, nanos))
}

/// One modifier's data, of 1 to 256 bytes, or up to 65,536 behind a longer size.
fn modifier(body: &mut Bytes, what: &'static str) -> Result<Bytes, Error> {
    let short = usize::from(u8_of(body, what)?).saturating_add(1);
    let size = if short == 256 {
        usize::from(body.try_get_u16().map_err(|_| Error::Truncated { what })?).saturating_add(1)
    } else {
        short
    };
    take(body, size, what)
}

/// The one track's part that a message without multitrack has.
pub(crate) fn single(packet_type: u8, mut body: Bytes, what: &'static str) -> Result<Parts, Error> {
    let four_cc = four_cc(&mut body, what)?;
    Ok(SmallVec::from_buf([Part {
        packet_type,
        four_cc,
        number: 0,
        body,
    }]))
}

/// The parts of a multitrack message.
pub(crate) fn multitrack(mut body: Bytes, what: &'static str) -> Result<Parts, Error> {
    let head = u8_of(&mut body, what)?;
    let (form, packet_type) = (head >> 4, head & 15);
    if form > MANY_CODECS {
        return Err(Error::Invalid {
            what: "multitrack type",
            value: u32::from(form),
        });
    }
    let mut name = [0; 4];
    if form != MANY_CODECS {
        name = four_cc(&mut body, what)?;
    }
    let mut parts = Parts::new();
    while !body.is_empty() {
        if parts.len() >= TRACKS_MAX {
            return Err(Error::Invalid {
                what: "number of tracks in a message",
                value: u32::try_from(TRACKS_MAX).unwrap_or(u32::MAX),
            });
        }
        if form == MANY_CODECS {
            name = four_cc(&mut body, what)?;
        }
        let number = u8_of(&mut body, what)?;
        let part = if form == ONE_TRACK {
            std::mem::take(&mut body)
        } else {
            let size = body.try_get_uint(3).map_err(|_| Error::Truncated { what })?;
            take(&mut body, usize::try_from(size).unwrap_or(usize::MAX), what)?
        };
        parts.push(Part {
            packet_type,
            four_cc: name,
            number,
            body: part,
        });
    }
    Ok(parts)
}

/// The first bytes of a multitrack body with one track.
pub(crate) fn one_track_head(packet_type: u8, [a, b, c, d]: [u8; 4], number: u8) -> [u8; 6] {
    [ONE_TRACK << 4 | packet_type, a, b, c, d, number]
}

pub(crate) fn u8_of(body: &mut Bytes, what: &'static str) -> Result<u8, Error> {
    body.try_get_u8().map_err(|_| Error::Truncated { what })
}

fn four_cc(body: &mut Bytes, what: &'static str) -> Result<[u8; 4], Error> {
    let mut name = [0; 4];
    body.try_copy_to_slice(&mut name)
        .map_err(|_| Error::Truncated { what })?;
    Ok(name)
}

fn take(body: &mut Bytes, size: usize, what: &'static str) -> Result<Bytes, Error> {
    if body.len() < size {
        return Err(Error::Truncated { what });
    }
    Ok(body.split_to(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHAT: &str = "test";

    fn parts(body: &'static [u8]) -> Result<Vec<(u8, [u8; 4], u8, Bytes)>, Error> {
        let parts = multitrack(Bytes::from_static(body), WHAT)?;
        Ok(parts
            .into_iter()
            .map(|p| (p.packet_type, p.four_cc, p.number, p.body))
            .collect())
    }

    #[test]
    fn every_form_of_multitrack_comes_to_its_tracks() {
        let one = parts(b"\x01av01\x03xyz").unwrap();
        assert_eq!(one, [(1, *b"av01", 3, Bytes::from("xyz"))]);
        let many = parts(b"\x10hvc1\x00\0\0\x02ab\x01\0\0\x01c").unwrap();
        assert_eq!(
            many,
            [(0, *b"hvc1", 0, Bytes::from("ab")), (0, *b"hvc1", 1, Bytes::from("c"))]
        );
        let codecs = parts(b"\x21av01\x00\0\0\x01ahvc1\x01\0\0\x01b").unwrap();
        assert_eq!(
            codecs,
            [(1, *b"av01", 0, Bytes::from("a")), (1, *b"hvc1", 1, Bytes::from("b"))]
        );
    }

    #[test]
    fn what_does_not_fit_into_its_message_is_an_error() {
        assert_eq!(parts(b"\x10hvc1\x00\0\0\x03ab"), Err(Error::Truncated { what: WHAT }));
        assert_eq!(
            parts(b"\x30"),
            Err(Error::Invalid {
                what: "multitrack type",
                value: 3
            })
        );
        assert_eq!(parts(b"\x10hv"), Err(Error::Truncated { what: WHAT }));
        let countless = Bytes::from([&b"\x10hvc1"[..], &[0; 4 * (TRACKS_MAX + 1)]].concat());
        assert!(matches!(multitrack(countless, WHAT), Err(Error::Invalid { .. })));
    }

    #[test]
    fn modifiers_are_passed_over_and_the_nanoseconds_kept() {
        let mut body = Bytes::from_static(&[2, 0, 1, 0, 0x01, b'r']);
        assert_eq!(modifiers(MOD_EX, &mut body, WHAT), Ok((1, 256)));
        assert_eq!(body, "r");
        // One that is not known, of a longer size, before it.
        let mut body = Bytes::from([&[255, 1, 0][..], &[9; 257], &[0x17, 2, 0, 0, 5, 0x03]].concat());
        assert_eq!(modifiers(MOD_EX, &mut body, WHAT), Ok((3, 5)));
        let mut body = Bytes::from([0, 0, 7].repeat(20));
        assert!(modifiers(MOD_EX, &mut body, WHAT).is_err(), "countless");
        assert_eq!(
            modifiers(MOD_EX, &mut Bytes::from_static(&[2, 0]), WHAT),
            Err(Error::Truncated { what: WHAT })
        );
    }
}
