//! OBS Studio as the publisher, as a broadcaster has it: its window is on a display that nobody sees.

use super::place::Place;
use crate::command::Cmd;
use crate::ensure;
use crate::error::{Context as _, Error, Result};
use crate::harness::eventually;
use crate::tools::paths::write;
use serde_json::json;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// What it needs from Debian.
pub const PACKAGES: [&str; 4] = ["libgl1-mesa-dri", "obs-plugins", "obs-studio", "xvfb"];

/// Drawing without a graphics card takes its time.
const LIMIT: Duration = Duration::from_mins(1);
/// A publisher whose process is gone is missed by then.
const MISSED: Duration = Duration::from_secs(3);
/// Seconds of its stream that are looked at, and pictures that must be in them.
const SECONDS: &str = "3";
const PICTURES: usize = 60;
/// Each picture as so many pixels of three bytes.
const PIXELS: usize = 4 * 4;
/// Of OBS's profile, scenes and stream.
const NAME: &str = "headgate";

/// It publishes, its picture arrives, and that it was killed is noticed.
pub async fn publishes(place: &Place) -> Result<Vec<String>> {
    let home = place.dir().join("obs");
    configure(&home, &format!("rtmp://{}/live", place.rtmp()))?;
    let (mut display, number) = display().await?;
    let mut obs = Command::new("obs")
        .args(["--startstreaming", "--multi", "--profile", NAME, "--collection", NAME])
        .env("HOME", &home)
        .env("XDG_RUNTIME_DIR", &home)
        .env("DISPLAY", format!(":{number}"))
        .env("LIBGL_ALWAYS_SOFTWARE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("starting OBS")?;
    let url = format!("http://{}/live/{NAME}.flv", place.http());
    let seen = eventually(LIMIT, "the picture of OBS arrives", async || arrives(&url).await).await;
    obs.kill().await.context("ending OBS")?;
    let gone = Instant::now();
    display.kill().await.context("ending the display")?;
    let seen = seen?;
    place.streams(0).await?;
    let missed = gone.elapsed();
    ensure!(missed < MISSED, "that OBS was killed was noticed after {missed:?}");
    Ok(vec![format!(
        "{seen} pictures in {SECONDS} s; missed {} ms after it was killed",
        missed.as_millis()
    )])
}

/// A display that is free, and its number.
async fn display() -> Result<(Child, String)> {
    let mut display = Command::new("Xvfb")
        .args(["-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("starting Xvfb")?;
    let said = display.stdout.take().context("the output of Xvfb")?;
    let number = tokio::time::timeout(LIMIT, BufReader::new(said).lines().next_line()).await;
    let number = number.map_err(|_| Error::new("Xvfb does not say its display"))?;
    let number = number.context("the output of Xvfb")?.context("Xvfb has ended")?;
    Ok((display, number))
}

/// A scene that is all green, streamed as the simple output mode does.
fn configure(home: &Path, server: &str) -> Result<()> {
    let folder = home.join(".config/obs-studio");
    let global = format!(
        "[General]\nFirstRun=true\nEnableAutoUpdates=false\n[Basic]\nProfile={NAME}\nProfileDir={NAME}\nSceneCollection={NAME}\nSceneCollectionFile={NAME}\n"
    );
    write(&folder.join("global.ini"), global)?;
    let profile = folder.join("basic/profiles").join(NAME);
    let basic = format!(
        "[General]\nName={NAME}\n[Output]\nMode=Simple\n[SimpleOutput]\nVBitrate=800\nABitrate=96\nStreamEncoder=x264\nUseAdvanced=true\nPreset=ultrafast\n\
         [Video]\nBaseCX=320\nBaseCY=180\nOutputCX=320\nOutputCY=180\nFPSType=0\nFPSCommon=30\n"
    );
    write(&profile.join("basic.ini"), basic)?;
    let service =
        json!({"type": "rtmp_custom", "settings": {"server": server, "key": NAME, "use_auth": false, "bwtest": false}});
    write(&profile.join("service.json"), service.to_string())?;
    let colour = json!({"id": "color_source", "versioned_id": "color_source_v3", "name": "green", "enabled": true,
        "settings": {"color": 0xff00_ff00_u32, "width": 320, "height": 180}});
    let item =
        json!({"name": "green", "id": 1, "visible": true, "pos": {"x": 0.0, "y": 0.0}, "scale": {"x": 1.0, "y": 1.0}});
    let scene = json!({"id": "scene", "versioned_id": "scene", "name": "scene", "settings": {"id_counter": 1, "items": [item]}});
    let scenes = json!({"name": NAME, "current_scene": "scene", "current_program_scene": "scene", "scene_order": [{"name": "scene"}],
        "sources": [colour, scene]});
    write(
        &folder.join("basic/scenes").join(format!("{NAME}.json")),
        scenes.to_string(),
    )
}

/// Decodes some seconds; all of it must be green.
async fn arrives(url: &str) -> Result<usize> {
    let decode = Cmd::new("ffmpeg").args(["-v", "error", "-rw_timeout", "5000000", "-i", url, "-t", SECONDS]);
    let decode = decode.args("-an -vf scale=4:4 -pix_fmt rgb24 -f rawvideo -".split(' '));
    let output = decode.timeout(LIMIT).output().await?;
    let pictures: Vec<&[u8]> = output.stdout.chunks_exact(PIXELS * 3).collect();
    ensure!(
        pictures.len() >= PICTURES,
        "{} pictures, not {PICTURES}",
        pictures.len()
    );
    let is_green = |pixel: &[u8]| matches!(pixel, [red, green, blue] if *red < 40 && *green > 200 && *blue < 40);
    let green = |picture: &[u8]| picture.chunks_exact(3).all(is_green);
    let other = pictures.iter().position(|picture| !green(picture));
    ensure!(other.is_none(), "picture {other:?} is not green");
    Ok(pictures.len())
}
