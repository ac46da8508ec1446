//! `cargo demo`: something to look at within seconds.

mod cluster;
mod standalone;

pub use cluster::on_cluster;
pub use standalone::standalone;

use crate::error::{Context as _, Result};
use crate::media::Publisher;
use crate::synthetic;
use crate::ui::say;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Publishes a test stream until the future is dropped: by ffmpeg if it is there, else the synthetic one. Begins anew when it is cut.
async fn publish_for_ever(address: &str, app: &str, stream: &str) -> Result<()> {
    loop {
        if let Err(error) = publish_once(address, app, stream).await {
            say(format_args!("the test stream ended ({error}); it begins anew"));
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

async fn publish_once(address: &str, app: &str, stream: &str) -> Result<()> {
    if ffmpeg_is_there() {
        let mut publisher = Publisher::start(&format!("rtmp://{address}/{app}/{stream}")).await?;
        let (_, log) = publisher.ends_within(Duration::MAX).await?;
        return Err(crate::error::Error::new(log.lines().last().unwrap_or_default()));
    }
    synthetic::publish(address, app, stream).await
}

fn ffmpeg_is_there() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join("ffmpeg").is_file())
}

/// By Ctrl-C, or by whoever ends programs with SIGTERM: what was started must not outlive this one.
async fn until_interrupted() -> Result<()> {
    let mut terminated = signal(SignalKind::terminate()).context("waiting for SIGTERM")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("waiting for Ctrl-C")?,
        _ = terminated.recv() => {}
    }
    say("");
    Ok(())
}
