//! AAC's AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1): AAC-LC, and HE-AAC in its explicit and its backward compatible signalling.

use crate::bits::Bits;
use crate::{AudioInfo, Error};

const ASC: &str = "AudioSpecificConfig";
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
];
const SBR: u32 = 5;
const PS: u32 = 29;
const BSAC: u32 = 22;
/// `syncExtensionType` before a backward compatible SBR signal.
const SYNC_SBR: u32 = 0x2b7;
/// `syncExtensionType` before a backward compatible PS signal.
const SYNC_PS: u32 = 0x548;

/// What an AudioSpecificConfig says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioSpecificConfig {
    /// Of the core: 2 is AAC-LC.
    pub object_type: u32,
    /// Of the core, in Hz.
    pub core_sample_rate: u32,
    /// Of the core.
    pub core_channels: u32,
    /// The rate of spectral band replication in Hz, where it is signalled.
    pub sbr_sample_rate: Option<u32>,
    /// Parametric stereo is signalled.
    pub parametric_stereo: bool,
}

impl From<AudioSpecificConfig> for AudioInfo {
    fn from(c: AudioSpecificConfig) -> Self {
        let channels = if c.parametric_stereo && c.core_channels == 1 {
            2
        } else {
            c.core_channels
        };
        Self {
            sample_rate: c.sbr_sample_rate.unwrap_or(c.core_sample_rate),
            channels,
        }
    }
}

impl AudioSpecificConfig {
    /// Reads a configuration. A rate that is doubled without any signal cannot be seen here, and is not guessed.
    pub fn parse(data: &[u8]) -> Result<Self, Error> {
        let mut bits = Bits::new(data, ASC);
        let first = object_type(&mut bits)?;
        let core_sample_rate = sample_rate(&mut bits)?;
        let channels = bits.read(4)?;
        let explicit = first == SBR || first == PS;
        let sbr_sample_rate = if explicit { Some(sample_rate(&mut bits)?) } else { None };
        let object_type = if explicit { object_type(&mut bits)? } else { first };
        if object_type == BSAC && explicit {
            bits.skip(4)?;
        }
        let core_channels = core_channels(&mut bits, object_type, channels)?;
        let config = Self {
            object_type,
            core_sample_rate,
            core_channels,
            sbr_sample_rate,
            parametric_stereo: first == PS,
        };
        Ok(if explicit {
            config
        } else {
            config.with_sync_extension(&mut bits).unwrap_or(config)
        })
    }

    /// The backward compatible signal behind the core's configuration, if it is there.
    fn with_sync_extension(mut self, bits: &mut Bits<'_>) -> Result<Self, Error> {
        if bits.left() < 16 || bits.read(11)? != SYNC_SBR || object_type(bits)? != SBR || !bits.bit()? {
            return Ok(self);
        }
        self.sbr_sample_rate = Some(sample_rate(bits)?);
        self.parametric_stereo = bits.left() >= 12 && bits.read(11)? == SYNC_PS && bits.bit()?;
        Ok(self)
    }
}

fn object_type(bits: &mut Bits<'_>) -> Result<u32, Error> {
    match bits.read(5)? {
        31 => Ok(bits.read(6)?.saturating_add(32)),
        0 => Err(Error::Invalid {
            what: "audioObjectType",
            value: 0,
        }),
        value => Ok(value),
    }
}

fn sample_rate(bits: &mut Bits<'_>) -> Result<u32, Error> {
    let index = bits.read(4)?;
    let rate = if index == 15 {
        bits.read(24)?
    } else {
        RATES.get(index as usize).copied().unwrap_or(0)
    };
    if rate == 0 {
        Err(Error::Invalid {
            what: "samplingFrequencyIndex",
            value: u64::from(index),
        })
    } else {
        Ok(rate)
    }
}

/// Channels of the core; passes over `GASpecificConfig` (§4.4.1) on the way where there is one.
fn core_channels(bits: &mut Bits<'_>, object_type: u32, configuration: u32) -> Result<u32, Error> {
    if matches!(object_type, 1..=4 | 6 | 7 | 17 | 19..=23) {
        bits.skip(1)?;
        if bits.bit()? {
            bits.skip(14)?;
        }
        let extension = bits.bit()?;
        if configuration == 0 {
            return program_config_channels(bits);
        }
        bits.skip(if matches!(object_type, 6 | 20) { 3 } else { 0 })?;
        if extension {
            bits.skip(match object_type {
                22 => 17,
                17 | 19 | 20 | 23 => 4,
                _ => 1,
            })?;
        }
    }
    Ok(match configuration {
        7 | 12 | 14 => 8,
        11 => 7,
        13 => 24,
        1..=6 => configuration,
        _ => {
            return Err(Error::Invalid {
                what: "channelConfiguration",
                value: u64::from(configuration),
            });
        }
    })
}

/// Channels of a `program_config_element` (§4.4.1.1).
fn program_config_channels(bits: &mut Bits<'_>) -> Result<u32, Error> {
    bits.skip(4 + 2 + 4)?;
    let (front, side, back) = (bits.read(4)?, bits.read(4)?, bits.read(4)?);
    let lfe = bits.read(2)?;
    bits.skip(3 + 4)?;
    for mixdown in [4, 4, 3] {
        if bits.bit()? {
            bits.skip(mixdown)?;
        }
    }
    let mut channels = lfe;
    for _ in 0..front.saturating_add(side).saturating_add(back) {
        channels = channels.saturating_add(1).saturating_add(u32::from(bits.bit()?));
        bits.skip(4)?;
    }
    Ok(channels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutation::hex;

    #[test]
    fn rates_and_channels_are_what_is_heard() {
        let cases = [
            ("1210", 2, 44_100, 2),       // AAC-LC
            ("121056e500", 2, 44_100, 2), // AAC-LC that says it has no SBR
            ("11b056e500", 2, 48_000, 6), // 5.1
            ("2b920800", 2, 44_100, 2),   // HE-AAC, explicit: core 22,050
            ("eb098800", 2, 48_000, 2),   // HE-AAC v2, explicit: core 24,000 mono
            ("139056e5a0", 2, 44_100, 2), // HE-AAC, backward compatible: core 22,050
            ("0480", 0, 0, 0),            // object type 0
        ];
        for (config, object, rate, channels) in cases {
            let parsed = AudioSpecificConfig::parse(&hex(config));
            if object == 0 {
                assert!(parsed.is_err(), "{config}");
                continue;
            }
            let parsed = parsed.unwrap();
            assert_eq!(parsed.object_type, object, "{config}");
            assert_eq!(
                AudioInfo::from(parsed),
                AudioInfo {
                    sample_rate: rate,
                    channels
                },
                "{config}"
            );
        }
    }
}
