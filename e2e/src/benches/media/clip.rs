//! The stream that is sent: what encoders for the web send, at 1 Mbit/s, 68 messages a second.

use crate::command::Cmd;
use crate::error::{Context as _, Error, Result};
use crate::tools::paths::Paths;
use bytes::Bytes;
use headgate_flv::{Tag, TagReader};
use std::path::PathBuf;
use std::time::Duration;

/// How a clip is made; each is encoded once.
struct Kind {
    name: &'static str,
    size: &'static str,
    video_kbit: u32,
    audio_kbit: u32,
}

/// A minute of H.264 1280×720 at 25 frames a second, a key frame every two seconds, 900 kbit/s of noise, and 96 kbit/s of AAC.
pub async fn clip() -> Result<PathBuf> {
    let kind = Kind {
        name: "bench-1m",
        size: "1280x720",
        video_kbit: 900,
        audio_kbit: 96,
    };
    kind.made().await
}

/// The same of a tenth of the rate, for streams whose number counts.
pub async fn thin() -> Result<PathBuf> {
    let kind = Kind {
        name: "bench-100k",
        size: "160x90",
        video_kbit: 70,
        audio_kbit: 32,
    };
    kind.made().await
}

impl Kind {
    async fn made(self) -> Result<PathBuf> {
        let Self {
            name,
            size,
            video_kbit,
            audio_kbit,
        } = self;
        let file = Paths::find()?.cache.join(format!("clips/{name}.flv"));
        if file.exists() {
            return Ok(file);
        }
        std::fs::create_dir_all(file.parent().context("the clip's path has no directory")?)
            .context("making the directory of clips")?;
        let draft = file.with_extension("draft.flv");
        let source = format!("-v error -nostdin -y -f lavfi -i testsrc2=size={size}:rate=25,noise=alls=12:allf=t");
        let video = format!(
            "-c:v libx264 -preset veryfast -profile:v main -bf 0 -b:v {video_kbit}k -maxrate {video_kbit}k -bufsize {video_kbit}k -g 50 -keyint_min 50 -sc_threshold 0 -pix_fmt yuv420p"
        );
        let audio = format!("-c:a aac -b:a {audio_kbit}k -ac 2 -f flv");
        Cmd::new("ffmpeg")
            .args(source.split(' '))
            .args("-f lavfi -i sine=frequency=440:sample_rate=44100 -t 60".split(' '))
            .args(video.split(' '))
            .args(audio.split(' '))
            .arg(&draft)
            .timeout(Duration::from_mins(5))
            .run()
            .await?;
        std::fs::rename(&draft, &file).context("keeping the clip")?;
        Ok(file)
    }
}

/// Bits a second.
pub fn rate(tags: &[Tag]) -> f64 {
    let bytes = tags.iter().fold(0_usize, |sum, tag| sum.saturating_add(tag.body.len()));
    let length = tags.last().map_or(0, |tag| tag.timestamp_millis).max(1);
    #[allow(clippy::cast_precision_loss, reason = "megabytes")]
    let bits = bytes as f64 * 8.0;
    bits * 1e3 / f64::from(length)
}

/// Its tags.
pub fn tags(file: &std::path::Path) -> Result<Vec<Tag>> {
    let bytes = Bytes::from(std::fs::read(file).context(file.display())?);
    let wrong = |error: headgate_flv::Error| Error::new(format!("{}: {error}", file.display()));
    TagReader::new(bytes)
        .map_err(wrong)?
        .collect::<std::result::Result<_, _>>()
        .map_err(wrong)
}
