//! How a MediaServer's streams are cut for HLS.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How streams are cut for HLS. A change is in force for the next segment of every stream, and cuts no viewer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.partMilliseconds == 0 || (self.partMilliseconds >= 100 && self.partMilliseconds <= self.segmentSeconds * 1000)")
        .message("`partMilliseconds` must be 0, for no parts, or from 100 to the length of a segment")
)]
pub struct Hls {
    /// How long segments should be, in seconds: one ends at the first key frame from then on. Publishers that send a key frame every two seconds or
    /// more often suit the default. Shorter is nearer to live, longer makes fewer requests.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 60))]
    pub segment_seconds: i32,
    /// How many segments a playlist names, so how far back a viewer can go. A stream's window takes at most 128 MiB of a pod's memory, and all
    /// of a pod about `memoryMebibytes`: where they would take more, fewer are kept. An `Event` has no window.
    #[serde(default = "six")]
    #[schemars(range(min = 3, max = 1000))]
    pub window_segments: i32,
    /// What `STREAM.m3u8` leads to: `MPEGTS`, which every player reads, for H.264, H.265, AAC and MP3; or `FMP4`, fragmented MP4, for any codec, H.265 on
    /// Apple's players and low latency. Both are always there under their own names, `STREAM/hls.m3u8` and `STREAM/hls.fmp4.m3u8`.
    #[serde(default)]
    pub container: HlsContainer,
    /// How long parts are, in milliseconds, for low latency (LL-HLS); 0 for no parts. Playlists of fragmented MP4 have them; players that do not know
    /// them pass them over.
    #[serde(default = "half_a_second")]
    #[schemars(range(min = 0, max = 5000))]
    pub part_milliseconds: i32,
    /// What a playlist names: `Live` for a window that moves with the stream; `Event` for every segment since the stream began, so that a viewer can go
    /// back to its beginning. Streams are then cut whether or not anybody watches, and an event whose segments have no room any more, or are more
    /// than 5,000, goes on as a live window: the oldest are left out.
    #[serde(default)]
    pub playlist: HlsPlaylist,
    /// How much of a pod's memory the segments of all its streams may take, in MiB, about: each stream gets the same share. For an `Event`, what its
    /// length takes: an hour at 2 Mbit/s is 900 MiB.
    #[serde(default = "a_gibibyte")]
    #[schemars(range(min = 64, max = 262_144))]
    pub memory_mebibytes: i32,
}

/// What a playlist names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HlsPlaylist {
    /// A window that moves with the stream.
    #[default]
    Live,
    /// Every segment since the stream began, as long as there is room.
    Event,
}

/// What segments are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HlsContainer {
    /// MPEG-TS, for H.264, H.265, AAC and MP3: every player reads it.
    #[default]
    #[serde(rename = "MPEGTS")]
    MpegTs,
    /// Fragmented MP4: any codec, H.265 on Apple's players, and low latency.
    #[serde(rename = "FMP4")]
    Fmp4,
}

impl Default for Hls {
    fn default() -> Self {
        Self {
            segment_seconds: two(),
            window_segments: six(),
            container: HlsContainer::default(),
            part_milliseconds: half_a_second(),
            playlist: HlsPlaylist::default(),
            memory_mebibytes: a_gibibyte(),
        }
    }
}

fn two() -> i32 {
    2
}

fn six() -> i32 {
    6
}

fn a_gibibyte() -> i32 {
    1024
}

fn half_a_second() -> i32 {
    500
}
