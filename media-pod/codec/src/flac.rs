//! FLAC's STREAMINFO (RFC 9639 §8.2).

use crate::AudioInfo;
use crate::bits::Bits;
use bytes::Bytes;

const MARK: &[u8] = b"fLaC";
/// A metadata block's header that says that it is STREAMINFO, the last one, of this size.
const HEAD: [u8; 4] = [0x80, 0, 0, 34];
const STREAMINFO: usize = 34;
/// A metadata block's header, then sizes of blocks and frames.
const BEFORE_RATE_BITS: usize = 32 + 16 + 16 + 24 + 24;

/// The mark and the blocks, as enhanced RTMP and everybody else wants them. FFmpeg sends STREAMINFO alone.
pub fn whole(config: Bytes) -> Bytes {
    if config.starts_with(MARK) {
        config
    } else if config.len() == STREAMINFO {
        [MARK, &HEAD[..], &config[..]].concat().into()
    } else if config.get(..4).is_some_and(|head| head.get(1..) == HEAD.get(1..)) {
        [MARK, &config[..]].concat().into()
    } else {
        config
    }
}

/// What the first metadata block behind the mark says of the sound; `None` when that is no STREAMINFO.
pub fn info(config: &[u8]) -> Option<AudioInfo> {
    let block = config.strip_prefix(MARK)?;
    if block.first()? & 0x7f != 0 {
        return None;
    }
    let mut bits = Bits::new(block, "STREAMINFO");
    bits.skip(BEFORE_RATE_BITS).ok()?;
    let (sample_rate, channels) = (bits.read(20).ok()?, bits.read(3).ok()?);
    (sample_rate > 0).then(|| AudioInfo {
        sample_rate,
        channels: channels.saturating_add(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutation::hex;

    #[test]
    fn rate_and_channels_are_those_of_the_encoder() {
        // Made by ffmpeg's encoder, 44,100 Hz, stereo.
        let config = hex("664c614300000022120012000004d20004d20ac442f00000113aa7e129326b5bc5ac89a7bee277e87424");
        let said = info(&config).map(|i| (i.sample_rate, i.channels));
        assert_eq!(said, Some((44_100, 2)));
        for beginning in [4, 8] {
            let part = config.slice(beginning..);
            assert_eq!(whole(part.clone()).len(), config.len());
            assert_eq!(info(&whole(part)), info(&config), "without its first {beginning} bytes");
        }
        assert_eq!(whole(config.clone()), config);
        assert_eq!(info(b"fLaC"), None);
        assert_eq!(info(b"fLaC\x81"), None);
    }
}
