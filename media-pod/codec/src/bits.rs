//! A bit reader over raw byte sequence payloads. Every read is checked.

use crate::Error;

/// Reads bits, most significant first.
pub(crate) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    what: &'static str,
}

impl<'a> Bits<'a> {
    /// `what` names the structure in errors.
    pub(crate) fn new(data: &'a [u8], what: &'static str) -> Self {
        Self { data, at: 0, what }
    }

    fn truncated(&self) -> Error {
        Error::Truncated { what: self.what }
    }

    /// One bit.
    pub(crate) fn bit(&mut self) -> Result<bool, Error> {
        let byte = self.data.get(self.at >> 3).ok_or_else(|| self.truncated())?;
        let shift = 7 ^ (self.at & 7);
        self.at = self.at.saturating_add(1);
        Ok((byte >> shift) & 1 == 1)
    }

    /// Up to 32 bits as a number.
    pub(crate) fn read(&mut self, count: u32) -> Result<u32, Error> {
        let mut value = 0_u32;
        for _ in 0..count.min(32) {
            value = (value << 1) | u32::from(self.bit()?);
        }
        Ok(value)
    }

    /// Passes over bits.
    pub(crate) fn skip(&mut self, count: usize) -> Result<(), Error> {
        let at = self.at.saturating_add(count);
        if at > self.data.len().saturating_mul(8) {
            return Err(self.truncated());
        }
        self.at = at;
        Ok(())
    }

    /// How many bits are left.
    pub(crate) fn left(&self) -> usize {
        self.data.len().saturating_mul(8).saturating_sub(self.at)
    }

    /// Unsigned Exp-Golomb, at most `max`.
    pub(crate) fn ue(&mut self, what: &'static str, max: u32) -> Result<u32, Error> {
        let mut zeros = 0_u32;
        while !self.bit()? {
            zeros = zeros.saturating_add(1);
            if zeros > 31 {
                return Err(Error::Invalid { what, value: u64::MAX });
            }
        }
        let base = (1_u32 << zeros).saturating_sub(1);
        let value = base.saturating_add(self.read(zeros)?);
        if value > max {
            Err(Error::Invalid {
                what,
                value: u64::from(value),
            })
        } else {
            Ok(value)
        }
    }

    /// Signed Exp-Golomb.
    pub(crate) fn se(&mut self, what: &'static str) -> Result<i64, Error> {
        let code = i64::from(self.ue(what, u32::MAX)?);
        let half = code.saturating_add(1) / 2;
        Ok(if code & 1 == 1 { half } else { half.saturating_neg() })
    }
}

/// Takes the emulation prevention bytes (`00 00 03`) out of a NAL unit (H.264 §7.4.1, H.265 §7.4.2).
pub(crate) fn unescape(nal: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nal.len());
    let mut zeros = 0_u8;
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros.saturating_add(1) } else { 0 };
        out.push(byte);
    }
    out
}

/// Takes bytes off the front of a slice.
pub(crate) fn take<'a>(data: &mut &'a [u8], count: usize, what: &'static str) -> Result<&'a [u8], Error> {
    let (head, tail) = data.split_at_checked(count).ok_or(Error::Truncated { what })?;
    *data = tail;
    Ok(head)
}

/// Takes a big-endian 16-bit length and that many bytes off the front of a slice.
pub(crate) fn take_u16_prefixed<'a>(data: &mut &'a [u8], what: &'static str) -> Result<&'a [u8], Error> {
    let length = take(data, 2, what)?
        .iter()
        .fold(0_usize, |n, b| (n << 8) | usize::from(*b));
    take(data, length, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_are_read_as_the_standard_says() {
        // 1, 010, 011, 00100, 00101 => 0, 1, 2, 3, 4
        let data = [0b1010_0110, 0b0100_0010, 0b1000_0000];
        let mut bits = Bits::new(&data, "test");
        let values: Vec<u32> = (0..5).map(|_| bits.ue("v", 100).unwrap()).collect();
        assert_eq!(values, [0, 1, 2, 3, 4]);
        let mut bits = Bits::new(&data, "test");
        let values: Vec<i64> = (0..5).map(|_| bits.se("v").unwrap()).collect();
        assert_eq!(values, [0, 1, -1, 2, -2]);
    }

    #[test]
    fn a_code_that_is_too_long_or_too_large_is_refused() {
        assert!(Bits::new(&[0; 8], "test").ue("v", u32::MAX).is_err());
        assert_eq!(
            Bits::new(&[0b0010_1000], "test").ue("v", 3),
            Err(Error::Invalid { what: "v", value: 4 })
        );
        assert_eq!(Bits::new(&[], "test").bit(), Err(Error::Truncated { what: "test" }));
    }

    #[test]
    fn emulation_prevention_bytes_are_taken_out() {
        assert_eq!(unescape(&[1, 0, 0, 3, 1, 0, 0, 3, 0, 0, 3]), [1, 0, 0, 1, 0, 0, 0, 0]);
    }
}
