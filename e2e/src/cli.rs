//! The command line: `cargo e2e …`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::benches::{self, media};
use crate::cluster::{Layout, status, teardown, up};
use crate::demo;
use crate::error::{Context as _, Error, Result};
use crate::fuzz;
use crate::harness::{self, Cluster, Scenario};
use crate::images;
use crate::players;
use crate::receiver::Receiver;
use crate::scenarios;
use crate::sigkill;
use crate::tools::go::Tools;
use crate::tools::lock::Lock;
use crate::tools::paths::Paths;
use crate::ui::{complain, say, step};
use crate::verify;

/// A local Kubernetes, and the scenarios that run on it.
#[derive(Debug, Parser)]
#[command(name = "cargo e2e", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The local two-node cluster.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Builds the images of operator and media pod and imports them into the local cluster.
    Images,
    /// Runs scenarios by name; without a name, all of them.
    Run {
        /// Names as `list` shows them.
        names: Vec<String>,
        /// How often `sigkill` kills.
        #[arg(long, default_value_t = sigkill::KILLS)]
        kills: usize,
    },
    /// Plays every output of a standalone media pod with players that no one here wrote; needs no cluster.
    Players,
    /// Lists the scenarios and what each proves.
    List,
    /// Everything that must hold before a change lands: the checks that need no cluster, then every scenario on the local cluster.
    Verify {
        /// Leave out what needs a cluster.
        #[arg(long)]
        no_cluster: bool,
    },
    /// Writes the generated files: definitions, the chart's README, alerts and snapshots.
    Generate {
        /// Write nothing; fail when one differs.
        #[arg(long)]
        check: bool,
    },
    /// A media server to play with: standalone, or by helm on the local cluster.
    Demo {
        /// On the local cluster.
        #[arg(long)]
        cluster: bool,
    },
    /// Measures what is promised in figures.
    #[command(subcommand)]
    Bench(Bench),
    /// Fuzzes the parsers of foreign bytes with libFuzzer, each for a bounded time.
    Fuzz(fuzz::Options),
    /// Runs a back end for hooks that allows everything and prints what it is asked.
    Receiver {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:8085")]
        listen: String,
    },
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// What a player costs, beside the floor of the machine.
    Media(media::Options),
    /// What is left behind when streams restart and players come and go for long.
    Soak(media::soak::Options),
    /// What segmenting costs, and requests for playlists and segments beside nginx.
    Hls(benches::hls::Options),
    /// The operator's memory, start, latency and quiet, with a real API server and played media pods.
    OperatorScale(benches::operator_scale::Scale),
    /// The operator is killed after every write of a media server's life, and its API server fails in other ways.
    OperatorFaults {
        /// After one in so many writes only.
        #[arg(long, default_value_t = 1)]
        one_in: usize,
    },
    /// What hooks add to a back end's own time, and how many notifications a pod delivers.
    Hooks(benches::hooks::Options),
    /// The back end: a process of the bench's own.
    #[command(hide = true)]
    HookReceiver,
    /// The floor: a process of the bench's own.
    #[command(hide = true)]
    Floor(media::floor::Order),
    /// The load: a process of the bench's own.
    #[command(hide = true)]
    Load(media::load::Order),
}

#[derive(Debug, Subcommand)]
enum ClusterCommand {
    /// Brings it up, or keeps the one that is up and healthy.
    Up,
    /// Takes it down and leaves nothing behind.
    Down,
    /// Shows its processes and whether it is healthy.
    Status,
}

