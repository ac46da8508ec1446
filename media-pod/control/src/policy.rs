//! How a server treats who publishes and who plays, and how many.

use serde::{Deserialize, Serialize};

/// How a publisher or player proves itself before any hook is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authentication {
    /// A stream key with the permission for it.
    #[default]
    StreamKey,
    /// No local check; the hooks decide alone.
    None,
}

/// What happens when a second publisher comes for a name that is live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnConflict {
    /// The newcomer is refused.
    #[default]
    Reject,
    /// The older publisher is cut, once the newcomer is admitted.
    Takeover,
}

/// Publish side of the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishPolicy {
    /// How a publisher proves itself.
    pub authentication: Authentication,
    /// Two publishers, one name.
    pub on_conflict: OnConflict,
    /// How long a publisher's first audio or video may take, in seconds.
    #[serde(default = "twenty")]
    pub first_packet_timeout_seconds: u32,
    /// How long a publisher may be silent afterwards, in seconds.
    #[serde(default = "ten")]
    pub idle_timeout_seconds: u32,
}

fn twenty() -> u32 {
    20
}

fn ten() -> u32 {
    10
}

/// Play side of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlayPolicy {
    /// How a player proves itself.
    pub authentication: Authentication,
    /// Start a player at the newest key frame that is there, instead of waiting for the next.
    pub gop_cache: bool,
    /// How long output may be held back so that several frames go out in one write, in milliseconds.
    pub max_latency_milliseconds: u32,
}

impl Default for PlayPolicy {
    fn default() -> Self {
        Self {
            authentication: Authentication::None,
            gop_cache: true,
            max_latency_milliseconds: 100,
        }
    }
}

/// How streams are cut for HLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HlsPolicy {
    /// How long segments should be, in seconds.
    pub segment_seconds: u32,
    /// How many segments a playlist names.
    pub window_segments: u32,
    /// What `STREAM.m3u8` leads to.
    pub container: HlsContainer,
    /// How long parts are in playlists of fragmented MP4, in milliseconds; 0 for no parts.
    pub part_milliseconds: u32,
    /// What a playlist names.
    #[serde(default)]
    pub playlist: HlsPlaylist,
    /// What the segments of all streams take of the memory, in MiB, about.
    #[serde(default = "a_gibibyte")]
    pub memory_mebibytes: u32,
}

/// What a playlist names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HlsPlaylist {
    /// A window that moves with the stream.
    #[default]
    Live,
    /// Everything since the stream began, as long as there is room.
    Event,
}

fn a_gibibyte() -> u32 {
    1024
}

/// What segments are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HlsContainer {
    /// MPEG-TS.
    #[default]
    #[serde(rename = "MPEGTS")]
    MpegTs,
    /// Fragmented MP4.
    #[serde(rename = "FMP4")]
    Fmp4,
}

impl Default for HlsPolicy {
    fn default() -> Self {
        Self {
            segment_seconds: 2,
            window_segments: 6,
            container: HlsContainer::MpegTs,
            part_milliseconds: 500,
            playlist: HlsPlaylist::Live,
            memory_mebibytes: a_gibibyte(),
        }
    }
}

/// Upper bounds; `None` is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Publishers at one time in this pod.
    pub publishers_per_pod: Option<u32>,
    /// Viewers at one time in this pod.
    pub viewers_per_pod: Option<u32>,
    /// Connections at one time on all listeners of this pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections_per_pod: Option<u32>,
    /// Connections at one time from one IPv4 address or one /64 of IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections_per_address: Option<u32>,
    /// Media of one publisher, in 1,000 bit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest_kilobits_per_second: Option<u32>,
}
