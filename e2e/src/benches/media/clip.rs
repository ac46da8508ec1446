//! The stream that is sent: what encoders for the web send, at 1 Mbit/s, 68 messages a second.

use crate::command::Cmd;
use crate::error::{Context as _, Error, Result};
use crate::tools::paths::Paths;
use bytes::Bytes;
use headgate_flv::{Tag, TagReader};
use std::path::PathBuf;
use std::time::Duration;

/// A minute of H.264 1280×720 at 25 frames a second, a key frame every two seconds, 900 kbit/s of noise, and 96 kbit/s of AAC. Encoded once.
pub async fn clip() -> Result<PathBuf> {
    let file = Paths::find()?.cache.join("clips/bench-1m.flv");
    if file.exists() {
        return Ok(file);
    }
    std::fs::create_dir_all(file.parent().context("the clip's path has no directory")?)
        .context("making the directory of clips")?;
    let draft = file.with_extension("draft.flv");
    let video = "-c:v libx264 -preset veryfast -profile:v main -bf 0 -b:v 900k -maxrate 900k -bufsize 900k -g 50 -keyint_min 50 -sc_threshold 0 -pix_fmt yuv420p";
    Cmd::new("ffmpeg")
        .args("-v error -nostdin -y -f lavfi -i testsrc2=size=1280x720:rate=25,noise=alls=12:allf=t".split(' '))
        .args("-f lavfi -i sine=frequency=440:sample_rate=44100 -t 60".split(' '))
        .args(video.split(' '))
        .args("-c:a aac -b:a 96k -ac 2 -f flv".split(' '))
        .arg(&draft)
        .timeout(Duration::from_mins(5))
        .run()
        .await?;
    std::fs::rename(&draft, &file).context("keeping the clip")?;
    Ok(file)
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
