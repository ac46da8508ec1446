//! Enhanced RTMP with the libraries of a newer FFmpeg than Debian has: PyAV brings them. What they publish they take back from every output that
//! carries it: the same frames, times and bytes.

use super::hashes::{Measure, frames, same};
use super::place::Place;
use crate::command::Cmd;
use crate::error::{Context as _, Error, Result};
use crate::tools::paths::{Paths, write};
use crate::tools::python;
use headgate_codec::TrackKind::{self, Audio, Video};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// With FFmpeg 8: the first whose FLV has the codecs of enhanced RTMP v2, and several tracks.
const LIBRARY: &str = "av==18.1.0";
const SCRIPT: &str = include_str!("streams.py");
const LIMIT: Duration = Duration::from_mins(1);
/// RTMP carries whole milliseconds.
const ROUNDING: f64 = 0.001_03;

/// What is published, and where it is to be had.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    name: &'static str,
    /// By the names that FFmpeg has for them, by commas.
    codecs: &'static str,
    kinds: &'static [TrackKind],
    outputs: &'static [&'static str],
}

const RTMP: &str = "";
const FLV: &str = ".flv";
const TS: &str = ".ts";
const MP4: &str = ".mp4";
const HLS: &str = "/hls.m3u8";
const HLS_FMP4: &str = "/hls.fmp4.m3u8";

/// Every codec of enhanced RTMP that those libraries can write.
pub const ALL: [Case; 7] = [
    Case {
        name: "hevc-aac",
        codecs: "hevc,aac",
        kinds: &[Video, Audio],
        outputs: &[RTMP, FLV, TS, MP4, HLS, HLS_FMP4],
    },
    Case {
        name: "hevc-opus",
        codecs: "hevc,opus",
        kinds: &[Video, Audio],
        outputs: &[RTMP, FLV, TS, MP4, HLS, HLS_FMP4],
    },
    Case {
        name: "av1-opus",
        codecs: "av1,opus",
        kinds: &[Video, Audio],
        outputs: &[RTMP, FLV, MP4, HLS_FMP4],
    },
    Case {
        name: "vp9-flac",
        codecs: "vp9,flac",
        kinds: &[Video, Audio],
        outputs: &[RTMP, FLV, MP4, HLS_FMP4],
    },
    Case {
        name: "av1-ac3",
        codecs: "av1,ac3",
        kinds: &[Video, Audio],
        outputs: &[RTMP, FLV],
    },
    Case {
        name: "h264-eac3",
        codecs: "h264,eac3",
        kinds: &[Video, Audio],
        outputs: &[RTMP, FLV],
    },
    // Players get all of several tracks over RTMP if they say that they know them, which FFmpeg does not.
    Case {
        name: "multitrack",
        codecs: "h264,aac,hevc,opus",
        kinds: &[Video, Audio, Video, Audio],
        outputs: &[TS, MP4, HLS, HLS_FMP4],
    },
];

impl Case {
    /// Of its stream.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// The libraries and what runs on them.
pub struct Streams {
    library: PathBuf,
    script: PathBuf,
}

impl Streams {
    /// `None` where they cannot be had.
    pub async fn ensure(paths: &Paths) -> Result<Option<Self>> {
        let Some(library) = python::library(paths, LIBRARY, "av").await? else {
            return Ok(None);
        };
        let script = paths.cache.join("clips").join("streams.py");
        write(&script, SCRIPT)?;
        Ok(Some(Self { library, script }))
    }

    /// Publishes the case once, takes its outputs, and compares.
    pub async fn compare(&self, paths: &Paths, place: &Place, case: Case) -> Result<Vec<String>> {
        let clip = self.clip(paths, case).await?;
        let source = clip.display().to_string();
        let expected = frames(&self.run(["hashes", &source, case.codecs]).run().await?)?;
        let players = case.outputs.iter().map(|output| self.player(place, case, output));
        let players = players.collect::<Result<Vec<_>>>()?;
        place.viewers(players.len() as u64).await?;
        let url = format!("rtmp://{}/live/{}", place.rtmp(), case.name);
        self.run(["publish", &source, &url]).timeout(LIMIT).run().await?;
        let measure = Measure {
            kinds: case.kinds,
            rounding: ROUNDING,
        };
        let (mut lines, mut wrong) = (Vec::new(), Vec::new());
        for (output, player) in case.outputs.iter().zip(players) {
            let taken = said(player).await.and_then(|text| frames(&text));
            match taken.and_then(|got| same(measure, &expected, &got)) {
                Ok(line) => lines.push(format!("{}{output}: {line}", case.name)),
                Err(error) => wrong.push(format!("{}{output}: {error}", case.name)),
            }
        }
        crate::ensure!(wrong.is_empty(), "{}", wrong.join("\n    "));
        Ok(lines)
    }

    /// Its clip, encoded if it is not there.
    async fn clip(&self, paths: &Paths, case: Case) -> Result<PathBuf> {
        let folder = paths.cache.join("clips");
        let (clip, draft) = (
            format!("enhanced-{}.mp4", case.name),
            format!("draft-{}.mp4", case.name),
        );
        let (clip, draft) = (folder.join(clip), folder.join(draft));
        if !clip.exists() {
            let into = draft.display().to_string();
            let make = self.run(["make", &into, case.codecs]).timeout(LIMIT);
            make.run().await?;
            std::fs::rename(&draft, &clip).context("keeping the clip")?;
        }
        Ok(clip)
    }

    fn run<const N: usize>(&self, arguments: [&str; N]) -> Cmd {
        let python = Cmd::new("python3").env("PYTHONPATH", &self.library);
        python.env("SVT_LOG", "1").arg(&self.script).args(arguments)
    }

    /// Takes an output to its end, into a file.
    fn player(&self, place: &Place, case: Case, output: &str) -> Result<Child> {
        let url = match output {
            RTMP => format!("rtmp://{}/live/{}", place.rtmp(), case.name),
            path => format!("http://{}/live/{}{path}", place.http(), case.name),
        };
        let mut python = Command::new("python3");
        python
            .env("PYTHONPATH", &self.library)
            .arg(&self.script)
            .args(["hashes", &url, case.codecs]);
        if Path::new(output).extension().is_some_and(|kind| kind == "m3u8") {
            python.arg("live_start_index=0");
        }
        python
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting a player")
    }
}

/// What a player printed, to its end.
async fn said(player: Child) -> Result<String> {
    let ended = tokio::time::timeout(LIMIT, player.wait_with_output()).await;
    let output = ended
        .map_err(|_| Error::new("the player did not come to the end"))?
        .context("waiting for a player")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    crate::ensure!(output.status.success(), "{errors}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
