//! `cargo e2e players`: every output of a media pod, taken by players that no one here wrote.
//!
//! A standalone media pod, streams with a known picture, and then: ffmpeg counts and compares every frame of every output with what was published;
//! GStreamer, VLC and rtmpdump play; hls.js, mpegts.js and the browser's own Media Source play in headless Chromium, and what they show is looked at.
//! OBS publishes.

mod browser;
mod enhanced;
mod frames;
mod hashes;
mod obs;
pub(crate) mod place;
mod playlists;
mod source;
mod tools;

use crate::error::{Error, Result};
use crate::tools::apt;
use crate::tools::paths::Paths;
use crate::ui::{complain, say, step};
use place::Place;

/// What the players need from Debian, beside what everything needs.
const PACKAGES: [&str; 10] = [
    "chromium",
    "ffmpeg",
    "gstreamer1.0-libav",
    "gstreamer1.0-plugins-bad",
    "gstreamer1.0-plugins-base",
    "gstreamer1.0-plugins-good",
    "gstreamer1.0-tools",
    "rtmpdump",
    "vlc-bin",
    "vlc-plugin-base",
];

/// All of it; fails when one does not play.
pub async fn run(paths: &Paths) -> Result<()> {
    apt::install_also(&PACKAGES).await?;
    apt::install_also(&obs::PACKAGES).await?;
    let libraries = browser::Libraries::ensure(paths).await?;
    let place = step("media pod", Place::start()).await?;
    let mut failed = 0_usize;
    for clip in source::ALL {
        let what = format!("every output has the frames of {}", clip.name);
        failed = count(failed, step(what, frames::compare(paths, &place, clip)).await);
    }
    if let Some(streams) = enhanced::Streams::ensure(paths).await? {
        for case in enhanced::ALL {
            let what = format!(
                "every output has the frames of {}, as FFmpeg 8 publishes them",
                case.name()
            );
            failed = count(failed, step(what, streams.compare(paths, &place, case)).await);
        }
    } else {
        say("not checked: enhanced RTMP with FFmpeg 8 (python3 with pip is not here)");
    }
    let what = "OBS publishes, and that it was killed is noticed";
    failed = count(failed, step(what, obs::publishes(&place)).await);
    let live = source::Loop::start(paths, &place, "quadrants").await?;
    for (what, tool) in tools::all(&place, "quadrants") {
        failed = count(failed, step(what, tool).await);
    }
    if let Some(modules) = playlists::ensure(paths).await? {
        let rules = playlists::check(&modules, &place, "quadrants");
        failed = count(
            failed,
            step("hls-parser finds no broken rule in any playlist", rules).await,
        );
    } else {
        say("not checked: playlists by hls-parser (node with npm is not here)");
    }
    let browser = step(
        "hls.js, mpegts.js and Media Source in Chromium",
        browser::check(&libraries, &place, "quadrants"),
    );
    failed = count(failed, browser.await);
    live.stop().await?;
    place.stop().await?;
    match failed {
        0 => Ok(()),
        failed => Err(Error::new(format!("{failed} checks with players failed"))),
    }
}

fn count(failed: usize, outcome: Result<Vec<String>>) -> usize {
    match outcome {
        Ok(lines) => {
            for line in &lines {
                say(format_args!("    {line}"));
            }
            failed
        }
        Err(error) => {
            complain(format_args!("    {error}"));
            failed.saturating_add(1)
        }
    }
}
