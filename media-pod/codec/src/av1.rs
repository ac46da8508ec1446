//! AV1's sequence header, as much of it as holds the size (AV1 specification §5.5), in an AV1CodecConfigurationRecord (AV1-ISOBMFF §2.3).

use crate::bits::{Bits, take};
use crate::{Error, VideoInfo};

const RECORD: &str = "AV1CodecConfigurationRecord";
const HEADER: &str = "AV1 sequence header";
const OBU_SEQUENCE_HEADER: u8 = 1;
/// OBUs that are looked at before the sequence header.
const OBUS_MAX: usize = 16;

/// The size that the record's sequence header says.
pub fn config_video(mut record: &[u8]) -> Result<VideoInfo, Error> {
    let head = take(&mut record, 4, RECORD)?;
    if head.first() != Some(&0x81) {
        return Err(Error::Invalid {
            what: "AV1 marker and version",
            value: u64::from(head.first().copied().unwrap_or(0)),
        });
    }
    for _ in 0..OBUS_MAX {
        let (kind, content) = obu(&mut record)?;
        if kind == OBU_SEQUENCE_HEADER {
            return sequence_header(content);
        }
    }
    Err(Error::Truncated { what: HEADER })
}

/// Kind and content of the next OBU (§5.3).
fn obu<'a>(data: &mut &'a [u8]) -> Result<(u8, &'a [u8]), Error> {
    let first = take(data, 1, HEADER)?.first().copied().unwrap_or(0);
    if first & 4 != 0 {
        take(data, 1, HEADER)?;
    }
    let size = if first & 2 != 0 { leb128(data)? } else { data.len() };
    Ok((first >> 3 & 15, take(data, size, HEADER)?))
}

/// Seven bits a byte, the lowest first (§4.10.5).
fn leb128(data: &mut &[u8]) -> Result<usize, Error> {
    let mut value = 0_u64;
    for shift in (0..56).step_by(7) {
        let byte = take(data, 1, HEADER)?.first().copied().unwrap_or(0);
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    usize::try_from(value).map_err(|_| Error::Truncated { what: HEADER })
}

fn sequence_header(content: &[u8]) -> Result<VideoInfo, Error> {
    let mut bits = Bits::new(content, HEADER);
    bits.skip(3 + 1)?;
    let mut frames_per_second = None;
    if bits.bit()? {
        // A reduced header, of still pictures.
        bits.skip(5)?;
    } else {
        let mut delay_bits = None;
        if bits.bit()? {
            frames_per_second = timing(&mut bits)?;
            delay_bits = decoder_model(&mut bits)?;
        }
        operating_points(&mut bits, delay_bits)?;
    }
    let (width_bits, height_bits) = (bits.read(4)?, bits.read(4)?);
    let mut side = |count: u32| Ok::<_, Error>(bits.read(count.saturating_add(1))?.saturating_add(1));
    Ok(VideoInfo {
        width: side(width_bits)?,
        height: side(height_bits)?,
        frames_per_second,
    })
}

/// `timing_info` (§5.5.3): the rate, where pictures are equally far apart.
fn timing(bits: &mut Bits<'_>) -> Result<Option<f64>, Error> {
    let (tick, scale) = (bits.read(32)?, bits.read(32)?);
    if !bits.bit()? {
        return Ok(None);
    }
    let ticks = bits.ue("num_ticks_per_picture_minus_1", u32::MAX)?.saturating_add(1);
    let rate = f64::from(scale) / f64::from(tick) / f64::from(ticks);
    Ok(Some(rate).filter(|rate| rate.is_finite() && *rate > 0.0))
}

/// `decoder_model_info` (§5.5.4), where it is there: how long the delays of operating points are.
fn decoder_model(bits: &mut Bits<'_>) -> Result<Option<usize>, Error> {
    if !bits.bit()? {
        return Ok(None);
    }
    let length = bits.read(5)?.saturating_add(1);
    bits.skip(32 + 5 + 5)?;
    Ok(usize::try_from(length).ok())
}

fn operating_points(bits: &mut Bits<'_>, delay_bits: Option<usize>) -> Result<(), Error> {
    let display_delay = bits.bit()?;
    for _ in 0..=bits.read(5)? {
        bits.skip(12)?;
        if bits.read(5)? > 7 {
            bits.skip(1)?;
        }
        if let Some(delay_bits) = delay_bits
            && bits.bit()?
        {
            bits.skip(delay_bits.saturating_mul(2).saturating_add(1))?;
        }
        if display_delay && bits.bit()? {
            bits.skip(4)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutation::{AV1_640, hex};

    #[test]
    fn the_size_is_that_of_the_encoder() {
        let video = config_video(&hex(AV1_640)).unwrap();
        assert_eq!((video.width, video.height), (638, 358));
    }

    #[test]
    fn a_record_that_is_cut_or_of_another_version_is_refused() {
        let record = hex(AV1_640);
        for end in 0..record.len().min(12) {
            assert!(config_video(&record[..end]).is_err(), "cut at {end}");
        }
        assert!(config_video(&[0x82, 0, 0, 0]).is_err());
    }
}
