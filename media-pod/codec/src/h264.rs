//! H.264 parameter sets: the AVCDecoderConfigurationRecord and the sequence parameter set (ITU-T H.264 §7.3.2.1, annex E).

use crate::bits::{Bits, take, take_u16_prefixed, unescape};
use crate::{Error, VideoInfo};
use bytes::{BufMut, Bytes, BytesMut};

const RECORD: &str = "AVCDecoderConfigurationRecord";
const SPS: &str = "H.264 SPS";
/// Picture sizes beyond this many macroblocks a side (65,536 pixels) are refused.
const MACROBLOCKS_MAX: u32 = 4096;

/// An AVCDecoderConfigurationRecord, borrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvcConfig<'a> {
    /// `profile_idc`.
    pub profile: u8,
    /// `level_idc`: ten times the level.
    pub level: u8,
    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    pub length_size: usize,
    /// Sequence parameter sets, with their NAL header.
    pub sps: Vec<&'a [u8]>,
    /// Picture parameter sets, with their NAL header.
    pub pps: Vec<&'a [u8]>,
}

impl<'a> AvcConfig<'a> {
    /// Reads a record; what may follow the picture parameter sets is not looked at.
    pub fn parse(mut data: &'a [u8]) -> Result<Self, Error> {
        let &[version, profile, _, level, lengths, sets] = take(&mut data, 6, RECORD)? else {
            return Err(Error::Truncated { what: RECORD });
        };
        if version != 1 {
            return Err(Error::Invalid {
                what: "configurationVersion",
                value: u64::from(version),
            });
        }
        if lengths & 3 == 2 {
            return Err(Error::Invalid {
                what: "lengthSizeMinusOne",
                value: 2,
            });
        }
        let sps = parameter_sets(&mut data, sets & 31)?;
        let count = take(&mut data, 1, RECORD)?.first().copied().unwrap_or(0);
        let pps = parameter_sets(&mut data, count)?;
        Ok(Self {
            profile,
            level,
            length_size: usize::from(lengths & 3).saturating_add(1),
            sps,
            pps,
        })
    }
}

/// A record with lengths of 4 bytes for parameter sets that came in band, each with its NAL header.
pub fn record<S: AsRef<[u8]>>(sets: &[S]) -> Result<Bytes, Error> {
    let of = |kind| move |set: &&[u8]| set.first().is_some_and(|first| first & 31 == kind);
    let sets = || sets.iter().map(AsRef::as_ref);
    let (sps, pps): (Vec<_>, Vec<_>) = (sets().filter(of(7)).collect(), sets().filter(of(8)).collect());
    let Some([_, profile, compatibility, level, ..]) = sps.first() else {
        return Err(Error::Truncated { what: SPS });
    };
    let mut out = BytesMut::new();
    out.put_slice(&[1, *profile, *compatibility, *level, 0xff]);
    put_sets(&mut out, 0xe0, 31, &sps)?;
    put_sets(&mut out, 0, 255, &pps)?;
    Ok(out.freeze())
}

fn put_sets(out: &mut BytesMut, flags: u8, max: u8, sets: &[&[u8]]) -> Result<(), Error> {
    let count = u8::try_from(sets.len()).ok().filter(|count| *count <= max);
    out.put_u8(flags | count.ok_or(too_many(sets.len()))?);
    for set in sets {
        out.put_u16(u16::try_from(set.len()).map_err(|_| too_many(set.len()))?);
        out.put_slice(set);
    }
    Ok(())
}

fn too_many(value: usize) -> Error {
    Error::Invalid {
        what: "parameter sets",
        value: value as u64,
    }
}

fn parameter_sets<'a>(data: &mut &'a [u8], count: u8) -> Result<Vec<&'a [u8]>, Error> {
    (0..count).map(|_| take_u16_prefixed(data, RECORD)).collect()
}

