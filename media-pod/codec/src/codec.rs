//! The codecs that Headgate carries. It decodes none of them.

use std::fmt;

/// What a track is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// How a track is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// AVC, ISO/IEC 14496-10.
    H264,
    /// HEVC, ISO/IEC 23008-2.
    H265,
    /// AV1.
    Av1,
    /// VP9.
    Vp9,
    /// AAC of any profile.
    Aac,
    /// MPEG-1/2 layer III.
    Mp3,
    /// Opus.
    Opus,
    /// FLAC.
    Flac,
    /// G.711 A-law.
    G711a,
    /// G.711 µ-law.
    G711u,
    /// AC-3, ATSC A/52.
    Ac3,
    /// E-AC-3, ATSC A/52 annex E.
    Eac3,
    /// Speex, as FLV has it: 16 kHz, mono.
    Speex,
}

impl Codec {
    /// Whether it codes pictures or sound.
    pub fn kind(self) -> TrackKind {
        match self {
            Self::H264 | Self::H265 | Self::Av1 | Self::Vp9 => TrackKind::Video,
            Self::Aac
            | Self::Mp3
            | Self::Opus
            | Self::Flac
            | Self::G711a
            | Self::G711u
            | Self::Ac3
            | Self::Eac3
            | Self::Speex => TrackKind::Audio,
        }
    }

    /// The name that status, metrics and logs use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::H264 => "H264",
            Self::H265 => "H265",
            Self::Av1 => "AV1",
            Self::Vp9 => "VP9",
            Self::Aac => "AAC",
            Self::Mp3 => "MP3",
            Self::Opus => "Opus",
            Self::Flac => "FLAC",
            Self::G711a => "G711A",
            Self::G711u => "G711U",
            Self::Ac3 => "AC3",
            Self::Eac3 => "EAC3",
            Self::Speex => "Speex",
        }
    }

    /// Whether its first frame can be decoded without a configuration record before it.
    pub fn needs_no_config(self) -> bool {
        matches!(
            self,
            Self::Mp3 | Self::G711a | Self::G711u | Self::Ac3 | Self::Eac3 | Self::Speex
        )
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
