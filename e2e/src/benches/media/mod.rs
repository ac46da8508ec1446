//! `cargo e2e bench media`: what a player costs, beside the floor of the machine in the same run.
//!
//! The server is pinned to one core and the load to the other. Figures drift with the machine; the ratio to the floor is what counts.

pub(super) mod clip;
pub(super) mod cpu;
pub mod floor;
pub mod load;
mod player;
mod publisher;

pub use player::Wire;

use crate::command::Cmd;
use crate::ensure;
use crate::error::{Context as _, Error, Result};
use crate::harness::eventually;
use crate::http_get::http_body;
use crate::tools::paths::{workspace, write};
use crate::ui::{say, step};
use load::Outcome;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// The server's core; the load has the other.
const SERVER_CORE: usize = 0;
const RTMP: &str = "127.0.0.1:21935";
const HTTP: &str = "127.0.0.1:28080";
const ADMIN: &str = "127.0.0.1:29090";
/// Merge windows in milliseconds, with the ratios to the floor that must and should be reached.
const WINDOWS: [(u32, f64, f64); 4] = [(350, 1.55, 1.25), (100, 1.35, 1.2), (40, 1.35, 1.2), (0, 1.13, 1.06)];

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Players.
    #[arg(long, default_value_t = 1000)]
    players: usize,
    /// How long each figure is measured, in seconds.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Only this merge window, in milliseconds.
    #[arg(long)]
    window: Option<u32>,
    /// How often each is measured; the cheapest run counts.
    #[arg(long, default_value_t = 1)]
    passes: usize,
}

/// One line of the table.
struct Row {
    window: u32,
    wire: Wire,
    floor: Outcome,
    server: Outcome,
    must: f64,
    good: f64,
}

/// Measures and prints.
pub async fn run(options: &Options) -> Result<()> {
    let clip = step("clip of 1 Mbit/s", clip::clip()).await?;
    let binary = step("release binary of the media pod", build()).await?;
    let windows = WINDOWS
        .into_iter()
        .filter(|(w, ..)| options.window.is_none_or(|only| only == *w));
    let mut rows = Vec::new();
    for (window, must, good) in windows {
        let mut floors = Vec::new();
        for _ in 0..options.passes.max(1) {
            floors.push(of_floor(&clip, window, options).await?);
        }
        let floor = cheapest(floors)?;
        for wire in [Wire::Rtmp, Wire::Flv] {
            let mut runs = Vec::new();
            for _ in 0..options.passes.max(1) {
                runs.push(of_server(&binary, &clip, window, wire, options).await?);
            }
            let row = Row {
                window,
                wire,
                floor: floor.clone(),
                server: cheapest(runs)?,
                must,
                good,
            };
            say(row.text());
            rows.push(row);
        }
    }
    say(table(&rows));
    Ok(())
}

fn cheapest(runs: Vec<Outcome>) -> Result<Outcome> {
    runs.into_iter()
        .min_by(|a, b| a.cost.total_cmp(&b.cost))
        .context("nothing was measured")
}

async fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Cmd::new(cargo)
        .args(["build", "--quiet", "--release", "-p", "headgate-media-pod"])
        .dir(workspace())
        .run()
        .await?;
    let here = std::env::current_exe().context("finding this program")?;
    let target = here
        .parent()
        .and_then(Path::parent)
        .context("this program lies in no target directory")?;
    Ok(target.join("release/media-pod"))
}

async fn of_floor(clip: &Path, window: u32, options: &Options) -> Result<Outcome> {
    let mut floor = own(&[
        "bench",
        "floor",
        "--window",
        &window.to_string(),
        "--core",
        &SERVER_CORE.to_string(),
        "--clip",
    ])?
    .arg(clip)
    .stdout(Stdio::piped())
    .kill_on_drop(true)
    .spawn()
    .context("starting the floor")?;
    let out = floor.stdout.take().context("the floor's output")?;
    let line = BufReader::new(out)
        .lines()
        .next_line()
        .await
        .context("the floor's port")?;
    let address = line.context("the floor ended")?;
    load(&floor, &address, "raw", None, clip, options).await
}

