//! The operator at scale: a real etcd and kube-apiserver, the release binary of the operator, and media pods that are played.
//!
//! Memory, cold start, the time from an edit to the pod and from a live stream to its object, and what it does when nothing happens.

pub(super) mod control_plane;
pub(super) mod fleet;
pub(super) mod identity;
mod objects;
mod operator;
pub(super) mod pod;
mod sealed;
mod shares;
mod streams;
mod waits;

use super::{Figure, Results, release};
use crate::error::{Context as _, Error, Result};
use crate::harness::eventually;
use crate::tools::paths::Paths;
use crate::ui::{say, step};
use clap::Args;
use control_plane::ControlPlane;
use fleet::Fleet;
use futures::{StreamExt as _, TryStreamExt as _};
use objects::Names;
use operator::{Memory, Operator, Setup};
use sealed::Sealed;
use shares::Shares;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use streams::Streams;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use waits::{Times, Waits};

/// The whole of it takes no longer.
const LIMIT: Duration = Duration::from_mins(15);
/// Nothing was written for so long: it has come to rest.
const REST: Duration = Duration::from_secs(5);
/// Edits a second while streams come and go.
const EDIT_EVERY: Duration = Duration::from_millis(100);
/// Streams that go live in a second before anything is measured.
const RAMP_RATE: f64 = 100.0;
const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// How large.
#[derive(Clone, Debug, Args)]
pub struct Scale {
    /// MediaServers, one pod each.
    #[arg(long, default_value_t = 1000)]
    servers: usize,
    /// StreamKeys.
    #[arg(long, default_value_t = 10_000)]
    keys: usize,
    /// HookEndpoints.
    #[arg(long, default_value_t = 500)]
    hooks: usize,
    /// Streams that are live at one time.
    #[arg(long, default_value_t = 5000)]
    streams: usize,
    /// Streams that come, and that go, in a second.
    #[arg(long, default_value_t = 50.0)]
    rate: f64,
    /// Namespaces that hold all of it.
    #[arg(long, default_value_t = 10)]
    namespaces: usize,
    /// How long streams come and go, in seconds.
    #[arg(long, default_value_t = 60)]
    churn_seconds: u64,
    /// How long nothing happens, in seconds.
    #[arg(long, default_value_t = 60)]
    quiet_seconds: u64,
}

/// What every part of the bench has at hand.
struct Bench<'a> {
    scale: &'a Scale,
    plane: &'a ControlPlane,
    client: kube::Client,
    fleet: Arc<Fleet>,
    operator: PathBuf,
    kubeconfig: PathBuf,
    log: PathBuf,
    port: u16,
    figures: Vec<Figure>,
}

/// Measures it all, prints it and keeps it.
pub async fn run(paths: &Paths, scale: &Scale) -> Result<()> {
    let programs = release::programs("headgate-operator").await?;
    // The first provider that rustls is given is the one it takes; a second run in one process has it already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let plane = ControlPlane::start(paths).await?;
    let mut terminate = signal(SignalKind::terminate()).context("waiting for signals")?;
    let figures = tokio::select! {
        figures = measured(&plane, &programs, scale) => figures?,
        () = sleep(LIMIT) => return Err(Error::new(format!("it took longer than {LIMIT:?}"))),
        _ = tokio::signal::ctrl_c() => return Err(Error::new("interrupted")),
        _ = terminate.recv() => return Err(Error::new("terminated")),
    };
    let results = Results {
        name: "operator-scale",
        command: command(scale),
        setting: setting(scale),
        figures,
    };
    results.save()
}

async fn measured(plane: &ControlPlane, programs: &Path, scale: &Scale) -> Result<Vec<Figure>> {
    let operator = programs.join("operator/headgate-operator");
    let kubeconfig = step(
        "definitions, rules, the operator's account",
        identity::install(plane, &operator),
    )
    .await?;
    let client = plane.client().await?;
    let mut bench = Bench {
        scale,
        plane,
        fleet: Fleet::sealing(client.clone(), Sealed::measured().await?),
        client,
        operator,
        kubeconfig,
        log: plane.at("logs/operator.log"),
        port: control_plane::free_port()?,
        figures: Vec::new(),
    };
    let outcome = bench.run().await;
    keep(&bench.log);
    outcome.map(|()| bench.figures)
}

