//! Tracks: what a decoder and a status must know of a stream before its first frame.

use crate::{Codec, Error, TrackKind, aac, av1, flac, h264, h265, opus};
use bytes::Bytes;

/// Names a track within its stream: pictures have even numbers and sound odd ones, so that each kind counts for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(pub u8);

impl TrackId {
    /// The first video track, which is the only one without multitrack.
    pub const VIDEO: Self = Self(0);
    /// The first audio track, which is the only one without multitrack.
    pub const AUDIO: Self = Self(1);
    /// Tracks of one kind in a stream.
    pub const EACH_MAX: u8 = 8;

    /// The track of this kind with this number, counted from 0; `None` from [`TrackId::EACH_MAX`] on.
    pub fn of(kind: TrackKind, number: u8) -> Option<Self> {
        let odd = u8::from(kind == TrackKind::Audio);
        (number < Self::EACH_MAX).then(|| Self(number.saturating_mul(2).saturating_add(odd)))
    }

    /// Which of its kind it is, counted from 0.
    pub fn number(self) -> u8 {
        self.0 / 2
    }
}

/// What the parameter sets say of a video track.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VideoInfo {
    /// Pixels, cropped.
    pub width: u32,
    /// Pixels, cropped.
    pub height: u32,
    /// As the parameter sets claim it, where they do.
    pub frames_per_second: Option<f64>,
}

/// What is known of an audio track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioInfo {
    /// Hertz, as heard: with spectral band replication the doubled rate.
    pub sample_rate: u32,
    /// As heard: with parametric stereo two.
    pub channels: u32,
}

/// A track and its decoder configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// Its name within the stream.
    pub id: TrackId,
    /// How it is coded.
    pub codec: Codec,
    /// `avcC`, `hvcC`, `av1C`, `vpcC`, AudioSpecificConfig, OpusHead; empty where the codec has none.
    pub config: Bytes,
    /// Known for video whose parameter sets can be read.
    pub video: Option<VideoInfo>,
    /// Known for audio whose configuration can be read.
    pub audio: Option<AudioInfo>,
    /// HEVC that came under FLV's unofficial codec id 12: who publishes so has players that know nothing else.
    pub old_id: bool,
}

impl Track {
    /// A track of which nothing but the configuration is known.
    pub fn plain(id: TrackId, codec: Codec, config: Bytes) -> Self {
        Self {
            id,
            codec,
            config,
            video: None,
            audio: None,
            old_id: false,
        }
    }

    /// H.264 from an AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3).
    pub fn h264(id: TrackId, config: Bytes) -> Result<Self, Error> {
        let video = h264::AvcConfig::parse(&config)?
            .sps
            .first()
            .and_then(|sps| h264::Sps::parse(sps).ok())
            .map(Into::into);
        Ok(Self {
            video,
            ..Self::plain(id, Codec::H264, config)
        })
    }

    /// H.265 from an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 §8.3.3).
    pub fn h265(id: TrackId, config: Bytes) -> Result<Self, Error> {
        let video = h265::HevcConfig::parse(&config)?.video();
        Ok(Self {
            video,
            ..Self::plain(id, Codec::H265, config)
        })
    }

    /// AAC from an AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).
    pub fn aac(id: TrackId, config: Bytes) -> Result<Self, Error> {
        let audio = Some(aac::AudioSpecificConfig::parse(&config)?.into());
        Ok(Self {
            audio,
            ..Self::plain(id, Codec::Aac, config)
        })
    }

    /// AV1 from an AV1CodecConfigurationRecord (AV1-ISOBMFF §2.3). The size is known when its sequence header can be read.
    pub fn av1(id: TrackId, config: Bytes) -> Self {
        Self {
            video: av1::config_video(&config).ok(),
            ..Self::plain(id, Codec::Av1, config)
        }
    }

    /// Opus from an identification header (RFC 7845 §5.1).
    pub fn opus(id: TrackId, config: Bytes) -> Self {
        Self {
            audio: opus::head_info(&config),
            ..Self::plain(id, Codec::Opus, config)
        }
    }

    /// FLAC from its mark and STREAMINFO, or from STREAMINFO alone.
    pub fn flac(id: TrackId, config: Bytes) -> Self {
        let config = flac::whole(config);
        Self {
            audio: flac::info(&config),
            ..Self::plain(id, Codec::Flac, config)
        }
    }

    /// A codec that needs no configuration, with what its container says of it.
    pub fn sound(id: TrackId, codec: Codec, audio: AudioInfo) -> Self {
        Self {
            audio: Some(audio),
            ..Self::plain(id, codec, Bytes::new())
        }
    }

    /// Video or audio.
    pub fn kind(&self) -> TrackKind {
        self.codec.kind()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_counts_its_tracks_for_itself() {
        assert_eq!(TrackId::of(TrackKind::Video, 0), Some(TrackId::VIDEO));
        assert_eq!(TrackId::of(TrackKind::Audio, 0), Some(TrackId::AUDIO));
        for number in 0..TrackId::EACH_MAX {
            for kind in [TrackKind::Video, TrackKind::Audio] {
                assert_eq!(TrackId::of(kind, number).map(TrackId::number), Some(number));
            }
        }
        assert_eq!(TrackId::of(TrackKind::Video, TrackId::EACH_MAX), None);
    }
}