/// Runs the command line that this process was given.
pub async fn main() -> ExitCode {
    match Box::pin(run(Cli::parse().command)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            complain(format_args!("error: {cause}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Cluster(ClusterCommand::Status) => status::show(&layout(&Paths::find()?)?).await,
        Command::Cluster(command) => change_cluster(&Paths::find()?, &command).await,
        Command::Images => import_images(&Paths::find()?).await,
        Command::Run { names, kills } => run_named(names, kills).await,
        Command::Players => players::run(&Paths::find()?).await,
        Command::List => {
            for scenario in scenarios::all() {
                say(format_args!("{:24} {}", scenario.name, scenario.about));
            }
            say(format_args!("{:24} {}", sigkill::NAME, sigkill::ABOUT));
            Ok(())
        }
        Command::Verify { no_cluster } => verify::run(&Paths::find()?, no_cluster).await,
        Command::Generate { check } => verify::generated(&Paths::find()?, check).await,
        Command::Demo { cluster: false } => demo::standalone(&Paths::find()?).await,
        Command::Demo { cluster: true } => demo::on_cluster(&Paths::find()?).await,
        Command::Bench(bench) => run_bench(bench).await,
        Command::Fuzz(options) => fuzz::run(&Paths::find()?, &options).await,
        Command::Receiver { listen } => {
            let receiver = Receiver::printing(&listen).await?;
            say(format_args!("listening on http://{}", receiver.address()));
            receiver.ended().await
        }
    }
}

async fn run_bench(bench: Bench) -> Result<()> {
    match bench {
        Bench::Media(options) => media::run(&options).await,
        Bench::Soak(options) => media::soak::run(&options).await,
        Bench::Hls(options) => benches::hls::run(&options).await,
        Bench::OperatorScale(scale) => benches::operator_scale::run(&Paths::find()?, &scale).await,
        Bench::OperatorFaults { one_in } => {
            let paths = Paths::find()?;
            let program = images::programs(&paths).await?.operator;
            benches::operator_faults::run(&paths, &program, one_in).await
        }
        Bench::Hooks(options) => benches::hooks::run(&options).await,
        Bench::HookReceiver => benches::hooks::receiver::serve().await,
        Bench::Floor(order) => media::floor::serve(&order),
        Bench::Load(order) => media::process(media::load::run(order)),
    }
}

fn layout(paths: &Paths) -> Result<Layout> {
    Ok(Layout::new(paths, Tools::locate(paths)?))
}

async fn change_cluster(paths: &Paths, command: &ClusterCommand) -> Result<()> {
    let _lock = Lock::take(paths).await?;
    if matches!(command, ClusterCommand::Up) {
        let layout = up::up(paths).await?;
        say(format_args!(
            "kubectl: {} --kubeconfig {}",
            layout.tools.program("kubectl").display(),
            layout.kubeconfig("admin")
        ));
        return Ok(());
    }
    take_down(paths).await
}

/// The caller holds the lock.
async fn take_down(paths: &Paths) -> Result<()> {
    let layout = layout(paths)?;
    if !teardown::is_anything_left(&layout) {
        say("no cluster is up");
        return Ok(());
    }
    step("cluster removed", teardown::down(&layout)).await
}

/// Every scenario, and the cluster taken down behind them, whatever came of them, unless it was up before.
pub(crate) async fn run_everything(paths: &Paths) -> Result<()> {
    let of_user = std::env::var_os("HEADGATE_E2E_KUBECONFIG").is_some();
    let keep = of_user || teardown::is_anything_left(&layout(paths)?);
    let outcome = run_scenarios(paths, &scenarios::all()).await;
    if keep {
        return outcome;
    }
    let _lock = Lock::take(paths).await?;
    outcome.and(take_down(paths).await)
}

/// The one that needs no cluster first; all scenarios on the cluster when none is named.
async fn run_named(mut names: Vec<String>, kills: usize) -> Result<()> {
    let all = names.is_empty();
    let before = names.len();
    names.retain(|name| name != sigkill::NAME);
    if names.len() < before {
        sigkill::run(kills).await?;
    }
    if names.is_empty() && !all {
        return Ok(());
    }
    run_scenarios(&Paths::find()?, &chosen(&names)?).await
}

fn chosen(names: &[String]) -> Result<Vec<Scenario>> {
    if names.is_empty() {
        return Ok(scenarios::all());
    }
    let find = |name: &String| scenarios::all().into_iter().find(|scenario| scenario.name == name);
    names
        .iter()
        .map(|name| find(name).context(format_args!("there is no scenario {name}; `cargo e2e list` shows them")))
        .collect()
}

async fn import_images(paths: &Paths) -> Result<()> {
    let _lock = Lock::take(paths).await?;
    Cluster::ensure(paths, true).await.map(drop)
}

/// Runs scenarios on the cluster, which is brought up if it is not.
async fn run_scenarios(paths: &Paths, scenarios: &[Scenario]) -> Result<()> {
    let _lock = Lock::take(paths).await?;
    let cluster = Cluster::ensure(paths, scenarios.iter().any(|scenario| scenario.needs_images)).await?;
    match harness::run(&cluster, scenarios).await? {
        0 => Ok(()),
        failed => Err(Error::new(format!("{failed} scenarios failed"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_unknown_scenario_is_refused_by_name() {
        let error = chosen(&["nothing_like_it".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("nothing_like_it"));
    }
}