impl Bench<'_> {
    async fn run(&mut self) -> Result<()> {
        let _pods = AbortOnDropHandle::new(tokio::spawn(self.fleet.clone().play()));
        let operator = self.start()?;
        self.fill(&operator).await?;
        let mut streams = Streams::new(self.fleet.clone());
        let (shown, gone) = (streams.shown.clone(), streams.gone.clone());
        let _look = AbortOnDropHandle::new(tokio::spawn(streams::look(self.client.clone(), shown, gone)));
        self.ramp(&operator, &mut streams).await?;
        self.churn(&operator, &mut streams).await?;
        self.quiet(&operator).await?;
        operator.stop().await?;
        self.cold_start().await?;
        self.late_start().await
    }

    fn start(&self) -> Result<Operator> {
        Operator::start(&Setup {
            program: &self.operator,
            kubeconfig: &self.kubeconfig,
            log: &self.log,
            namespace: identity::NAMESPACE,
            port: self.port,
        })
    }

    /// Everything is made while the operator runs.
    async fn fill(&mut self, operator: &Operator) -> Result<()> {
        step(
            "the operator leads",
            eventually(LIMIT, "it is ready", async || leads(operator).await),
        )
        .await?;
        let begun = Instant::now();
        step("objects made", objects::create(&self.client, self.scale)).await?;
        step("all of them in force", self.filled()).await?;
        self.figure(Figure::new(
            "everything made and in force in the pods",
            begun.elapsed().as_secs_f64(),
            "s",
        ));
        step("at rest", rest(operator)).await?;
        Ok(())
    }

    async fn filled(&self) -> Result<()> {
        let (pods, keys) = (self.scale.servers, self.scale.keys);
        eventually(LIMIT, "every pod runs with its keys", async || {
            let all = self.fleet.pods();
            let known: usize = all.iter().map(|pod| pod.keys()).sum();
            crate::ensure!(
                all.len() == pods && known == keys,
                "{} pods with {known} keys",
                all.len()
            );
            Ok(())
        })
        .await
    }

    async fn ramp(&mut self, operator: &Operator, streams: &mut Streams) -> Result<()> {
        let (wanted, shown) = (self.scale.streams, streams.shown.clone());
        step(format_args!("{wanted} streams live"), async {
            streams.ramp(wanted, RAMP_RATE.max(self.scale.rate)).await;
            Ok(())
        })
        .await?;
        step("all of them shown", came(&shown)).await?;
        let took = step("at rest", rest(operator)).await?;
        self.figure(Figure::new(
            "streams live → all counts of their keys and servers written",
            took,
            "s",
        ));
        shown.take();
        Ok(())
    }

    /// Streams come and go, and keys are edited.
    async fn churn(&mut self, operator: &Operator, streams: &mut Streams) -> Result<()> {
        let time = Duration::from_secs(self.scale.churn_seconds);
        let (rate, edits) = (self.scale.rate, self.edits(time));
        let busy = async {
            let ((), edited) = tokio::join!(streams.churn(rate, time), edits);
            edited
        };
        let (writes, shares) = (operator.writes().await?, Shares::begin(self.plane, operator)?);
        step(format_args!("streams come and go at {rate}/s"), busy).await?;
        let shares = shares.end()?;
        let written = (operator.writes().await? - writes) / time.as_secs_f64();
        let (shown, gone) = (streams.shown.clone(), streams.gone.clone());
        let _ = came(&shown).await;
        let _ = came(&gone).await;
        let _ = came(&self.fleet.in_force).await;
        self.times(
            "spec change → in force in the pod",
            self.fleet.in_force.take(),
            Some(1.0),
        );
        self.times("stream live → Stream visible", shown.take(), Some(2.0));
        self.times("stream ended → Stream gone", gone.take(), None);
        self.figure(Figure::new("writes while streams come and go", written, "/s"));
        for (name, share) in shares {
            self.figure(Figure::new(format!("CPU meanwhile, of one core: {name}"), share, "%"));
        }
        say(format_args!("  {} streams are live", streams.count()));
        Ok(())
    }

    /// Each edit is of another key.
    async fn edits(&self, time: Duration) -> Result<()> {
        let (names, begun) = (Names(self.scale), Instant::now());
        let mut ticks = tokio::time::interval(EDIT_EVERY);
        for key in 0..self.scale.keys {
            ticks.tick().await;
            if begun.elapsed() >= time {
                break;
            }
            objects::change(&self.client, names, key, 2, &self.fleet.in_force).await?;
        }
        Ok(())
    }

    /// Nothing happens but reports whose figures wave.
    async fn quiet(&mut self, operator: &Operator) -> Result<()> {
        let took = step("at rest", rest(operator)).await?;
        self.figure(Figure::new(
            "streams come and go no more → all counts written",
            took,
            "s",
        ));
        let time = Duration::from_secs(self.scale.quiet_seconds);
        let (writes, cpu) = (operator.writes().await?, operator.cpu()?);
        step("nothing happens", async {
            sleep(time).await;
            Ok(())
        })
        .await?;
        let written = operator.writes().await? - writes;
        let used = operator.cpu()?.saturating_sub(cpu).as_secs_f64() / time.as_secs_f64();
        let seconds = time.as_secs();
        self.figure(Figure::new(format!("API writes in {seconds} s of steady state"), written, "").goal(0.0));
        self.figure(Figure::new("CPU at rest, of one core", used * 100.0, "%"));
        self.memory("resident memory in steady state", operator.memory()?);
        Ok(())
    }

    /// A new process finds everything there as it should be.
    async fn cold_start(&mut self) -> Result<()> {
        let operator = self.start()?;
        let (cached, reconciled, linked) = tokio::try_join!(
            until(&operator, async || operator.is_ready().await),
            until(&operator, async || self.reconciled(&operator).await),
            until(&operator, async || self.fleet.pods().iter().all(|pod| pod.is_linked())),
        )?;
        self.figure(Figure::new("cold start: caches filled", cached, "s"));
        self.figure(Figure::new("cold start: everything reconciled", reconciled, "s").goal(5.0));
        self.figure(Figure::new("cold start: every pod heard of", linked, "s"));
        step("at rest", rest(&operator)).await?;
        self.memory("resident memory after a cold start", operator.memory()?);
        self.figure(Figure::new("writes of a cold start", operator.writes().await?, "").goal(0.0));
        operator.stop().await
    }

    /// A new process finds one key of every server changed while none ran.
    async fn late_start(&mut self) -> Result<()> {
        let (names, unheeded) = (Names(self.scale), Waits::default());
        let servers = self.scale.servers.min(self.scale.keys);
        let changes = futures::stream::iter(0..servers)
            .map(|key| objects::change(&self.client, names, key, 3, &unheeded))
            .buffer_unordered(16)
            .try_collect::<()>();
        step("one key of each server changed while no operator runs", changes).await?;
        for key in 0..servers {
            let namespace = names.namespace(names.server_of(key));
            let edit = pod::edit(&namespace, &Names::key(key), 3);
            self.fleet.in_force.expect(edit);
        }
        let operator = self.start()?;
        let pushed = until(&operator, async || self.fleet.in_force.open() == 0).await?;
        self.figure(Figure::new("cold start: a change in every pod pushed", pushed, "s"));
        operator.stop().await
    }

    async fn reconciled(&self, operator: &Operator) -> bool {
        let scale = self.scale;
        let wanted = [
            ("MediaServer", scale.servers),
            ("StreamKey", scale.keys),
            ("HookEndpoint", scale.hooks),
            ("Stream", scale.streams),
        ];
        let done = operator.reconciles().await.unwrap_or_default();
        done.are_over() && wanted.iter().all(|(kind, count)| done.of(kind) >= number(*count))
    }

    fn figure(&mut self, figure: Figure) {
        say(format_args!(
            "  {}: {:.3} {}{}",
            figure.what,
            figure.value,
            figure.unit,
            if figure.holds() { "" } else { "  MISSED" }
        ));
        self.figures.push(figure);
    }

    fn memory(&mut self, what: &str, memory: Memory) {
        let mebibytes = |bytes: u64| f64::from(u32::try_from(bytes / 1024).unwrap_or(u32::MAX)) * 1024.0 / MEBIBYTE;
        self.figure(Figure::new(what, mebibytes(memory.now), "MiB").goal(64.0));
        self.figure(Figure::new(
            format!("{what}, at its peak"),
            mebibytes(memory.peak),
            "MiB",
        ));
    }

    fn times(&mut self, what: &str, times: Times, goal: Option<f64>) {
        let (count, p99) = (times.count, times.p99.as_secs_f64());
        self.figure(Figure::new(
            format!("{what}, p50 of {count}"),
            times.p50.as_secs_f64(),
            "s",
        ));
        let p99 = Figure::new(format!("{what}, p99"), p99, "s");
        self.figure(match goal {
            Some(goal) => p99.goal(goal),
            None => p99,
        });
        self.figure(Figure::new(format!("{what}, slowest"), times.max.as_secs_f64(), "s"));
        if times.missing > 0 {
            let missing = Figure::new(format!("{what}, never"), number(times.missing), "").goal(0.0);
            self.figure(missing);
        }
    }
}