/// What a sequence parameter set says.
#[derive(Clone, Debug, PartialEq)]
pub struct Sps {
    /// `profile_idc`.
    pub profile: u8,
    /// `level_idc`: ten times the level.
    pub level: u8,
    /// Pixels, cropped.
    pub width: u32,
    /// Pixels, cropped.
    pub height: u32,
    /// From the timing information, where it is there and not zero.
    pub frames_per_second: Option<f64>,
}

impl From<Sps> for VideoInfo {
    fn from(sps: Sps) -> Self {
        Self {
            width: sps.width,
            height: sps.height,
            frames_per_second: sps.frames_per_second,
        }
    }
}

impl Sps {
    /// Reads a NAL unit of type 7, header included.
    pub fn parse(nal: &[u8]) -> Result<Self, Error> {
        let rbsp = unescape(nal);
        let mut bits = Bits::new(&rbsp, SPS);
        let header = bits.read(8)?;
        if header & 0x1f != 7 {
            return Err(Error::Invalid {
                what: "nal_unit_type",
                value: u64::from(header & 0x1f),
            });
        }
        let (profile, (), level) = (bits.read(8)?, bits.skip(8)?, bits.read(8)?);
        bits.ue("seq_parameter_set_id", 31)?;
        let chroma = if HIGH_PROFILES.contains(&profile) {
            chroma_format(&mut bits)?
        } else {
            Chroma::YUV420
        };
        picture_order(&mut bits)?;
        bits.ue("max_num_ref_frames", 255)?;
        bits.skip(1)?;
        let (width, height) = picture_size(&mut bits, chroma)?;
        let frames_per_second = if bits.bit()? {
            vui_frame_rate(&mut bits).unwrap_or(None)
        } else {
            None
        };
        let byte = |v: u32| u8::try_from(v).unwrap_or(u8::MAX);
        Ok(Self {
            profile: byte(profile),
            level: byte(level),
            width,
            height,
            frames_per_second,
        })
    }
}

/// Profiles whose parameter sets carry the chroma format (§7.3.2.1.1).
const HIGH_PROFILES: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// Luma samples per crop unit.
#[derive(Clone, Copy)]
struct Chroma {
    horizontal: u32,
    vertical: u32,
}

impl Chroma {
    const YUV420: Self = Self {
        horizontal: 2,
        vertical: 2,
    };
}

