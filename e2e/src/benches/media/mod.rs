//! `cargo e2e bench media`: what a player costs, beside the floor of the machine in the same run.
//!
//! The server is pinned to one core and the load to the other. Figures drift with the machine; the ratio to the floor is what counts.

pub(super) mod clip;
pub(super) mod cpu;
pub mod floor;
pub mod load;
mod measures;
mod part;
mod player;
mod publisher;
mod series;
mod server;
pub mod soak;

pub use part::Part;
pub use player::Wire;
pub(super) use series::median;

use super::release;
use super::results::{Figure, Results};
use crate::error::{Error, Result};
use crate::ui::{say, step};
use load::Outcome;
use part::Case;
use series::Series;
use server::Bench;

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Only these parts.
    #[arg(long, value_enum)]
    part: Vec<Part>,
    /// Only these outputs, where a part measures several.
    #[arg(long, value_enum)]
    wire: Vec<Wire>,
    /// Players, where the part does not say how many.
    #[arg(long, default_value_t = 1000)]
    players: usize,
    /// How long each figure is measured, in seconds.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// How often each is measured, in turn with the others; the median counts.
    #[arg(long, default_value_t = 3)]
    passes: usize,
    /// Prints only, and keeps nothing.
    #[arg(long)]
    dry: bool,
}

/// Measures, prints and keeps.
pub async fn run(options: &Options) -> Result<()> {
    let programs = release::programs("headgate-media-pod").await?;
    let clip = step("clip of 1 Mbit/s", clip::clip()).await?;
    let bench = Bench {
        server: programs.join("release/media-pod"),
        clip,
        seconds: options.seconds,
        passes: options.passes.max(1),
        wires: options.wire.clone(),
    };
    for part in Part::chosen(&options.part) {
        let results = Results {
            name: part.name(),
            command: format!("cargo e2e bench media --part {}", part.argument()),
            setting: part.setting(options.players, options.seconds, bench.passes),
            figures: part.measure(&bench, options.players).await?,
        };
        if options.dry {
            results
                .figures
                .iter()
                .for_each(|figure| say(format_args!("{figure:?}")));
        } else {
            results.save()?;
        }
    }
    Ok(())
}

/// What is worth knowing of a case, beside its cost.
fn figures_of(case: &Case, series: &Series) -> Vec<Figure> {
    let name = case.name();
    let mut figures = Vec::new();
    if matches!(case.wire, Wire::Rtmp | Wire::Flv) {
        let goal = if case.wire == Wire::Rtmp { 0.6 } else { 0.3 };
        let of = |what: &str, of: fn(&Outcome) -> f64| Figure::new(format!("{name}: {what}"), series.median(of), "ms");
        let played = of("publish to play, p50", |run| run.asleep.latency.0);
        figures.extend([
            of("join to key frame, p50", |run| run.join.0).goal(goal),
            of("join to key frame, p95", |run| run.join.1),
            if case.window == 0 { played.goal(10.0) } else { played },
            of("publish to play, p99", |run| run.asleep.latency.1),
        ]);
    }
    let lost = series.most(|run| run.dead.saturating_add(run.starved));
    figures.push(Figure::new(format!("{name}: dead or starved"), lost, "players").goal(0.0));
    figures
}

/// Kilobytes of the server's memory a player.
fn kilobytes(outcome: &Outcome) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "kilobytes")]
    let (grown, live) = (
        outcome.resident.saturating_sub(outcome.resident_before) as f64,
        outcome.live.max(1) as f64,
    );
    grown / 1e3 / live
}

/// Runs one of the bench's own processes.
pub fn process(result: Result<Outcome>) -> Result<()> {
    let outcome = result?;
    say(serde_json::to_string(&outcome).map_err(Error::from)?);
    Ok(())
}
