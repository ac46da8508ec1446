//! Real publishers and players against the shell: what ffmpeg sends in, ffprobe gets out. Skipped, with a line that says so, where ffmpeg is missing.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use futures::future::BoxFuture;
use headgate_hub::{Connection, EndReason, Gate, Hub, Metrics, Permit, Reason, Refusal, Request, Session, Traffic};
use headgate_rtmp::serve::{Options, serve};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// Lets in whoever does not ask for a stream named `secret`, and takes its time over it.
struct SlowGate;

impl Gate for SlowGate {
    fn check(&self, request: &Request) -> Result<Permit, Refusal> {
        match &*request.name.stream {
            "secret" => Err(Refusal::new(Reason::KeyWrong, "the stream key is not valid")),
            _ => Ok(Permit::as_asked(request)),
        }
    }

    fn connect<'a>(&'a self, _: &'a Arc<Connection>) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async { Ok(()) })
    }

    fn admit<'a>(&'a self, _: &'a Arc<Session>) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(())
        })
    }

    fn ended(&self, _: &Arc<Session>, _: EndReason, _: Traffic) {}

    fn closed(&self, _: &Arc<Connection>, _: Traffic) {}
}

struct Server {
    url: String,
    hub: Hub,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn server() -> Server {
    let hub = Hub::new(
        Arc::new(SlowGate),
        Metrics::register(&prometheus::Registry::new()).unwrap(),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtmp://{}/live", listener.local_addr().unwrap());
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(serve(listener, hub.clone(), Options::default(), shutdown.clone()));
    Server {
        url,
        hub,
        shutdown,
        task,
    }
}

impl Server {
    /// A player that comes now comes late: times have moved on from 0.
    async fn until_frames_flow(&self) {
        let is = |s: &headgate_hub::StreamSnapshot| s.publisher.as_ref().is_some_and(|p| p.frames_per_second > 0.0);
        while !self.hub.snapshot().iter().any(is) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn ffmpeg_is_there() -> bool {
    let there = std::process::Command::new("ffprobe")
        .arg("-version")
        .stdout(Stdio::null())
        .status()
        .is_ok();
    if !there {
        #[allow(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: ffmpeg is not installed");
        }
    }
    there
}

fn publisher(url: &str) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args([
        "-v",
        "error",
        "-nostdin",
        "-re",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=320x180:rate=25",
    ]);
    command.args([
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:sample_rate=44100",
        "-t",
        "30",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
    ]);
    command.args(["-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "flv", url]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn probe(url: &str) -> Output {
    let mut command = Command::new("ffprobe");
    command.args([
        "-v",
        "error",
        "-show_entries",
        "stream=codec_name,width,height",
        "-of",
        "csv=p=0",
        url,
    ]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    tokio::time::timeout(Duration::from_secs(20), command.output())
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ffmpeg_publishes_ffprobe_plays() {
    if !ffmpeg_is_there() {
        return;
    }
    let server = server().await;
    let url = format!("{}/alice?token=1", server.url);
    let mut child = publisher(&url).spawn().unwrap();
    server.until_frames_flow().await;
    let seen = probe(&format!("{}/alice", server.url)).await;
    let text = String::from_utf8_lossy(&seen.stdout).into_owned();
    let mut tracks: Vec<_> = text.lines().collect();
    tracks.sort_unstable();
    assert_eq!(
        tracks,
        ["aac", "h264,320,180"],
        "both tracks and nothing else {}",
        String::from_utf8_lossy(&seen.stderr)
    );
    let streams = server.hub.snapshot();
    assert_eq!(streams.len(), 1);
    child.kill().await.unwrap();
    server.hub.idle().await;
    server.shutdown.cancel();
    server.task.await.unwrap();
}

/// librtmp, which OBS and rtmpdump are built on, by way of curl.
#[tokio::test(flavor = "multi_thread")]
async fn librtmp_plays_too() {
    let curl = std::process::Command::new("curl").arg("-V").output();
    let knows_rtmp = curl.is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains("rtmp"));
    if !ffmpeg_is_there() || !knows_rtmp {
        #[allow(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: needs ffmpeg, and a curl that knows RTMP");
        }
        return;
    }
    let server = server().await;
    let mut child = publisher(&format!("{}/alice", server.url)).spawn().unwrap();
    server.until_frames_flow().await;
    let file = std::env::temp_dir().join(format!("headgate-librtmp-{}.flv", std::process::id()));
    let mut curl = Command::new("curl");
    curl.args(["-s", "--max-time", "2", "-o"])
        .arg(&file)
        .arg(format!("{}/alice", server.url));
    curl.status().await.unwrap();
    let seen = probe(file.to_str().unwrap()).await;
    std::fs::remove_file(&file).unwrap();
    child.kill().await.unwrap();
    let text = String::from_utf8_lossy(&seen.stdout).into_owned();
    assert!(text.contains("h264,320,180") && text.contains("aac"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_ffmpeg_shows_the_reason() {
    if !ffmpeg_is_there() {
        return;
    }
    let server = server().await;
    let child = publisher(&format!("{}/secret", server.url)).spawn().unwrap();
    let output = tokio::time::timeout(Duration::from_secs(20), child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains("KeyWrong: the stream key is not valid"), "{said}");
    server.shutdown.cancel();
    server.task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_publisher_and_player_and_the_server() {
    if !ffmpeg_is_there() {
        return;
    }
    let server = server().await;
    let mut child = publisher(&format!("{}/alice", server.url)).spawn().unwrap();
    while server.hub.snapshot().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), server.task)
        .await
        .unwrap()
        .unwrap();
    tokio::time::timeout(Duration::from_secs(10), child.wait())
        .await
        .unwrap()
        .unwrap();
}