fn chroma_format(bits: &mut Bits<'_>) -> Result<Chroma, Error> {
    let format = bits.ue("chroma_format_idc", 3)?;
    if format == 3 {
        bits.skip(1)?;
    }
    bits.ue("bit_depth_luma_minus8", 6)?;
    bits.ue("bit_depth_chroma_minus8", 6)?;
    bits.skip(1)?;
    if bits.bit()? {
        for list in 0..if format == 3 { 12 } else { 8 } {
            if bits.bit()? {
                scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Ok(match format {
        1 => Chroma::YUV420,
        2 => Chroma {
            horizontal: 2,
            vertical: 1,
        },
        _ => Chroma {
            horizontal: 1,
            vertical: 1,
        },
    })
}

fn scaling_list(bits: &mut Bits<'_>, size: u32) -> Result<(), Error> {
    let (mut last, mut next) = (8_i64, 8_i64);
    for _ in 0..size {
        if next != 0 {
            next = last.saturating_add(bits.se("delta_scale")?) & 0xff;
        }
        if next != 0 {
            last = next;
        }
    }
    Ok(())
}

fn picture_order(bits: &mut Bits<'_>) -> Result<(), Error> {
    bits.ue("log2_max_frame_num_minus4", 12)?;
    match bits.ue("pic_order_cnt_type", 2)? {
        0 => {
            bits.ue("log2_max_pic_order_cnt_lsb_minus4", 12)?;
        }
        1 => {
            bits.skip(1)?;
            bits.se("offset_for_non_ref_pic")?;
            bits.se("offset_for_top_to_bottom_field")?;
            for _ in 0..bits.ue("num_ref_frames_in_pic_order_cnt_cycle", 255)? {
                bits.se("offset_for_ref_frame")?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn picture_size(bits: &mut Bits<'_>, chroma: Chroma) -> Result<(u32, u32), Error> {
    let columns = bits.ue("pic_width_in_mbs_minus1", MACROBLOCKS_MAX)?.saturating_add(1);
    let rows = bits
        .ue("pic_height_in_map_units_minus1", MACROBLOCKS_MAX)?
        .saturating_add(1);
    let fields = if bits.bit()? { 1 } else { 2 };
    if fields == 2 {
        bits.skip(1)?;
    }
    bits.skip(1)?;
    let (width, height) = (
        columns.saturating_mul(16),
        rows.saturating_mul(16).saturating_mul(fields),
    );
    if !bits.bit()? {
        return Ok((width, height));
    }
    let mut crop = |unit: u32| -> Result<u32, Error> {
        let (a, b) = (
            bits.ue("frame_crop_offset", 1 << 16)?,
            bits.ue("frame_crop_offset", 1 << 16)?,
        );
        Ok(a.saturating_add(b).saturating_mul(unit))
    };
    let (across, down) = (crop(chroma.horizontal)?, crop(chroma.vertical.saturating_mul(fields))?);
    if across >= width || down >= height {
        return Err(Error::Invalid {
            what: "frame_crop_offset",
            value: u64::from(across.max(down)),
        });
    }
    Ok((width.saturating_sub(across), height.saturating_sub(down)))
}

/// Annex E.1.1, as far as the timing information.
fn vui_frame_rate(bits: &mut Bits<'_>) -> Result<Option<f64>, Error> {
    const EXTENDED_SAR: u32 = 255;
    if bits.bit()? && bits.read(8)? == EXTENDED_SAR {
        bits.skip(32)?;
    }
    if bits.bit()? {
        bits.skip(1)?;
    }
    if bits.bit()? {
        bits.skip(4)?;
        if bits.bit()? {
            bits.skip(24)?;
        }
    }
    if bits.bit()? {
        bits.ue("chroma_sample_loc_type_top_field", 5)?;
        bits.ue("chroma_sample_loc_type_bottom_field", 5)?;
    }
    if !bits.bit()? {
        return Ok(None);
    }
    let (units, scale) = (bits.read(32)?, bits.read(32)?);
    Ok((units > 0 && scale > 0).then(|| f64::from(scale) / (2.0 * f64::from(units))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutation::{AVC_720P, AVC_CROPPED, AVC_INTERLACED_422, hex};

    #[test]
    fn sizes_rates_and_profiles_are_those_of_the_encoder() {
        let cases = [
            (AVC_720P, 100, 1280, 720, 30.0),
            (AVC_CROPPED, 66, 642, 362, 25.0),
            (AVC_INTERLACED_422, 122, 720, 576, 25.0),
        ];
        for (record, profile, width, height, rate) in cases {
            let record = hex(record);
            let config = AvcConfig::parse(&record).unwrap();
            assert_eq!(
                (config.profile, config.length_size, config.sps.len(), config.pps.len()),
                (profile, 4, 1, 1)
            );
            let sps = Sps::parse(config.sps[0]).unwrap();
            assert_eq!((sps.profile, sps.width, sps.height), (profile, width, height));
            assert_eq!(sps.frames_per_second, Some(rate));
        }
    }

    #[test]
    fn a_record_made_of_its_own_sets_holds_them() {
        let encoders = hex(AVC_CROPPED);
        let config = AvcConfig::parse(&encoders).unwrap();
        assert_eq!(record(&[config.sps[0], config.pps[0]]).unwrap(), encoders);
        assert!(
            record(&[config.pps[0]]).is_err(),
            "without a sequence there is nothing to decode"
        );
    }

    #[test]
    fn a_record_that_is_cut_or_of_another_version_is_refused() {
        let record = hex(AVC_720P);
        assert_eq!(AvcConfig::parse(&record[..20]), Err(Error::Truncated { what: RECORD }));
        assert!(AvcConfig::parse(&[0, 0, 0, 1, 0x67, 0x64, 0]).is_err());
    }
}
