//! Real publishers and players: ffmpeg and ffprobe from the distribution, so that what passes here passes for users.

mod player;
mod probe;
mod publisher;

pub use player::Player;
pub use probe::{Track, probe};
pub use publisher::Publisher;

use crate::command::Cmd;
use crate::error::{Context as _, Result};
use crate::tools::paths::Paths;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Ten seconds of H.264 640×360 at 25 frames a second, a key frame each second, and AAC: encoded once, so that a publisher costs nearly no CPU.
pub async fn clip() -> Result<PathBuf> {
    let file = Paths::find()?.cache.join("clips/h264-aac-640x360.flv");
    if file.exists() {
        return Ok(file);
    }
    let dir = file.parent().context("the clip's path has no directory")?;
    std::fs::create_dir_all(dir).context("making the directory of test clips")?;
    let draft = dir.join(format!("{}.flv", uuid::Uuid::new_v4()));
    Cmd::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-nostdin",
            "-y",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=640x360:rate=25",
        ])
        .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100", "-t", "10"])
        .args([
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-profile:v",
            "main",
            "-pix_fmt",
            "yuv420p",
            "-b:v",
            "500k",
        ])
        .args([
            "-g",
            "25",
            "-keyint_min",
            "25",
            "-sc_threshold",
            "0",
            "-bf",
            "0",
            "-c:a",
            "aac",
            "-b:a",
            "64k",
            "-ac",
            "2",
            "-f",
            "flv",
        ])
        .arg(&draft)
        .timeout(Duration::from_mins(1))
        .run()
        .await?;
    std::fs::rename(&draft, &file).context("keeping the test clip")?;
    Ok(file)
}

/// The last lines that a program wrote.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(12).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
