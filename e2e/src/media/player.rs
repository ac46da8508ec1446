//! A player that goes on until it is stopped and counts what it gets.

use super::tail;
use crate::ensure;
use crate::error::{Context as _, Result};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// An ffmpeg that reads a URL and throws the pictures away. Killed when dropped.
#[derive(Debug)]
pub struct Player {
    child: Child,
    dir: TempDir,
}

impl Player {
    /// Starts to play.
    pub fn start(url: &str) -> Result<Self> {
        let dir = tempfile::tempdir().context("making a directory for a player's log")?;
        let log = std::fs::File::create(dir.path().join("log")).context("making a player's log")?;
        let child = Command::new("ffmpeg")
            .args([
                "-hide_banner",
                "-nostdin",
                "-nostats",
                "-loglevel",
                "info",
                "-stats_period",
                "0.2",
                "-progress",
            ])
            .arg(dir.path().join("progress"))
            .args(["-i", url, "-map", "0:v", "-c", "copy", "-f", "null", "-"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("starting ffmpeg to play")?;
        Ok(Self { child, dir })
    }

    /// Video frames so far.
    pub fn frames(&self) -> u64 {
        let text = std::fs::read_to_string(self.dir.path().join("progress")).unwrap_or_default();
        let last = text.lines().rev().find_map(|line| line.strip_prefix("frame="));
        last.and_then(|n| n.trim().parse().ok()).unwrap_or(0)
    }

    /// Fails when it has ended.
    pub fn must_play(&mut self) -> Result<()> {
        let ended = self.child.try_wait().context("looking after a player")?;
        ensure!(
            ended.is_none(),
            "the player ended ({ended:?}): {}",
            tail(&self.dir.path().join("log"))
        );
        Ok(())
    }

    /// Waits until it has got so many more frames than now.
    pub async fn gets(&mut self, more: u64, limit: Duration) -> Result<()> {
        let (from, begun) = (self.frames(), Instant::now());
        while self.frames() < from.saturating_add(more) {
            self.must_play()?;
            ensure!(
                begun.elapsed() < limit,
                "the player got {} of {more} frames in {limit:?}: {}",
                self.frames().saturating_sub(from),
                tail(&self.dir.path().join("log"))
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Waits until it ends by itself.
    pub async fn ends_within(&mut self, limit: Duration) -> Result<()> {
        let ended = tokio::time::timeout(limit, self.child.wait()).await;
        ensure!(ended.is_ok(), "the player still plays after {limit:?}");
        Ok(())
    }

    /// Ends it.
    pub async fn stop(mut self) -> Result<()> {
        self.child.kill().await.context("ending a player")
    }
}
