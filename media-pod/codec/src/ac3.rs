//! The head of an AC-3 or E-AC-3 frame (ATSC A/52:2018 §5.3, annex E.1.2), as much of it as tells what is heard.

use crate::bits::Bits;
use crate::{AudioInfo, Error};

const WHAT: &str = "AC-3 head";
const SYNC: u32 = 0x0b77;
const RATES: [u32; 3] = [48_000, 44_100, 32_000];
/// Full channels by `acmod`; the low frequency one comes on top.
const CHANNELS: [u32; 8] = [2, 1, 2, 3, 3, 4, 4, 5];
/// `bsid` up to here is AC-3, beyond it E-AC-3.
const AC3_BSID_MAX: u8 = 10;

/// What a frame says of the sound.
pub fn info(frame: &[u8]) -> Result<AudioInfo, Error> {
    let bsid = frame.get(5).ok_or(Error::Truncated { what: WHAT })? >> 3;
    let mut bits = Bits::new(frame, WHAT);
    let sync = bits.read(16)?;
    if sync != SYNC {
        return Err(Error::Invalid {
            what: WHAT,
            value: u64::from(sync),
        });
    }
    if bsid > AC3_BSID_MAX {
        enhanced(&mut bits)
    } else {
        classic(&mut bits)
    }
}

/// Behind the sync word: a checksum, then rate and size.
fn classic(bits: &mut Bits<'_>) -> Result<AudioInfo, Error> {
    bits.skip(16)?;
    let rate = bits.read(2)?;
    bits.skip(6 + 5 + 3)?;
    let mode = bits.read(3)?;
    // Mix levels stand only where there is something to mix.
    let levels = [mode & 1 == 1 && mode != 1, mode & 4 != 0, mode == 2];
    bits.skip(levels.iter().filter(|there| **there).count().saturating_mul(2))?;
    heard(rate, mode, bits.bit()?)
}

/// Behind the sync word: kind, number and size of the substream.
fn enhanced(bits: &mut Bits<'_>) -> Result<AudioInfo, Error> {
    bits.skip(2 + 3 + 11)?;
    let rate = bits.read(2)?;
    // Without a full rate the next two bits give one that is half as high; else they count blocks.
    let second = bits.read(2)?;
    let (mode, low) = (bits.read(3)?, bits.bit()?);
    if rate < 3 {
        return heard(rate, mode, low);
    }
    let full = heard(second, mode, low)?;
    Ok(AudioInfo {
        sample_rate: full.sample_rate / 2,
        ..full
    })
}

fn heard(rate: u32, mode: u32, low: bool) -> Result<AudioInfo, Error> {
    let of = |table: &[u32], at: u32| table.get(at as usize).copied();
    let (Some(sample_rate), Some(channels)) = (of(&RATES, rate), of(&CHANNELS, mode)) else {
        return Err(Error::Invalid {
            what: "fscod",
            value: u64::from(rate),
        });
    };
    Ok(AudioInfo {
        sample_rate,
        channels: channels.saturating_add(u32::from(low)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutation::hex;

    #[test]
    fn rate_and_channels_are_those_of_the_encoder() {
        let cases = [
            // Made by ffmpeg's encoders.
            ("0b77fe95144043e1", 48_000, 2),
            ("0b77b50b1e40ebf8", 48_000, 6),
            ("0b7701a07487c000", 44_100, 2),
        ];
        for (frame, rate, channels) in cases {
            let said = info(&hex(frame)).map(|i| (i.sample_rate, i.channels));
            assert_eq!(said, Ok((rate, channels)), "{frame}");
        }
        assert_eq!(info(&[0x0b, 0x77]), Err(Error::Truncated { what: WHAT }));
        assert!(info(&[0; 8]).is_err());
    }
}
