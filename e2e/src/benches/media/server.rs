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
use tokio::task::JoinSet;

/// The server's core; the load has the other.
const SERVER_CORE: usize = 0;
const LOAD_CORE: usize = 1;
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

    /// The floor of a case, once.
    pub async fn floor(&self, case: &Case) -> Result<Outcome> {
        let numbers = [case.window, case.streams as u64, SERVER_CORE as u64].map(|number| number.to_string());
        let [window, streams, core] = numbers.each_ref();
        let mut floor = own(&[
            "bench",
            "floor",
            "--window",
            window,
            "--streams",
            streams,
            "--core",
            core,
        ])?
        .arg("--clip")
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
        let case = Case::new(0, Wire::Raw, case.players);
        let mut load = self.load(&floor, &address, &case, self.seconds)?;
        load.arg("--awake");
        let outcome = outcome(load, &case).await;
        floor.kill().await.context("ending the floor")?;
        outcome
    }

    /// The server on a core of its own, once; with a load that sleeps, and with one that does not.
    pub async fn server(&self, case: &Case) -> Result<Outcome> {
        let server = Server::start(&self.server, case.window, &SERVER_CORE.to_string()).await?;
        let mut load = self.load(&server.process, address(case), case, self.seconds)?;
        load.arg("--awake");
        let outcome = outcome(load, case).await;
        server.stop().await?;
        outcome
    }

    /// The server with players that come and go.
    pub async fn churn(&self, case: &Case, seconds: u64) -> Result<Outcome> {
        let server = Server::start(&self.server, case.window, &SERVER_CORE.to_string()).await?;
        let outcome = outcome(self.load(&server.process, address(case), case, seconds)?, case).await;
        server.stop().await?;
        outcome
    }

    /// The server on these cores, and on each of them a load with as many players as the case has, which shares it. All play what the first load
    /// publishes. The outcome is the first's, with the players of all.
    pub async fn shared(&self, case: &Case, cores: &[usize]) -> Result<Outcome> {
        let names: Vec<String> = cores.iter().map(ToString::to_string).collect();
        let server = Server::start(&self.server, case.window, &names.join(",")).await?;
        let mut loads = JoinSet::new();
        for (number, core) in cores.iter().enumerate() {
            let mut load = self.load_on(&server.process, (address(case), number == 0), case, self.seconds)?;
            load.args(["--core", &core.to_string()]);
            let case = *case;
            loads.spawn(async move { (number, outcome(load, &case).await) });
        }
        let mut all = loads.join_all().await;
        server.stop().await?;
        all.sort_by_key(|(number, _)| *number);
        let all: Vec<Outcome> = all.into_iter().map(|(_, outcome)| outcome).collect::<Result<_>>()?;
        together(all)
    }

    fn load(&self, server: &Child, address: &str, case: &Case, seconds: u64) -> Result<Command> {
        let mut command = self.load_on(server, (address, case.wire != Wire::Raw), case, seconds)?;
        command.args(["--core", &LOAD_CORE.to_string()]);
        Ok(command)
    }

    fn load_on(
        &self,
        server: &Child,
        (address, publishes): (&str, bool),
        case: &Case,
        seconds: u64,
    ) -> Result<Command> {
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
        if publishes {
            command.args(["--publish", RTMP]);
        }
        if let Some(stay) = case.stay {
            command.args(["--stay", &stay.to_string()]);
        }
        command.kill_on_drop(true);
        Ok(command)
    }
}

/// Where players of a case connect.
fn address(case: &Case) -> &'static str {
    if case.wire == Wire::Rtmp { RTMP } else { HTTP }
}

/// Runs a load to its end.
async fn outcome(load: Command, case: &Case) -> Result<Outcome> {
    let outcome = of_load(load).await?;
    say(format_args!("{case:?}: {outcome:?}"));
    Ok(outcome)
}

/// Runs a load to its end. Where it fails, its own words say why.
pub(super) async fn of_load(mut load: Command) -> Result<Outcome> {
    let output = load.output().await.context("running the load")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the load failed: {}", said.trim());
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What several loads of one server saw.
fn together(all: Vec<Outcome>) -> Result<Outcome> {
    let of = |number: fn(&Outcome) -> usize| all.iter().map(number).fold(0, usize::saturating_add);
    let (live, dead, starved) = (of(|o| o.live), of(|o| o.dead), of(|o| o.starved));
    let mut first = all.into_iter().next().context("nothing was measured")?;
    #[allow(clippy::cast_precision_loss, reason = "thousands")]
    let count = live.max(1) as f64;
    first.asleep.each = first.asleep.spent / count;
    Ok(Outcome {
        live,
        dead,
        starved,
        ..first
    })
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
