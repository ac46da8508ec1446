//! Names of codecs as browsers and playlists take them (RFC 6381).

use crate::{Codec, Track, aac};
use std::fmt::Write;

impl Track {
    /// Such as `avc1.64001f`; `None` for a codec without a name, or whose configuration cannot be read.
    pub fn rfc6381(&self) -> Option<String> {
        match self.codec {
            Codec::H264 => self.config.get(1..4).map(|bytes| format!("avc1.{}", hex(bytes))),
            Codec::H265 => hevc(&self.config),
            Codec::Av1 => av1(&self.config),
            Codec::Vp9 => vp9(&self.config),
            Codec::Aac => {
                let parsed = aac::AudioSpecificConfig::parse(&self.config).ok()?;
                Some(format!("mp4a.40.{}", parsed.object_type))
            }
            Codec::Mp3 => Some("mp4a.40.34".into()),
            Codec::Opus => Some("opus".into()),
            Codec::Flac => Some("fLaC".into()),
            Codec::Ac3 => Some("ac-3".into()),
            Codec::Eac3 => Some("ec-3".into()),
            Codec::G711a | Codec::G711u | Codec::Speex => None,
        }
    }
}

/// ISO/IEC 14496-15, annex E.3: profile, reversed compatibility flags, tier and level, constraints without the zeros at their end.
fn hevc(config: &[u8]) -> Option<String> {
    let &[_, profile, a, b, c, d, ref constraints @ .., level] = config.first_chunk::<13>()?;
    let space = ["", "A", "B", "C"].get(usize::from(profile >> 6))?;
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let flags = u32::from_be_bytes([a, b, c, d]).reverse_bits();
    let mut name = format!("hvc1.{space}{}.{flags:X}.{tier}{level}", profile & 0x1f);
    let last = constraints.iter().rposition(|byte| *byte != 0);
    for byte in constraints.iter().take(last.map_or(0, |last| last.saturating_add(1))) {
        // Writing to memory does not fail.
        let _ = write!(name, ".{byte:X}");
    }
    Some(name)
}

/// AV1 in ISO media files, §5.
fn av1(config: &[u8]) -> Option<String> {
    let &[_, first, second] = config.first_chunk::<3>()?;
    let tier = if second & 0x80 == 0 { 'M' } else { 'H' };
    let depth = match (second & 0x40 != 0, second & 0x20 != 0) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    Some(format!("av01.{}.{:02}{tier}.{depth:02}", first >> 5, first & 0x1f))
}

/// VP codecs in ISO media files: a full box's head, then profile, level and depth.
fn vp9(config: &[u8]) -> Option<String> {
    let &[_, _, _, _, profile, level, depth] = config.first_chunk::<7>()?;
    Some(format!("vp09.{profile:02}.{level:02}.{:02}", depth >> 4))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TrackId;
    use bytes::Bytes;

    #[test]
    fn codecs_are_named_as_browsers_know_them() {
        let named =
            |codec, config: &'static [u8]| Track::plain(TrackId::VIDEO, codec, Bytes::from_static(config)).rfc6381();
        let hvcc = [1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93];
        assert_eq!(hevc(&hvcc).as_deref(), Some("hvc1.1.6.L93.90"));
        let cases = [
            (Codec::H264, &[1, 0x64, 0, 0x1f, 0xff][..], Some("avc1.64001f")),
            (Codec::H264, &[1, 0x64], None),
            (Codec::Av1, &[0x81, 0x05, 0x0c, 0], Some("av01.0.05M.08")),
            (Codec::Vp9, &[1, 0, 0, 0, 0, 31, 0x80], Some("vp09.00.31.08")),
            (Codec::Aac, &[0x12, 0x10], Some("mp4a.40.2")),
            (Codec::Mp3, &[], Some("mp4a.40.34")),
            (Codec::G711a, &[], None),
        ];
        for (codec, config, expected) in cases {
            assert_eq!(named(codec, config).as_deref(), expected, "{codec} {config:?}");
        }
    }
}
