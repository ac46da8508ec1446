//! A test stream that needs no encoder: moving pictures as H.264 that any player decodes, and silence as AAC.
//!
//! `cargo demo` publishes it where ffmpeg is not installed. Pictures are made of `I_PCM` macroblocks (raw samples) where
//! something moved and of skipped ones elsewhere, so that a few hundred lines write valid H.264 (ITU-T H.264, 7.3 and 7.4).

#![allow(clippy::arithmetic_side_effects, reason = "every number is made here and small")]

mod bits;
mod picture;
mod publish;
mod video;

pub use publish::publish;
pub use video::{FRAMES_PER_SECOND, H264Writer, HEIGHT, VideoFrame, WIDTH};

/// AudioSpecificConfig of AAC-LC, 44.1 kHz, stereo (ISO/IEC 14496-3, 1.6.2.1).
pub const AUDIO_CONFIG: [u8; 2] = [0x12, 0x10];
/// Samples a second.
pub const AUDIO_RATE: u64 = 44_100;
/// Samples in one AAC frame.
pub const AUDIO_FRAME_SAMPLES: u64 = 1024;
/// One frame of silence: a channel pair element with no spectral data, and the end.
pub const AUDIO_SILENCE: [u8; 9] = [0x21, 0x00, 0x49, 0x90, 0x02, 0x19, 0x00, 0x23, 0x80];