/// Seconds since its start until something holds of it.
async fn until(operator: &Operator, holds: impl AsyncFn() -> bool) -> Result<f64> {
    while !holds().await {
        crate::ensure!(operator.since.elapsed() < LIMIT, "the operator did not come so far");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(operator.since.elapsed().as_secs_f64())
}

async fn leads(operator: &Operator) -> Result<()> {
    let leads = operator.metric("headgate_leader", |_| true).await?;
    if leads < 0.5 {
        return Err(Error::new("it does not lead"));
    }
    Ok(())
}

/// Until nothing was written for a while. Seconds until the last write.
async fn rest(operator: &Operator) -> Result<f64> {
    let begun = Instant::now();
    let (mut last, mut since) = (operator.writes().await?, begun);
    while since.elapsed() < REST {
        crate::ensure!(begun.elapsed() < LIMIT, "it goes on writing: {last} writes so far");
        sleep(Duration::from_millis(250)).await;
        let now = operator.writes().await?;
        if now > last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(since.saturating_duration_since(begun).as_secs_f64())
}

async fn came(waits: &Waits) -> Result<()> {
    eventually(Duration::from_mins(1), "everything came", async || {
        crate::ensure!(waits.open() == 0, "{} are missing", waits.open());
        Ok(())
    })
    .await
}

/// The operator's log of the last run lies with the logs of failed scenarios.
fn keep(log: &Path) {
    let kept = crate::tools::paths::out().join("operator-scale");
    let copied = std::fs::create_dir_all(&kept).and_then(|()| std::fs::copy(log, kept.join("operator.log")));
    if let Err(error) = copied {
        crate::ui::complain(format_args!("the operator's log is lost: {error}"));
    }
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn command(scale: &Scale) -> String {
    format!(
        "cargo e2e bench operator-scale --servers {} --keys {} --hooks {} --streams {} --rate {} --namespaces {}",
        scale.servers, scale.keys, scale.hooks, scale.streams, scale.rate, scale.namespaces
    )
}

fn setting(scale: &Scale) -> String {
    format!(
        "{} MediaServers with one pod each, {} StreamKeys, {} HookEndpoints, {} live Streams that come and go at {}/s, in {} namespaces; \
         etcd, kube-apiserver, the operator and the process that plays the pods share the machine.",
        scale.servers, scale.keys, scale.hooks, scale.streams, scale.rate, scale.namespaces
    )
}
