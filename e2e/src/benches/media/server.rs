//! The processes of a run: the server or the floor, and the load.

use super::load::Outcome;
use super::part::Case;
use super::player::Wire;
use crate::ensure;
use crate::error::{Context as _, Result};
use crate::harness::eventually;
use crate::http_get::http_body;
use crate::tools::paths::write;
use crate::ui::say;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// The server's core; the load has the other.
const SERVER_CORE: &str = "0";
const LOAD_CORE: &str = "1";
/// For a server that has all.
pub const BOTH: &str = "0,1";
/// Where it takes and gives RTMP, answers HTTP, and tells of itself.
pub const RTMP: &str = "127.0.0.1:21935";
pub const HTTP: &str = "127.0.0.1:28080";
pub const ADMIN: &str = "127.0.0.1:29090";

/// What all runs share.
pub struct Bench {
    /// The media pod's program.
    pub server: PathBuf,
    /// The stream.
    pub clip: PathBuf,
    /// How long is measured.
    pub seconds: u64,
    /// How often.
    pub passes: usize,
    /// Only these outputs; all, when none is named.
    pub wires: Vec<Wire>,
}

/// A media pod of its own on fixed ports. Killed when dropped.
pub struct Server {
    process: Child,
    dir: TempDir,
}

impl Bench {
    /// Whether this output is to be measured.
    pub fn wants(&self, wire: Wire) -> bool {
        self.wires.is_empty() || self.wires.contains(&wire)
    }

    /// The floor in this window.
    pub async fn floor(&self, window: u64, players: usize) -> Result<Outcome> {
        let mut runs = Vec::new();
        for _ in 0..self.passes {
            runs.push(self.one_of_floor(window, players).await?);
        }
        cheapest(runs)
    }

    /// The server.
    pub async fn server(&self, case: &Case) -> Result<Outcome> {
        let mut runs = Vec::new();
        for _ in 0..self.passes {
            runs.push(self.one_of_server(case, self.seconds).await?);
        }
        cheapest(runs)
    }

    /// The server, with players that come and go; once.
    pub async fn churn(&self, case: &Case, seconds: u64) -> Result<Outcome> {
        self.one_of_server(case, seconds).await
    }

    async fn one_of_floor(&self, window: u64, players: usize) -> Result<Outcome> {
        let window = window.to_string();
        let mut floor = own(&["bench", "floor", "--window", &window, "--core", SERVER_CORE, "--clip"])?
            .arg(&self.clip)
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
        let case = Case {
            window: 0,
            wire: Wire::Raw,
            players,
            streams: 1,
            stay: None,
            both_cores: false,
        };
        let outcome = self.load(&floor, &address, &case, self.seconds).await;
        floor.kill().await.context("ending the floor")?;
        outcome
    }

    async fn one_of_server(&self, case: &Case, seconds: u64) -> Result<Outcome> {
        let cores = if case.both_cores { BOTH } else { SERVER_CORE };
        let server = Server::start(&self.server, case.window, cores).await?;
        let address = if case.wire == Wire::Rtmp { RTMP } else { HTTP };
        let outcome = self.load(&server.process, address, case, seconds).await;
        server.stop().await?;
        outcome
    }

    async fn load(&self, server: &Child, address: &str, case: &Case, seconds: u64) -> Result<Outcome> {
        let mut command = own(&["bench", "load", "--address", address])?;
        let numbers = [
            ("--players", case.players as u64),
            ("--streams", case.streams as u64),
            ("--seconds", seconds),
            ("--server", server.id().context("the server ended")?.into()),
        ];
        for (name, number) in numbers {
            command.args([name, &number.to_string()]);
        }
        command.args(["--wire", wire(case.wire)]).arg("--clip").arg(&self.clip);
        if case.wire != Wire::Raw {
            command.args(["--publish", RTMP]);
        }
        if let Some(stay) = case.stay {
            command.args(["--stay", &stay.to_string()]);
        }
        if !case.both_cores {
            command.args(["--core", LOAD_CORE]);
        }
        let output = command.stderr(Stdio::inherit()).kill_on_drop(true).output().await;
        let output = output.context("running the load")?;
        ensure!(output.status.success(), "the load failed: {}", output.status);
        let outcome: Outcome = serde_json::from_slice(&output.stdout)?;
        say(format_args!("{case:?}: {outcome:?}"));
        Ok(outcome)
    }
}

impl Server {
    /// Starts it and waits until it is ready.
    pub async fn start(program: &Path, window: u64, cores: &str) -> Result<Self> {
        let dir = tempfile::tempdir().context("making a directory for the server")?;
        write(&dir.path().join("resources/server.yaml"), manifest(window))?;
        let process = Command::new("taskset")
            .args(["-c", cores])
            .arg(program)
            .arg("--resources")
            .arg(dir.path().join("resources"))
            .arg("--state")
            .arg(dir.path().join("state"))
            .args(["--admin", ADMIN])
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting the server")?;
        let server = Self { process, dir };
        eventually(Duration::from_secs(10), "the server is ready", async || {
            ensure!(server.process.id().is_some(), "it ended");
            http_body(ADMIN, "/readyz").await.map(drop)
        })
        .await?;
        Ok(server)
    }

    /// Its process.
    pub fn pid(&self) -> Result<u32> {
        self.process.id().context("the server has ended")
    }

    /// What it keeps its files in.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Ends it.
    pub async fn stop(mut self) -> Result<()> {
        self.process.kill().await.context("ending the server")
    }
}

fn cheapest(runs: Vec<Outcome>) -> Result<Outcome> {
    let cheapest = runs.into_iter().min_by(|a, b| a.spent.total_cmp(&b.spent));
    cheapest.context("nothing was measured")
}

fn wire(wire: Wire) -> &'static str {
    match wire {
        Wire::Rtmp => "rtmp",
        Wire::Flv => "flv",
        Wire::WsFlv => "ws-flv",
        Wire::Ts => "ts",
        Wire::Fmp4 => "fmp4",
        Wire::Raw => "raw",
        Wire::Mixed => "mixed",
    }
}

fn manifest(window: u64) -> String {
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

/// This program, with other arguments.
pub fn own(args: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("finding this program")?);
    command.args(args);
    Ok(command)
}
