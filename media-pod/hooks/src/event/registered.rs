//! A stream as it is told when it can be played.

use headgate_codec::{Track, TrackKind};
use headgate_hub::{Session, StreamName};
use jiff::Timestamp;
use std::net::SocketAddr;

use super::{Registered, TrackInfo, seconds, transport};

impl Registered {
    pub(super) fn of(publisher: &Session, tracks: &[Track], now: Timestamp) -> Self {
        let (schema, _) = transport::of(publisher.connection.protocol);
        let StreamName { vhost, app, stream } = &publisher.name;
        Self {
            source: schema.push(),
            url: format!("{}://{vhost}/{app}/{stream}{}", schema.as_str(), publisher.param),
            created_seconds: publisher.started.as_second(),
            alive_seconds: seconds(publisher.started, now),
            local: None::<SocketAddr>,
            tracks: tracks.iter().map(TrackInfo::of).collect(),
            ..Self::default()
        }
    }
}

impl TrackInfo {
    fn of(track: &Track) -> Self {
        let (video, audio) = (track.video.as_ref(), track.audio.as_ref());
        Self {
            codec: track.codec.as_str().to_owned(),
            is_video: track.kind() == TrackKind::Video,
            width: video.map_or(0, |video| video.width),
            height: video.map_or(0, |video| video.height),
            frames_per_1000_seconds: video.and_then(|video| video.frames_per_second).map_or(0, thousandfold),
            sample_rate: audio.map_or(0, |audio| audio.sample_rate),
            channels: audio.map_or(0, |audio| audio.channels),
            ..Self::default()
        }
    }
}

/// A rate as a whole number; 0 for one that makes no sense.
fn thousandfold(rate: f64) -> u32 {
    let rate = (rate * 1000.0).round();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within the bounds of a u32"
    )]
    let whole = (0.0..=1_000_000_000.0).contains(&rate).then_some(rate as u32);
    whole.unwrap_or(0)
}
