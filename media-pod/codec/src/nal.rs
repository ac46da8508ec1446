//! NAL units in length-prefixed form, as FLV, MP4 and our frames carry them.

use crate::Error;

/// Iterates over the NAL units of `payload`, each behind a big-endian length of `length_size` bytes (1 to 4, as the configuration record says).
/// Stops after the first error.
pub fn nal_units(payload: &[u8], length_size: usize) -> NalUnits<'_> {
    NalUnits {
        rest: payload,
        length_size: length_size.clamp(1, 4),
    }
}

/// See [`nal_units`].
#[derive(Clone, Debug)]
pub struct NalUnits<'a> {
    rest: &'a [u8],
    length_size: usize,
}

impl<'a> NalUnits<'a> {
    fn split(&self) -> Option<(&'a [u8], &'a [u8])> {
        let (prefix, rest) = self.rest.split_at_checked(self.length_size)?;
        let length = prefix.iter().fold(0_usize, |n, b| (n << 8) | usize::from(*b));
        rest.split_at_checked(length)
    }
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = Result<&'a [u8], Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((unit, rest)) = self.split() else {
            self.rest = &[];
            return Some(Err(Error::Truncated { what: "NAL unit" }));
        };
        self.rest = rest;
        Some(Ok(unit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_come_out_in_order_whatever_the_length_size() {
        let cases: [(&[u8], usize); 3] = [
            (&[1, 9, 2, 8, 7], 1),
            (&[0, 1, 9, 0, 2, 8, 7], 2),
            (&[0, 0, 0, 1, 9, 0, 0, 0, 2, 8, 7], 4),
        ];
        for (payload, size) in cases {
            let units: Result<Vec<_>, _> = nal_units(payload, size).collect();
            assert_eq!(units, Ok(vec![&[9][..], &[8, 7][..]]));
        }
    }

    #[test]
    fn a_length_beyond_the_end_is_one_error_and_the_end() {
        let units: Vec<_> = nal_units(&[0, 0, 0, 1, 9, 255, 255, 255, 255, 1], 4).collect();
        assert_eq!(units, [Ok(&[9][..]), Err(Error::Truncated { what: "NAL unit" })]);
    }
}
