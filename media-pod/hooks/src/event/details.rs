//! What single kinds of events have beside the stream and the client.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::transport::Schema;

/// What an event has beside its stream and client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Details {
    /// Nothing.
    #[default]
    None,
    /// Of the end of a session, and of what it carried.
    Ended {
        /// When it was asked for.
        started: Timestamp,
        /// It played; else it published.
        player: bool,
        /// Its stream could be played, and now cannot.
        #[serde(default)]
        playable: bool,
        /// By which schemas it could not.
        #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
        without: Box<[Schema]>,
        /// The name that it had where that was another than its publisher's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        played_as: Option<Arc<str>>,
    },
    /// A stream can be played by one schema, or no longer.
    Changed {
        /// Which.
        schema: Schema,
        /// What it is; `None` when it is gone.
        registered: Option<Box<Registered>>,
    },
    /// Nobody plays a stream.
    NoneReader {
        /// The schema that was the last to lose its players.
        schema: Schema,
    },
    /// A file is asked for.
    HttpAccess(Box<HttpAccess>),
    /// An RTSP player named itself.
    RtspAuth(Box<RtspAuth>),
    /// Somebody logs in at a shell.
    ShellLogin(Box<ShellLogin>),
    /// A recorded file or segment, as ZLMediaKit tells of it.
    Recorded(Box<RecordedFile>),
    /// A recorded file, as SRS tells of it.
    Dvr {
        /// The working directory.
        cwd: String,
        /// The file.
        file: String,
    },
    /// A segment of HLS, as SRS tells of it.
    Hls(Box<HlsSegment>),
    /// A recording, as Oryx tells of it.
    Recording(Box<Recording>),
    /// What a server is set to; holds no secret.
    ServerStarted {
        /// By section and name, as `rtmp.port`.
        settings: BTreeMap<String, String>,
    },
    /// How a server is.
    ServerKeepalive {
        /// How many there are of what.
        counters: BTreeMap<String, u64>,
    },
    /// Nothing came at an RTP port.
    RtpServerTimeout(Box<RtpServer>),
    /// RTP that was sent to somebody stopped.
    SendRtpStopped(Box<RtpStopped>),
}

/// A stream as it is when it can be played.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Where it comes from.
    pub source: Source,
    /// The same as a URL.
    pub url: String,
    /// Since when, as a Unix time.
    pub created_seconds: i64,
    /// Since how long.
    pub alive_seconds: u64,
    /// What comes in.
    pub bytes_per_second: u64,
    /// What has come in.
    pub total_bytes: u64,
    /// Players of this schema.
    pub readers: u64,
    /// Players of all schemas.
    pub total_readers: u64,
    /// It is recorded as MP4.
    pub recording_mp4: bool,
    /// It is cut into segments.
    pub recording_hls: bool,
    /// The publisher's connection at this end, where that is known.
    pub local: Option<SocketAddr>,
    /// What is in it.
    pub tracks: Vec<TrackInfo>,
}

/// Where a stream comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Source {
    /// Nobody knows.
    #[default]
    Unknown,
    /// Published over RTMP.
    RtmpPush,
    /// Published over RTSP.
    RtspPush,
    /// Sent as RTP.
    RtpPush,
    /// Pulled from elsewhere.
    Pull,
    /// Pulled by ffmpeg.
    FfmpegPull,
    /// A file.
    Mp4Vod,
    /// A device.
    DeviceChn,
    /// Published over WebRTC.
    RtcPush,
    /// Published over SRT.
    SrtPush,
}

/// One track.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackInfo {
    /// As in status: `H264`, `AAC`.
    pub codec: String,
    /// Pictures; else sound.
    pub is_video: bool,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames in 1000 seconds by the parameter sets; 0 where they do not say.
    pub frames_per_1000_seconds: u32,
    /// Hertz.
    pub sample_rate: u32,
    /// Of sound.
    pub channels: u32,
    /// Frames that have come.
    pub frames: u64,
    /// Those of them that are key frames.
    pub key_frames: u64,
}

/// A request for a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpAccess {
    /// Of the URL.
    pub path: String,
    /// On disk.
    pub file_path: String,
    /// It is a folder.
    pub is_dir: bool,
    /// The headers of the request.
    pub headers: Vec<(String, String)>,
}

/// A file that is complete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFile {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub path: String,
    /// The folder it is in.
    pub folder: String,
    /// Bytes.
    pub size: u64,
    /// Its first frame, as a Unix time.
    pub start_seconds: i64,
    /// How long it plays.
    pub milliseconds: u64,
    /// Its path below the HTTP root.
    pub url: String,
}

/// A segment of HLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HlsSegment {
    /// How long it plays.
    pub milliseconds: u64,
    /// The working directory.
    pub cwd: String,
    /// Where it is.
    pub file: String,
    /// Its path below the HTTP root.
    pub url: String,
    /// Where the playlist is.
    pub m3u8: String,
    /// Its path below the HTTP root.
    pub m3u8_url: String,
    /// Counts the segments.
    pub seq_no: u64,
}

/// An RTSP player that names itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtspAuth {
    /// As whom.
    pub user: String,
    /// Where.
    pub realm: String,
    /// The password is needed in clear.
    pub must_no_encrypt: bool,
}

/// Somebody who logs in at a shell.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShellLogin {
    /// As whom.
    pub user: String,
    /// With which password.
    pub password: String,
}

/// Without the password.
impl std::fmt::Debug for ShellLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShellLogin")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// A recording, as Oryx tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// Names it.
    pub uuid: String,
    /// What came of it; at its end only.
    pub artifact: Option<Artifact>,
}

/// What came of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// 0 when it is there, 100 while it is still made.
    pub code: i64,
    /// On disk.
    pub path: String,
    /// To fetch it.
    pub url: String,
}

/// An RTP port that was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtpServer {
    /// Its number.
    pub local_port: u16,
    /// What was expected there.
    pub stream_id: String,
    /// 0: UDP; 1: TCP, passive; 2: TCP, active.
    pub tcp_mode: u8,
    /// Others may use the port too.
    pub reuse_port: bool,
    /// The one that was expected.
    pub ssrc: u32,
}

/// RTP that was sent to somebody and stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtpStopped {
    /// Of the RTP.
    pub ssrc: String,
    /// Where the stream came from.
    pub source: Source,
    /// The same as a URL.
    pub url: String,
    /// Why.
    pub message: String,
    /// Why, as a number.
    pub error: i64,
}

impl Details {
    pub(super) fn is_none(&self) -> bool {
        *self == Self::None
    }

    /// About how many bytes it holds beside itself.
    pub(super) fn size(&self) -> usize {
        const REGISTERED: usize = size_of::<Registered>();
        match self {
            Self::None | Self::Ended { .. } | Self::NoneReader { .. } => 0,
            Self::Changed { registered, .. } => registered.as_ref().map_or(0, |registered| {
                let tracks = registered.tracks.len().saturating_mul(size_of::<TrackInfo>());
                REGISTERED.saturating_add(registered.url.len()).saturating_add(tracks)
            }),
            // The rest is rare, and of bounded size where it is made.
            _ => 1024,
        }
    }
}
