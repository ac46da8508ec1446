//! NAL units behind start codes, as transport streams carry them (H.264 and H.265 annex B), from and to our length-prefixed form.

use bytes::{BufMut, Bytes, BytesMut};
use headgate_codec::{Error, nal_units};
use smallvec::SmallVec;

pub(crate) const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Which of the two standards' NAL heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    H264,
    H265,
}

/// What a NAL unit is for, as far as the container cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Delimiter,
    ParameterSet,
    /// A picture where decoding can start.
    KeySlice,
    Other,
}

impl Syntax {
    pub(crate) fn unit(self, nal: &[u8]) -> Unit {
        let first = nal.first().copied().unwrap_or(0);
        match (
            self,
            if self == Self::H264 {
                first & 31
            } else {
                first >> 1 & 63
            },
        ) {
            (Self::H264, 9) | (Self::H265, 35) => Unit::Delimiter,
            (Self::H264, 7 | 8) | (Self::H265, 32..=34) => Unit::ParameterSet,
            (Self::H264, 5) | (Self::H265, 16..=21) => Unit::KeySlice,
            _ => Unit::Other,
        }
    }

    /// An access unit delimiter that allows any picture, behind its start code.
    pub(crate) fn delimiter(self) -> &'static [u8] {
        match self {
            Self::H264 => &[0, 0, 0, 1, 0x09, 0xf0],
            Self::H265 => &[0, 0, 0, 1, 0x46, 0x01, 0x50],
        }
    }
}

/// Each unit behind a start code.
pub(crate) fn join<'a>(units: impl IntoIterator<Item = &'a [u8]>) -> Bytes {
    let mut out = BytesMut::new();
    for unit in units {
        out.put_slice(&START_CODE);
        out.put_slice(unit);
    }
    out.freeze()
}

/// An access unit in parts that point into the payload: a delimiter, the parameter sets before a key frame that has none, the units.
pub(crate) fn access_unit<'a>(
    syntax: Syntax,
    length_size: usize,
    sets: &'a [u8],
    payload: &'a [u8],
) -> Result<SmallVec<[&'a [u8]; 16]>, Error> {
    let mut parts: SmallVec<[&[u8]; 16]> = SmallVec::new();
    parts.extend([syntax.delimiter(), sets]);
    for unit in nal_units(payload, length_size) {
        let unit = unit?;
        match syntax.unit(unit) {
            // Ours stands there already.
            Unit::Delimiter => continue,
            // The publisher's own, nearer to the picture than those of the configuration.
            Unit::ParameterSet => {
                if let Some(ours) = parts.get_mut(1) {
                    *ours = &[];
                }
            }
            Unit::KeySlice | Unit::Other => {}
        }
        if !unit.is_empty() {
            parts.extend([&START_CODE[..], unit]);
        }
    }
    Ok(parts)
}

/// The units between start codes of three or four bytes, without trailing zeros.
pub(crate) fn split(data: &[u8]) -> Units<'_> {
    let start = find(data).map_or(data.len(), |at| at.saturating_add(3));
    Units {
        rest: data.get(start..).unwrap_or_default(),
    }
}

/// See [`split`].
pub(crate) struct Units<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Units<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let end = find(self.rest).unwrap_or(self.rest.len());
            let (unit, rest) = self.rest.split_at(end);
            self.rest = rest.get(3..).unwrap_or_default();
            let zeros = unit.iter().rev().take_while(|byte| **byte == 0).count();
            let unit = unit.get(..unit.len().saturating_sub(zeros)).unwrap_or_default();
            if !unit.is_empty() {
                return Some(unit);
            }
        }
        None
    }
}

/// Where the next `00 00 01` is.
fn find(data: &[u8]) -> Option<usize> {
    let mut from = 0_usize;
    loop {
        let rest = data.get(from..)?;
        let one = rest.get(2..)?.iter().position(|byte| *byte <= 1)?;
        let at = from.saturating_add(one);
        match data.get(at..at.saturating_add(3)) {
            Some([0, 0, 1]) => return Some(at),
            _ => from = at.saturating_add(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_found_behind_start_codes_of_both_lengths() {
        let data = [0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 7, 1, 0, 0, 0, 1, 5, 0, 0, 3, 1, 0, 0];
        let units: Vec<_> = split(&data).collect();
        assert_eq!(units, [&[9, 0xf0][..], &[7, 1], &[5, 0, 0, 3, 1]]);
        assert_eq!(split(&[1, 2, 3]).count(), 0);
        assert_eq!(split(&[0, 0, 1]).count(), 0);
    }

    #[test]
    fn parameter_sets_of_the_publisher_replace_ours() {
        let payload = [1, 0x09, 2, 0x67, 1, 2, 0x65, 2];
        let parts = access_unit(Syntax::H264, 1, b"ours", &payload).unwrap().concat();
        assert_eq!(
            parts,
            [Syntax::H264.delimiter(), &[0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x65, 2]].concat()
        );
    }
}
