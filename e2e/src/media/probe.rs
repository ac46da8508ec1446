//! What a stream holds, as ffprobe sees it.

use crate::command::Cmd;
use crate::error::Result;
use serde::Deserialize;
use std::time::Duration;

/// One track.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Track {
    /// `video` or `audio`.
    #[serde(rename = "codec_type")]
    pub kind: String,
    /// `h264`, `aac` and so on.
    #[serde(rename = "codec_name")]
    pub codec: String,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
}

/// Reads the URL for a moment and says what is in it, video first.
pub async fn probe(url: &str) -> Result<Vec<Track>> {
    #[derive(Deserialize)]
    struct Answer {
        streams: Vec<Track>,
    }
    let json = Cmd::new("ffprobe")
        .args(["-v", "error", "-analyzeduration", "3000000", "-probesize", "1000000"])
        .args([
            "-show_entries",
            "stream=codec_type,codec_name,width,height",
            "-of",
            "json",
            url,
        ])
        .timeout(Duration::from_secs(20))
        .run()
        .await?;
    let mut tracks = serde_json::from_str::<Answer>(&json)?.streams;
    tracks.sort_by(|a, b| b.kind.cmp(&a.kind));
    Ok(tracks)
}
