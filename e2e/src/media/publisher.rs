//! A publisher as users run it.

use super::{clip, tail};
use crate::ensure;
use crate::error::{Context as _, Error, Result};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// An ffmpeg that sends the test clip in real time, over and over. Killed when dropped.
#[derive(Debug)]
pub struct Publisher {
    child: Child,
    dir: TempDir,
}

impl Publisher {
    /// Starts to publish to an `rtmp://` URL; returns before the server has answered.
    pub async fn start(url: &str) -> Result<Self> {
        let clip = clip().await?;
        let dir = tempfile::tempdir().context("making a directory for a publisher's log")?;
        let log = std::fs::File::create(dir.path().join("log")).context("making a publisher's log")?;
        let child = Command::new("ffmpeg")
            .args([
                "-hide_banner",
                "-nostdin",
                "-nostats",
                "-loglevel",
                "info",
                "-re",
                "-stream_loop",
                "-1",
                "-i",
            ])
            .arg(clip)
            .args(["-c", "copy", "-f", "flv", "-flvflags", "no_duration_filesize", url])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("starting ffmpeg to publish")?;
        Ok(Self { child, dir })
    }

    /// What it said last.
    pub fn log(&self) -> String {
        tail(&self.dir.path().join("log"))
    }

    /// Fails when it has ended.
    pub fn must_be_live(&mut self) -> Result<()> {
        let ended = self.child.try_wait().context("looking after a publisher")?;
        ensure!(ended.is_none(), "the publisher ended ({ended:?}): {}", self.log());
        Ok(())
    }

    /// Waits until it ends by itself, as a refused or cut one does, and returns what it said.
    pub async fn ends_within(&mut self, limit: Duration) -> Result<(ExitStatus, String)> {
        let ended = tokio::time::timeout(limit, self.child.wait()).await;
        let ended =
            ended.map_err(|_| Error::new(format!("the publisher still lives after {limit:?}: {}", self.log())))?;
        Ok((ended.context("waiting for a publisher")?, self.log()))
    }

    /// Ends it as Ctrl-C does: it says goodbye to the server.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGINT);
        }
        self.ends_within(Duration::from_secs(10)).await.map(|_| ())
    }

    /// Ends it as a power cut does.
    pub async fn kill(mut self) -> Result<()> {
        self.child.kill().await.context("killing a publisher")
    }
}
