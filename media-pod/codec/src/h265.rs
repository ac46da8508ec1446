//! H.265 parameter sets: the HEVCDecoderConfigurationRecord and as much of the sequence parameter set as holds the size (ITU-T H.265 §7.3.2.2).

use crate::bits::{Bits, take, take_u16_prefixed, unescape};
use crate::{Error, VideoInfo};
use bytes::{BufMut, Bytes, BytesMut};

const RECORD: &str = "HEVCDecoderConfigurationRecord";
const SPS: &str = "H.265 SPS";
const SPS_NAL: u8 = 33;
/// NAL units in one record.
const UNITS_MAX: usize = 256;
/// Larger sides are refused; level 6.2 ends at 16,888.
const SIDE_MAX: u32 = 65_536;

/// An HEVCDecoderConfigurationRecord, borrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HevcConfig<'a> {
    /// `general_profile_idc`.
    pub profile: u8,
    /// `general_level_idc`: thirty times the level.
    pub level: u8,
    /// `avgFrameRate` in frames per 256 s; zero is unknown.
    pub average_frame_rate: u16,
    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    pub length_size: usize,
    /// NAL unit type and NAL unit with its header, in the record's order.
    pub units: Vec<(u8, &'a [u8])>,
}

impl<'a> HevcConfig<'a> {
    /// Reads a record.
    pub fn parse(mut data: &'a [u8]) -> Result<Self, Error> {
        let head = take(&mut data, 23, RECORD)?;
        let byte = |at: usize| head.get(at).copied().unwrap_or(0);
        if byte(0) != 1 {
            return Err(Error::Invalid {
                what: "configurationVersion",
                value: u64::from(byte(0)),
            });
        }
        let mut units = Vec::new();
        for _ in 0..byte(22) {
            array(&mut data, &mut units)?;
        }
        Ok(Self {
            profile: byte(1) & 31,
            level: byte(12),
            average_frame_rate: u16::from_be_bytes([byte(19), byte(20)]),
            length_size: usize::from(byte(21) & 3).saturating_add(1),
            units,
        })
    }

    /// Size from the first sequence parameter set that can be read.
    pub fn video(&self) -> Option<VideoInfo> {
        let (_, nal) = self.units.iter().find(|(kind, _)| *kind == SPS_NAL)?;
        let (width, height) = sps_size(nal).ok()?;
        let rate = self.average_frame_rate;
        Some(VideoInfo {
            width,
            height,
            frames_per_second: (rate > 0).then(|| f64::from(rate) / 256.0),
        })
    }
}

/// A record with lengths of 4 bytes for parameter sets that came in band, each with its NAL header.
pub fn record<S: AsRef<[u8]>>(sets: &[S]) -> Result<Bytes, Error> {
    let of = |kind| {
        let is = move |set: &&[u8]| set.first().is_some_and(|first| first >> 1 & 63 == kind);
        sets.iter().map(AsRef::as_ref).filter(is).collect::<Vec<_>>()
    };
    let arrays = [32, SPS_NAL, 34].map(|kind| (kind, of(kind)));
    let [_, (_, sps), _] = &arrays;
    let sps = sps.first().ok_or(Error::Truncated { what: SPS })?;
    let rbsp = unescape(sps);
    let profile = rbsp.get(3..15).ok_or(Error::Truncated { what: SPS })?;
    let sub_layers = (rbsp.get(2).copied().unwrap_or(0) >> 1 & 7).saturating_add(1);
    let shape = shape(sps)?;
    let byte = |value: u32| u8::try_from(value).unwrap_or(0);
    let mut out = BytesMut::new();
    out.put_u8(1);
    out.put_slice(profile);
    // Segmentation and parallelism unknown, chroma and depths, frame rate unknown, lengths of 4 bytes.
    out.put_slice(&[0xf0, 0, 0xfc, 0xfc | byte(shape.chroma_format)]);
    out.put_slice(&[0xf8 | byte(shape.luma_depth), 0xf8 | byte(shape.chroma_depth), 0, 0]);
    out.put_slice(&[(sub_layers & 7) << 3 | 7, 3]);
    for (kind, units) in arrays {
        put_array(&mut out, kind, &units)?;
    }
    Ok(out.freeze())
}

fn put_array(out: &mut BytesMut, kind: u8, units: &[&[u8]]) -> Result<(), Error> {
    let number = |value: usize| {
        u16::try_from(value).map_err(|_| Error::Invalid {
            what: "parameter sets",
            value: value as u64,
        })
    };
    out.put_u8(kind);
    out.put_u16(number(units.len())?);
    for unit in units {
        out.put_u16(number(unit.len())?);
        out.put_slice(unit);
    }
    Ok(())
}

