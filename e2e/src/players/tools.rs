//! GStreamer, VLC and rtmpdump as players.

use super::place::Place;
use crate::command::Cmd;
use crate::ensure;
use crate::error::{Context as _, Result};
use crate::harness::eventually;
use futures::future::LocalBoxFuture;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Pictures that a player must have decoded.
const PICTURES: u64 = 50;
const LIMIT: Duration = Duration::from_secs(40);

/// A check and what it is called.
type Tool<'a> = (String, LocalBoxFuture<'a, Result<Vec<String>>>);

/// Each of them.
pub fn all<'a>(place: &'a Place, stream: &'a str) -> Vec<Tool<'a>> {
    let http = format!("http://{}/live/{stream}", place.http());
    let decoder = "h264parse ! avdec_h264";
    let gstreamer = [
        (".flv", format!("flvdemux ! {decoder}")),
        (".ts", format!("tsdemux ! {decoder}")),
        (".mp4", format!("qtdemux ! {decoder}")),
        (".m3u8", format!("hlsdemux ! tsdemux ! {decoder}")),
        ("/hls.fmp4.m3u8", format!("hlsdemux ! qtdemux ! {decoder}")),
    ];
    let mut tools: Vec<Tool<'a>> = Vec::new();
    for (path, chain) in gstreamer {
        let url = format!("{http}{path}");
        tools.push((
            format!("GStreamer plays {path}"),
            Box::pin(gst(url, chain, place.dir())),
        ));
    }
    for path in [".flv", ".ts", ".m3u8"] {
        let url = format!("{http}{path}");
        tools.push((format!("VLC plays {path}"), Box::pin(vlc(url, place.dir()))));
    }
    let rtmp = format!("rtmp://{}/live/{stream}", place.rtmp());
    tools.push(("rtmpdump takes RTMP".into(), Box::pin(rtmpdump(rtmp, place.dir()))));
    tools
}

/// Decodes into a file of tiny pictures until there are enough of them. A sink that ends by itself would not do: GStreamer's HLS goes on for ever behind it.
async fn gst(url: String, chain: String, dir: &Path) -> Result<Vec<String>> {
    let file = dir.join("taken.gray");
    let _ = std::fs::remove_file(&file);
    let small = "videoconvert ! videoscale ! video/x-raw,format=GRAY8,width=32,height=16";
    let sink = format!("filesink buffer-mode=unbuffered location={}", file.display());
    let pipeline = format!("souphttpsrc location={url} ! {chain} ! {small} ! {sink}");
    let mut gst = Command::new("gst-launch-1.0")
        .arg("-q")
        .args(pipeline.split(' '))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("starting GStreamer")?;
    let taken = eventually(LIMIT, "GStreamer decodes", async || {
        let bytes = std::fs::metadata(&file).map_or(0, |file| file.len());
        ensure!(bytes >= PICTURES * 32 * 16, "{} pictures", bytes / (32 * 16));
        Ok(())
    });
    let taken = taken.await;
    gst.kill().await.context("ending GStreamer")?;
    taken.map(|()| Vec::new())
}

/// Which does not run as root.
async fn vlc(url: String, dir: &Path) -> Result<Vec<String>> {
    let folder = dir.join("vlc");
    std::fs::create_dir_all(&folder).context("making a directory for VLC")?;
    for open in [dir, &folder] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(open, mode).context("opening a directory for VLC")?;
    }
    let file = folder.join("taken.ts");
    let _ = std::fs::remove_file(&file);
    let sout = format!("#std{{access=file,mux=ts,dst={}}}", file.display());
    let plain = [
        "-I",
        "dummy",
        "--no-dbus",
        "--run-time",
        "5",
        "--sout",
        &sout,
        &url,
        "vlc://quit",
    ];
    let (program, before): (&str, &[&str]) = if nix::unistd::geteuid().is_root() {
        ("runuser", &["-u", "nobody", "--", "cvlc"])
    } else {
        ("cvlc", &[])
    };
    let vlc = Cmd::new(program).args(before).args(plain).env("HOME", &folder);
    vlc.timeout(LIMIT).run().await?;
    counted(&file).await
}

async fn rtmpdump(url: String, dir: &Path) -> Result<Vec<String>> {
    let file = dir.join("taken.flv");
    let dump = Cmd::new("timeout").args(["-s", "INT", "6", "rtmpdump", "-q", "-r", &url, "--live", "-o"]);
    // It is ended in the middle of a live stream, and says so.
    dump.arg(&file).timeout(LIMIT).output().await?;
    counted(&file).await
}

async fn counted(file: &Path) -> Result<Vec<String>> {
    let probe = Cmd::new("ffprobe")
        .args("-v error -select_streams v -count_frames -show_entries stream=nb_read_frames -of csv=p=0".split(' '));
    let text = probe.arg(file).timeout(LIMIT).run().await?;
    let pictures: u64 = text
        .lines()
        .filter_map(|line| line.trim_matches(',').trim().parse::<u64>().ok())
        .max()
        .unwrap_or(0);
    ensure!(pictures >= PICTURES, "{pictures} pictures, not {PICTURES}: {text}");
    Ok(vec![format!("{pictures} pictures")])
}
