//! Tracks: what a decoder and a status must know of a stream before its first frame.

use crate::{Codec, Error, TrackKind, aac, h264, h265};
use bytes::Bytes;

/// Names a track within its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(pub u8);

impl TrackId {
    /// The one video track of a stream without multitrack.
    pub const VIDEO: Self = Self(0);
    /// The one audio track of a stream without multitrack.
    pub const AUDIO: Self = Self(1);
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
