//! VP9's uncompressed header, as much of it as holds the size (VP9 specification §6.2): its configuration record does not say it.

use crate::bits::Bits;
use crate::{Error, VideoInfo};

const HEADER: &str = "VP9 frame header";
const SYNC_CODE: u32 = 0x49_83_42;
const RGB: u32 = 7;

/// The size that a key frame says.
pub fn key_frame_video(frame: &[u8]) -> Result<VideoInfo, Error> {
    let mut bits = Bits::new(frame, HEADER);
    let marker = bits.read(2)?;
    let profile = bits.read(1)? | bits.read(1)? << 1;
    if profile == 3 {
        bits.skip(1)?;
    }
    let (shows_another, is_inter) = (bits.bit()?, bits.bit()?);
    bits.skip(2)?;
    let sync = bits.read(24)?;
    if marker != 2 || shows_another || is_inter || sync != SYNC_CODE {
        return Err(Error::Invalid {
            what: "VP9 sync code of a key frame",
            value: u64::from(sync),
        });
    }
    colours(&mut bits, profile)?;
    let mut side = || Ok::<_, Error>(bits.read(16)?.saturating_add(1));
    Ok(VideoInfo {
        width: side()?,
        height: side()?,
        frames_per_second: None,
    })
}

/// `color_config` (§6.2.2).
fn colours(bits: &mut Bits<'_>, profile: u32) -> Result<(), Error> {
    if profile >= 2 {
        bits.skip(1)?;
    }
    let subsampled = profile & 1 == 1;
    if bits.read(3)? == RGB {
        return bits.skip(usize::from(subsampled));
    }
    bits.skip(if subsampled { 4 } else { 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutation::{VP9_160, hex};

    #[test]
    fn the_size_is_that_of_the_encoder_in_every_profile() {
        for (frame, size) in [
            (VP9_160, (160, 90)),
            ("a2498342000282016ac0c70483830940", (322, 182)),
            ("92498342000a0805ab031c120e0c2c00", (322, 182)),
        ] {
            let video = key_frame_video(&hex(frame)).unwrap();
            assert_eq!((video.width, video.height), size, "{frame}");
        }
    }

    #[test]
    fn what_is_cut_or_no_key_frame_is_refused() {
        let frame = hex(VP9_160);
        for end in 0..9 {
            assert!(key_frame_video(&frame[..end]).is_err(), "cut at {end}");
        }
        assert!(
            key_frame_video(&hex("8649834200")).is_err(),
            "a frame that rests on others"
        );
    }
}
