//! Publishers and players that nobody here wrote: what ffmpeg or GStreamer sends in comes out, tag by tag, with rtmpdump, GStreamer and ffmpeg. What is not
//! installed is left out, with a line that says so.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail by panic"
)]

mod support;

use headgate_flv::{TagKind, TagReader};
use headgate_hub::Settings;
use headgate_rtmp::serve::Options;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use support::Server;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_mins(1);

fn is_there(tool: &str, probe: &[&str]) -> bool {
    let mut command = std::process::Command::new(tool);
    command.args(probe).stdout(Stdio::null()).stderr(Stdio::null());
    let there = command
        .status()
        .is_ok_and(|status| status.success() || tool == "rtmpdump");
    if !there {
        #[allow(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: {tool} {} is not installed", probe.join(" "));
        }
    }
    there
}

fn has_ffmpeg() -> bool {
    is_there("ffmpeg", &["-version"])
}

fn has_gstreamer() -> bool {
    is_there("gst-inspect-1.0", &["rtmp2sink"]) && is_there("gst-inspect-1.0", &["flvmux"])
}

fn has_rtmpdump() -> bool {
    is_there("rtmpdump", &["--help"])
}

fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Two seconds of a codec pair, as ffmpeg writes them.
async fn source(folder: &Path, name: &str, codecs: &[&str]) -> PathBuf {
    let file = folder.join(name);
    let input = "-v error -y -f lavfi -i testsrc2=size=320x180:rate=25 -f lavfi -i sine=frequency=440:sample_rate=44100 -t 2 -g 25";
    let mut args: Vec<&str> = input.split(' ').collect();
    args.extend(codecs);
    args.extend(["-flvflags", "no_duration_filesize+no_sequence_end", "-f", "flv"]);
    args.push(file.to_str().unwrap());
    assert!(command("ffmpeg", &args).status().await.unwrap().success());
    file
}

/// Kind, time and body of all that is media.
fn media(file: &Path) -> Vec<(TagKind, u32, Vec<u8>)> {
    let bytes = std::fs::read(file).unwrap();
    let tags = TagReader::new(bytes.into()).unwrap();
    let is_media = |tag: &headgate_flv::Tag| tag.kind != TagKind::Script && tag.body[..2] != [0x17, 2];
    // rtmpdump and GStreamer may leave half a tag behind when they are told to stop.
    let tags = tags.map_while(Result::ok).filter(is_media);
    tags.map(|tag| (tag.kind, tag.timestamp_millis, tag.body.to_vec()))
        .collect()
}

fn players(url: &str, folder: &Path) -> Vec<(Child, PathBuf)> {
    let file = |name: &str| folder.join(name);
    let mut players = Vec::new();
    if has_rtmpdump() {
        let out = file("rtmpdump.flv");
        let args = ["-q", "--live", "-r", url, "-o", out.to_str().unwrap()];
        players.push((command("rtmpdump", &args).spawn().unwrap(), out));
    }
    if has_gstreamer() {
        let out = file("gstreamer.flv");
        let (from, to) = (format!("location={url}"), format!("location={}", out.display()));
        let args = ["-q", "rtmp2src", &from, "!", "filesink", &to];
        players.push((command("gst-launch-1.0", &args).spawn().unwrap(), out));
    }
    let out = file("ffmpeg.flv");
    let args = [
        "-v",
        "error",
        "-y",
        "-copyts",
        "-i",
        url,
        "-c",
        "copy",
        "-flvflags",
        "no_duration_filesize+no_sequence_end",
        out.to_str().unwrap(),
    ];
    players.push((command("ffmpeg", &args).spawn().unwrap(), out));
    players
}