fn array<'a>(data: &mut &'a [u8], units: &mut Vec<(u8, &'a [u8])>) -> Result<(), Error> {
    let &[kind, high, low] = take(data, 3, RECORD)? else {
        return Err(Error::Truncated { what: RECORD });
    };
    for _ in 0..u16::from_be_bytes([high, low]) {
        if units.len() >= UNITS_MAX {
            return Err(Error::Invalid {
                what: "numNalus",
                value: UNITS_MAX as u64,
            });
        }
        units.push((kind & 63, take_u16_prefixed(data, RECORD)?));
    }
    Ok(())
}

/// Width and height in pixels, cropped, from a NAL unit of type 33 with its header.
pub fn sps_size(nal: &[u8]) -> Result<(u32, u32), Error> {
    shape(nal).map(|shape| (shape.width, shape.height))
}

/// What a sequence parameter set says of its pictures.
struct Shape {
    width: u32,
    height: u32,
    chroma_format: u32,
    /// Less 8.
    luma_depth: u32,
    /// Less 8.
    chroma_depth: u32,
}

fn shape(nal: &[u8]) -> Result<Shape, Error> {
    let rbsp = unescape(nal);
    let mut bits = Bits::new(&rbsp, SPS);
    bits.skip(16 + 4)?;
    let sub_layers = bits.read(3)?;
    bits.skip(1)?;
    profile_tier_level(&mut bits, sub_layers)?;
    bits.ue("sps_seq_parameter_set_id", 15)?;
    let format = bits.ue("chroma_format_idc", 3)?;
    if format == 3 {
        bits.skip(1)?;
    }
    let width = bits.ue("pic_width_in_luma_samples", SIDE_MAX)?;
    let height = bits.ue("pic_height_in_luma_samples", SIDE_MAX)?;
    let (across, down) = if bits.bit()? { crop(&mut bits, format)? } else { (0, 0) };
    if across >= width || down >= height {
        return Err(Error::Invalid {
            what: "conf_win_offset",
            value: u64::from(across.max(down)),
        });
    }
    Ok(Shape {
        width: width.saturating_sub(across),
        height: height.saturating_sub(down),
        chroma_format: format,
        luma_depth: bits.ue("bit_depth_luma_minus8", 8).unwrap_or(0),
        chroma_depth: bits.ue("bit_depth_chroma_minus8", 8).unwrap_or(0),
    })
}

/// Pixels that are cut off, across and down.
fn crop(bits: &mut Bits<'_>, format: u32) -> Result<(u32, u32), Error> {
    let mut side = |unit: u32| -> Result<u32, Error> {
        let (a, b) = (
            bits.ue("conf_win_offset", SIDE_MAX)?,
            bits.ue("conf_win_offset", SIDE_MAX)?,
        );
        Ok(a.saturating_add(b).saturating_mul(unit))
    };
    let across = side(if matches!(format, 1 | 2) { 2 } else { 1 })?;
    Ok((across, side(if format == 1 { 2 } else { 1 })?))
}

/// Passes over `profile_tier_level(1, sub_layers)` (§7.3.3).
fn profile_tier_level(bits: &mut Bits<'_>, sub_layers: u32) -> Result<(), Error> {
    bits.skip(88 + 8)?;
    if sub_layers == 0 {
        return Ok(());
    }
    let mut present = Vec::with_capacity(8);
    for _ in 0..sub_layers {
        present.push((bits.bit()?, bits.bit()?));
    }
    bits.skip((sub_layers..8).count().saturating_mul(2))?;
    for (profile, level) in present {
        bits.skip(if profile { 88 } else { 0 })?;
        bits.skip(if level { 8 } else { 0 })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutation::{HEVC_CROPPED, hex};

    #[test]
    fn the_size_is_that_of_the_encoder() {
        let record = hex(HEVC_CROPPED);
        let config = HevcConfig::parse(&record).unwrap();
        assert_eq!((config.profile, config.length_size, config.units.len()), (1, 4, 3));
        assert_eq!(
            config.video(),
            Some(VideoInfo {
                width: 638,
                height: 358,
                frames_per_second: None
            })
        );
    }

    #[test]
    fn a_record_made_of_its_own_sets_says_the_same() {
        let encoders = hex(HEVC_CROPPED);
        let sets: Vec<_> = HevcConfig::parse(&encoders)
            .unwrap()
            .units
            .iter()
            .map(|(_, set)| *set)
            .collect();
        assert_eq!(record(&sets).unwrap(), encoders);
    }

    #[test]
    fn a_record_that_is_cut_is_refused() {
        assert_eq!(
            HevcConfig::parse(&hex(HEVC_CROPPED)[..60]),
            Err(Error::Truncated { what: RECORD })
        );
    }
}
