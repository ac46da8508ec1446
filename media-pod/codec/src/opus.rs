//! Opus's identification header (RFC 7845 §5.1).

use crate::AudioInfo;

/// Opus is always decoded at this rate, in Hz.
const SAMPLE_RATE: u32 = 48_000;
const MARK: &[u8] = b"OpusHead";

/// What a header says of the sound; `None` when it is none.
pub fn head_info(head: &[u8]) -> Option<AudioInfo> {
    let &[_version, channels, ..] = head.strip_prefix(MARK)? else {
        return None;
    };
    (channels > 0).then(|| AudioInfo {
        sample_rate: SAMPLE_RATE,
        channels: u32::from(channels),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_says_how_many_channels_there_are() {
        let head = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";
        let info = head_info(head).map(|i| (i.sample_rate, i.channels));
        assert_eq!(info, Some((48_000, 2)));
        assert_eq!(head_info(b"OpusHead\x01"), None);
        assert_eq!(head_info(b"OpusTags\x01\x02"), None);
    }
}
