//! Every frame of every output against what was published: how many, when, and which bytes. ffmpeg reads both.

use super::hashes::{Measure, frames, same};
use super::place::Place;
use super::source::Clip;
use crate::ensure;
use crate::error::{Context as _, Error, Result};
use crate::tools::paths::{Paths, read};
use headgate_codec::TrackKind;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// Outputs that ffmpeg reads, and what it must be told for each.
const OUTPUTS: [(&str, &[&str]); 7] = [
    (".flv", &[]),
    (".live.ts", &[]),
    (".mp4", &[]),
    (".m3u8", &["-live_start_index", "0"]),
    ("/hls.m3u8", &["-live_start_index", "0"]),
    ("/hls.fmp4.m3u8", &["-live_start_index", "0"]),
    ("", &[]),
];
/// Publishes the clip once, takes all outputs, and compares.
pub async fn compare(paths: &Paths, place: &Place, clip: &Clip) -> Result<Vec<String>> {
    let file = clip.file(paths).await?;
    let folder = place.dir().join(clip.name);
    std::fs::create_dir_all(&folder).context("making a directory for frames")?;
    let source = folder.join("source");
    let source_url = file.display().to_string();
    ended("source", hashes(clip, &source_url, &[], &source)?).await?;
    let expected = frames(&read(&source)?)?;
    let measure = Measure {
        kinds: &[TrackKind::Video, TrackKind::Audio],
        rounding: clip.rounding,
    };
    // ffmpeg 5 reads H.265 over RTMP in no form that is on the air today.
    let taken = OUTPUTS
        .iter()
        .filter(|(output, _)| clip.name == "h264" || !matches!(*output, "" | ".flv"));
    let mut players = Vec::new();
    for (index, (output, arguments)) in taken.enumerate() {
        let url = match *output {
            "" => format!("rtmp://{}/live/{}", place.rtmp(), clip.name),
            path => format!("http://{}/live/{}{path}", place.http(), clip.name),
        };
        let into = folder.join(index.to_string());
        players.push((*output, hashes(clip, &url, arguments, &into)?, into));
    }
    place.viewers(players.len() as u64).await?;
    clip.publish(paths, place).await?;
    let (mut lines, mut wrong) = (Vec::new(), Vec::new());
    for (output, player, into) in players {
        let outcome = match ended(output, player).await {
            Ok(()) => frames(&read(&into)?).and_then(|got| same(measure, &expected, &got)),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(line) => lines.push(format!("{}{output}: {line}", clip.name)),
            Err(error) => wrong.push(format!("{}{output}: {error}", clip.name)),
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n    "));
    Ok(lines)
}

fn hashes(clip: &Clip, url: &str, arguments: &[&str], into: &Path) -> Result<Child> {
    Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y", "-copyts"])
        .args(arguments)
        .args([
            "-i",
            url,
            "-map",
            "0:v",
            "-map",
            "0:a",
            "-c",
            "copy",
            "-bsf:v",
            clip.normal,
        ])
        .args(["-bsf:a", "aac_adtstoasc", "-f", "framehash", "-hash", "md5"])
        .arg(into)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting ffmpeg")
}

async fn ended(what: &str, player: Child) -> Result<()> {
    let ended = tokio::time::timeout(Duration::from_mins(1), player.wait_with_output()).await;
    let output = ended
        .map_err(|_| Error::new(format!("ffmpeg did not come to the end of {what}")))?
        .context("waiting for ffmpeg")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "ffmpeg failed: {said}");
    Ok(())
}
