//! The demo without Kubernetes: a media pod on the manifests of `config/samples/standalone`.

use super::{publish_for_ever, until_interrupted};
use crate::command::Cmd;
use crate::error::{Context as _, Error, Result};
use crate::harness::eventually;
use crate::http_get::http_body;
use crate::receiver::Receiver;
use crate::tools::paths::{Paths, workspace};
use crate::ui::{say, step};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::time::Duration;
use tokio::process::{Child, Command};

const SAMPLES: &str = "config/samples/standalone";
const ADMIN: &str = "127.0.0.1:9090";
const BACK_END: &str = "127.0.0.1:8085";
const RTMP: &str = "127.0.0.1:1935";
const HTTP: &str = "127.0.0.1:8080";
/// The key in the sample's Secret: a demo has no secrets.
const KEY: &str = "demo-stream-key";

/// Runs until Ctrl-C, then ends all that it started.
pub async fn standalone(paths: &Paths) -> Result<()> {
    let binary = step("media pod built", build()).await?;
    let _back_end = Receiver::printing(BACK_END).await?;
    let mut pod = start(paths, &binary)?;
    let ready = eventually(Duration::from_secs(10), "the media pod is ready", async || {
        http_body(ADMIN, "/readyz").await.map(drop)
    });
    tokio::select! {
        ready = ready => ready?,
        ended = pod.wait() => return Err(Error::new(format!("the media pod ended: {ended:?}"))),
    }
    tell();
    let stream = format!("demo?secret={KEY}");
    let ended = tokio::select! {
        ended = until_interrupted() => ended,
        ended = pod.wait() => Err(Error::new(format!("the media pod ended: {ended:?}"))),
        ended = publish_for_ever(RTMP, "live", &stream) => ended,
    };
    stop(pod).await?;
    ended
}

async fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Cmd::new(cargo)
        .args(["build", "--quiet", "-p", "headgate-media-pod"])
        .dir(workspace())
        .run()
        .await?;
    // It lies beside this program, wherever cargo was told to build.
    let here = std::env::current_exe().context("finding this program")?;
    Ok(here.with_file_name("media-pod"))
}

fn start(paths: &Paths, binary: &PathBuf) -> Result<Child> {
    let state = paths.cache.join("demo");
    let mut command = Command::new(binary);
    command
        .arg("--resources")
        .arg(workspace().join(SAMPLES))
        .arg("--state")
        .arg(state)
        .args(["--admin", ADMIN]);
    // A process group of its own: Ctrl-C reaches this program alone, which ends the pod in order.
    command.env("RUST_LOG", "warn").process_group(0).kill_on_drop(true);
    command.spawn().context("starting the media pod")
}

async fn stop(mut pod: Child) -> Result<()> {
    if let Some(pid) = pod.id().and_then(|id| i32::try_from(id).ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    let ended = tokio::time::timeout(Duration::from_secs(15), pod.wait()).await;
    ended
        .map_err(|_| Error::new("the media pod did not end in 15 s"))?
        .context("ending the media pod")
        .map(drop)
}

fn tell() {
    say(format_args!(
        "
A test stream is live. Play it:
  ffplay rtmp://{RTMP}/live/demo
  ffplay http://{HTTP}/live/demo.flv      or .ts, .mp4, .m3u8
Publish your own, in OBS with server rtmp://{RTMP}/live and key NAME?secret={KEY}, or:
  ffmpeg -re -i FILE -c copy -f flv 'rtmp://{RTMP}/live/NAME?secret={KEY}'
Look:
  curl http://{ADMIN}/resources      the objects of {SAMPLES} with their status; edit them, they are read anew
  curl http://{ADMIN}/metrics
What the back end on {BACK_END} is asked and told follows. Ctrl-C ends all.
"
    ));
}