/// Everybody watches while a publisher sends a file.
async fn differential(folder: &Path, source: &Path, publisher: Command) {
    let server = Server::start(Options::default()).await;
    let url = format!("rtmp://{}/live/alice", server.addr);
    let settings = Settings {
        linger: PATIENCE,
        lag_max: PATIENCE,
        ..Settings::default()
    };
    server.hub.configure(settings);
    let mut players = players(&url, folder);
    let all = u32::try_from(players.len()).unwrap();
    let come = async {
        while server.viewers() < all {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, come).await.unwrap();
    let args: Vec<String> = publisher
        .as_std()
        .get_args()
        .map(|arg| arg.to_str().unwrap().replace("URL", &url))
        .collect();
    let mut publisher = Command::new(publisher.as_std().get_program());
    publisher.args(args).kill_on_drop(true);
    publisher
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut publisher = publisher.kill_on_drop(true).spawn().unwrap();
    server
        .until("the publisher is in", |s| !s.publishers().is_empty())
        .await;
    // It sends in its own time, which is two seconds; when it has gone, its viewers go soon.
    server.hub.configure(Settings {
        linger: Duration::from_millis(500),
        ..settings
    });
    let sent = timeout(PATIENCE, publisher.wait()).await.unwrap().unwrap();
    assert!(sent.success());
    let expected = media(source);
    assert!(expected.len() > 100);
    for (mut player, file) in players.drain(..) {
        timeout(PATIENCE, player.wait()).await.unwrap().unwrap();
        let got = media(&file);
        std::fs::remove_file(&file).unwrap();
        let times =
            |media: &[(TagKind, u32, Vec<u8>)]| media.iter().map(|(k, t, b)| (*k, *t, b.len())).collect::<Vec<_>>();
        assert!(
            got == expected,
            "{}: {:?}\nnot {:?}",
            file.display(),
            times(&got),
            times(&expected)
        );
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("headgate-tools-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn ffmpeg_of(file: &Path) -> Command {
    command(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-re",
            "-i",
            file.to_str().unwrap(),
            "-c",
            "copy",
            "-flvflags",
            "no_duration_filesize+no_sequence_end",
            "-f",
            "flv",
            "URL",
        ],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_player_gets_every_frame_of_ffmpeg_as_it_was() {
    if !has_ffmpeg() {
        return;
    }
    let folder = folder("ffmpeg");
    let pairs: [(&str, &[&str]); 2] = [
        (
            "h264-aac.flv",
            &[
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
                "-bf",
                "2",
                "-pix_fmt",
                "yuv420p",
                "-c:a",
                "aac",
            ],
        ),
        (
            "h264-mp3.flv",
            &[
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
                "-pix_fmt",
                "yuv420p",
                "-c:a",
                "libmp3lame",
            ],
        ),
    ];
    for (name, codecs) in pairs {
        let source = source(&folder, name, codecs).await;
        let publisher = ffmpeg_of(&source);
        differential(&folder, &source, publisher).await;
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_player_gets_every_frame_of_gstreamer_as_it_was() {
    if !has_ffmpeg() || !has_gstreamer() {
        return;
    }
    let folder = folder("gstreamer");
    let codecs = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
    ];
    let made = source(&folder, "made.flv", &codecs).await;
    // What GStreamer makes of it is what must come out.
    let muxed = folder.join("muxed.flv");
    let pipeline = |last: [&str; 2]| {
        let from = format!("location={}", made.display());
        let line = "-q filesrc FROM ! flvdemux name=d flvmux name=m streamable=true d.video ! queue ! h264parse ! m.video d.audio ! queue ! aacparse ! m.audio m. !";
        let mut args: Vec<String> = line.split(' ').map(|w| w.replace("FROM", &from)).collect();
        args.extend(last.map(str::to_owned));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        command("gst-launch-1.0", &args)
    };
    let to = format!("location={}", muxed.display());
    assert!(pipeline(["filesink", &to]).status().await.unwrap().success());
    differential(&folder, &muxed, pipeline(["rtmp2sink", "location=URL"])).await;
    std::fs::remove_dir_all(folder).unwrap();
}
