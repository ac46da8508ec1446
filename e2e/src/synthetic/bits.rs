//! Writes bits, Exp-Golomb codes and NAL units.

/// Bits, most significant first.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte that are in use, 0 when the last byte is full.
    used: u32,
}

impl BitWriter {
    pub(super) fn bit(&mut self, on: bool) {
        if self.used == 0 {
            self.bytes.push(0);
        }
        if let (true, Some(last)) = (on, self.bytes.last_mut()) {
            *last |= 0x80 >> self.used;
        }
        self.used = (self.used + 1) % 8;
    }

    pub(super) fn bits(&mut self, value: u32, count: u32) {
        for at in (0..count).rev() {
            self.bit(value >> at & 1 == 1);
        }
    }

    /// `ue(v)`: unsigned Exp-Golomb (9.1).
    pub(super) fn ue(&mut self, value: u32) {
        let code = value + 1;
        let length = 32 - code.leading_zeros();
        self.bits(0, length - 1);
        self.bits(code, length);
    }

    /// Zero bits up to the next byte.
    pub(super) fn align(&mut self) {
        self.used = 0;
    }

    /// Whole bytes; only when aligned.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        debug_assert_eq!(self.used, 0, "raw bytes begin on a byte");
        self.bytes.extend_from_slice(bytes);
    }

    /// The NAL unit with this header byte: stop bit, alignment, and emulation prevention (7.3.1).
    pub(super) fn nal(mut self, header: u8) -> Vec<u8> {
        self.bit(true);
        self.align();
        let mut out = vec![header];
        let mut zeros = 0;
        for byte in self.bytes {
            if zeros == 2 && byte <= 3 {
                out.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            out.push(byte);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_are_those_of_the_standard() {
        let mut w = BitWriter::default();
        for value in [0, 1, 2, 3, 7] {
            w.ue(value);
        }
        // 1 010 011 00100 0001000
        assert_eq!(w.bytes, [0b1010_0110, 0b0100_0001, 0b0000_0000]);
    }

    #[test]
    fn no_start_code_can_appear_inside_a_nal_unit() {
        let mut w = BitWriter::default();
        w.raw(&[0, 0, 0, 0, 0, 1]);
        assert_eq!(w.nal(0x65), [0x65, 0, 0, 3, 0, 0, 3, 0, 1, 0x80]);
    }
}
