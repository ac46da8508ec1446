//! ADTS, the head before each AAC frame of a transport stream (ISO/IEC 14496-3 §1.A.2.2).

use crate::Error;
use bytes::Bytes;
use headgate_codec::aac::AudioSpecificConfig;

pub(crate) const HEAD_BYTES: usize = 7;
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
];

/// What of a configuration goes into each head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Adts {
    profile: u8,
    rate: u8,
    channels: u8,
}

impl Adts {
    /// `None` for what ADTS cannot say: object types beyond the first four, odd rates, many channels.
    pub(crate) fn of(config: &AudioSpecificConfig) -> Option<Self> {
        let rate = RATES.iter().position(|rate| *rate == config.core_sample_rate)?;
        let profile = config.object_type.checked_sub(1).filter(|profile| *profile < 4)?;
        Some(Self {
            profile: u8::try_from(profile).ok()?,
            rate: u8::try_from(rate).ok()?,
            channels: match config.core_channels {
                8 => 7,
                n => u8::try_from(n).ok().filter(|n| *n < 7)?,
            },
        })
    }

    /// The head of a frame; `None` when it is too long for one.
    pub(crate) fn head(self, payload: usize) -> Option<[u8; HEAD_BYTES]> {
        let length = u16::try_from(payload.checked_add(HEAD_BYTES)?)
            .ok()
            .filter(|l| *l < 1 << 13)?;
        let [high, low] = (length << 3).to_be_bytes();
        // MPEG-4, no checksum; a full buffer's worth, as everybody writes for a varying rate.
        Some([
            0xff,
            0xf1,
            (self.profile << 6) | (self.rate << 2) | (self.channels >> 2),
            ((self.channels & 3) << 6) | (high >> 6),
            (high << 2) | (low >> 6),
            (low << 2 & 0xe0) | 0x1f,
            0xfc,
        ])
    }

    /// The AudioSpecificConfig that says the same.
    pub(crate) fn config(self) -> Bytes {
        let bits = (u16::from(self.profile).saturating_add(1) << 11)
            | (u16::from(self.rate) << 7)
            | (u16::from(self.channels) << 3);
        Bytes::copy_from_slice(&bits.to_be_bytes())
    }

    /// Ticks of 90 kHz from a frame to the next.
    pub(crate) fn ticks(self) -> i64 {
        let rate = RATES.get(usize::from(self.rate)).copied().unwrap_or(48_000);
        i64::from(1024 * 90_000_u32).checked_div(i64::from(rate)).unwrap_or(0)
    }
}

/// Length of a frame with its head, of its head alone, and what the head says. `None` while there is too little to tell.
pub(crate) fn parse(data: &[u8]) -> Result<Option<(usize, usize, Adts)>, Error> {
    const BAD: Error = Error::Malformed { what: "ADTS head" };
    let Some(&[sync, flags, a, b, c, d, _]) = data.first_chunk::<HEAD_BYTES>() else {
        return Ok(None);
    };
    if sync != 0xff || flags & 0xf6 != 0xf0 {
        return Err(BAD);
    }
    let head = if flags & 1 == 1 { HEAD_BYTES } else { HEAD_BYTES + 2 };
    let length = (usize::from(b & 3) << 11) | (usize::from(c) << 3) | usize::from(d >> 5);
    let adts = Adts {
        profile: a >> 6,
        rate: a >> 2 & 15,
        channels: (a & 1) << 2 | b >> 6,
    };
    if length <= head || usize::from(adts.rate) >= RATES.len() {
        return Err(BAD);
    }
    Ok(Some((length, head, adts)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_back_and_says_the_same_as_the_configuration() {
        for config in [[0x12, 0x10], [0x11, 0xb0], [0x14, 0x08]] {
            let adts = Adts::of(&AudioSpecificConfig::parse(&config).unwrap()).unwrap();
            assert_eq!(adts.config(), &config[..]);
            for payload in [1, 300, 8184] {
                let head = adts.head(payload).unwrap();
                assert_eq!(parse(&head), Ok(Some((payload + 7, 7, adts))));
            }
            assert_eq!(adts.head(8185), None);
        }
    }
}
