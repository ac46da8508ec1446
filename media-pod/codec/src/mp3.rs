//! The head of a layer III frame (ISO/IEC 11172-3 §2.4.2.3, ISO/IEC 13818-3 §2.4.2.3), as much of it as tells its length.

use crate::{AudioInfo, Error};

const WHAT: &str = "MP3 head";

/// Kilobits a second, of MPEG-1 and of the lower rates of MPEG-2.
const BIT_RATES: [[u32; 16]; 2] = [
    [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0],
];
const RATES: [u32; 4] = [44_100, 48_000, 32_000, 0];

/// What a head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Rate and channels.
    pub info: AudioInfo,
    /// With its head.
    pub bytes: usize,
    /// To the next frame, in ticks of 90 kHz.
    pub ticks: i64,
}

/// `None` while there is too little to tell.
pub fn parse(data: &[u8]) -> Result<Option<Head>, Error> {
    let Some(&[sync, version, rates, mode]) = data.first_chunk::<4>() else {
        return Ok(None);
    };
    let bad = Error::Invalid {
        what: WHAT,
        value: u64::from(u32::from_be_bytes([sync, version, rates, mode])),
    };
    if sync != 0xff || version & 0xe6 != 0xe2 {
        return Err(bad);
    }
    read(version, rates, mode).map(Some).ok_or(bad)
}

fn read(version: u8, rates: u8, mode: u8) -> Option<Head> {
    // MPEG-1 has the full rates, MPEG-2 half of them, MPEG-2.5 a quarter.
    let (table, divisor, samples) = match version >> 3 & 3 {
        3 => (0_usize, 1, 1152_u32),
        2 => (1, 2, 576),
        0 => (1, 4, 576),
        _ => return None,
    };
    let bit_rate = *BIT_RATES.get(table)?.get(usize::from(rates >> 4))?;
    let sample_rate = RATES.get(usize::from(rates >> 2 & 3))?.checked_div(divisor)?;
    if bit_rate == 0 || sample_rate == 0 {
        return None;
    }
    let padding = u32::from(rates >> 1 & 1);
    let bytes = (samples / 8)
        .checked_mul(bit_rate.checked_mul(1000)?)?
        .checked_div(sample_rate)?
        .checked_add(padding)?;
    Some(Head {
        info: AudioInfo {
            sample_rate,
            channels: if mode >> 6 == 3 { 1 } else { 2 },
        },
        bytes: usize::try_from(bytes).ok()?,
        ticks: i64::from(samples)
            .checked_mul(90_000)?
            .checked_div(i64::from(sample_rate))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_and_rate_are_those_of_real_frames() {
        let frame = parse(&[0xff, 0xfb, 0x90, 0x64]).unwrap().unwrap();
        assert_eq!(
            (frame.bytes, frame.info.sample_rate, frame.info.channels),
            (417, 44_100, 2)
        );
        assert_eq!(frame.ticks, 2351);
        let low = parse(&[0xff, 0xf3, 0x40, 0xc4]).unwrap().unwrap();
        assert_eq!((low.bytes, low.info.sample_rate, low.info.channels), (104, 22_050, 1));
        assert!(parse(&[0xff, 0xfb, 0xf0, 0x64]).is_err());
    }
}