async fn of_server(binary: &Path, clip: &Path, window: u32, wire: Wire, options: &Options) -> Result<Outcome> {
    let dir = tempfile::tempdir().context("making a directory for the server")?;
    write(&dir.path().join("resources/server.yaml"), manifest(window))?;
    let mut command = Command::new("taskset");
    command
        .args(["-c", &SERVER_CORE.to_string()])
        .arg(binary)
        .arg("--resources")
        .arg(dir.path().join("resources"));
    command
        .arg("--state")
        .arg(dir.path().join("state"))
        .args(["--admin", ADMIN])
        .env("RUST_LOG", "warn");
    let mut server = command
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("starting the server")?;
    eventually(Duration::from_secs(10), "the server is ready", async || {
        ensure!(server.id().is_some(), "it ended");
        http_body(ADMIN, "/readyz").await.map(drop)
    })
    .await?;
    let (address, name) = if wire == Wire::Rtmp {
        (RTMP, "rtmp")
    } else {
        (HTTP, "flv")
    };
    let outcome = load(&server, address, name, Some(RTMP), clip, options).await;
    server.kill().await.context("ending the server")?;
    outcome
}

fn manifest(window: u32) -> String {
    let listeners = "[{name: rtmp, protocol: RTMP, port: 21935}, {name: http, protocol: HTTP, port: 28080}]";
    format!(
        "apiVersion: headgate.dev/v1alpha1
kind: MediaServer
metadata: {{name: bench}}
spec:
  listeners: {listeners}
  publish: {{authentication: None}}
  play: {{maxLatencyMilliseconds: {window}}}
"
    )
}

async fn load(
    server: &Child,
    address: &str,
    wire: &str,
    publish: Option<&str>,
    clip: &Path,
    options: &Options,
) -> Result<Outcome> {
    let pid = server.id().context("the server ended")?;
    let (players, seconds, pid) = (
        options.players.to_string(),
        options.seconds.to_string(),
        pid.to_string(),
    );
    let mut command = own(&[
        "bench",
        "load",
        "--address",
        address,
        "--wire",
        wire,
        "--players",
        &players,
        "--seconds",
        &seconds,
        "--server",
        &pid,
    ])?;
    command.arg("--clip").arg(clip);
    if let Some(publish) = publish {
        command.args(["--publish", publish]);
    }
    let output = command
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .context("running the load")?;
    ensure!(output.status.success(), "the load failed: {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn own(args: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("finding this program")?);
    command.args(args);
    Ok(command)
}

impl Row {
    fn ratio(&self) -> f64 {
        self.server.cost / self.floor.cost
    }

    fn text(&self) -> String {
        let (server, floor) = (&self.server, &self.floor);
        #[allow(clippy::cast_precision_loss, reason = "kilobytes")]
        let memory = server.resident.saturating_sub(server.resident_before) as f64 / 1e3 / server.live.max(1) as f64;
        let verdict = if self.ratio() <= self.good {
            "good"
        } else if self.ratio() <= self.must {
            "must"
        } else {
            "short"
        };
        format!(
            "{:>3} ms {:<5} {:>6.1} µs, floor {:>6.1} µs, ratio {:.2} (must {:.2}, good {:.2}: {verdict}); join {:.1}/{:.1} ms, latency {:.1}/{:.1} ms, {:.1} kB a player, {:.2} Mbit/s, {} live, {} dead, {} starved",
            self.window,
            name(self.wire),
            server.cost,
            floor.cost,
            self.ratio(),
            self.must,
            self.good,
            server.join.0,
            server.join.1,
            server.latency.0,
            server.latency.1,
            memory,
            server.mbps,
            server.live,
            server.dead,
            server.starved,
        )
    }
}

fn name(wire: Wire) -> &'static str {
    match wire {
        Wire::Rtmp => "RTMP",
        Wire::Flv => "FLV",
        Wire::Raw => "raw",
    }
}

fn table(rows: &[Row]) -> String {
    let head = "| window ms | output | µs a player-second | floor | ratio | must | good | join ms p50/p95 | latency ms p50/p99 | dead / starved |\n|---|---|---|---|---|---|---|---|---|---|\n";
    let line = |r: &Row| {
        format!(
            "| {} | {} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} | {:.1} / {:.1} | {:.1} / {:.1} | {} / {} |\n",
            r.window,
            name(r.wire),
            r.server.cost,
            r.floor.cost,
            r.ratio(),
            r.must,
            r.good,
            r.server.join.0,
            r.server.join.1,
            r.server.latency.0,
            r.server.latency.1,
            r.server.dead,
            r.server.starved,
        )
    };
    format!("{head}{}", rows.iter().map(line).collect::<String>())
}

/// Runs one of the bench's own processes.
pub fn process(result: Result<Outcome>) -> Result<()> {
    let outcome = result?;
    say(serde_json::to_string(&outcome).map_err(Error::from)?);
    Ok(())
}
